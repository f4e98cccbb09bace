"""From a verifier's score to the probability that the trajectory is right.

Isotonic regression (Zadrozny and Elkan 2002, doi:10.1145/775047.775151) keeps the order and needs
some hundred labelled scores; Platt scaling (Platt 1999, with his smoothed targets; the numerics of
Lin, Lin and Weng 2007) fits two numbers and does with a few dozen.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from tts.errors import InputError, optional_import

with optional_import("the calibration of scores"):
    from scipy.optimize import isotonic_regression, minimize
    from scipy.special import expit


class Calibrator(Protocol):
    """Maps a score to a probability, never lower for a higher score."""

    def probability(self, score: float) -> float:
        """Return the probability that a trajectory with this score is right."""
        ...

    def to_mapping(self) -> dict[str, Any]:
        """Return what `from_mapping` reads."""
        ...


@dataclass(frozen=True, slots=True)
class Isotonic:
    """Straight lines between the points of a rising sequence; constant beyond its ends.

    Attributes:
        scores: Strictly rising.
        probabilities: Of those scores, never falling.
    """

    scores: tuple[float, ...]
    probabilities: tuple[float, ...]

    def probability(self, score: float) -> float:
        """Return the probability at a score."""
        return float(np.interp(score, self.scores, self.probabilities))

    def to_mapping(self) -> dict[str, Any]:
        """Return its points."""
        points = {"scores": list(self.scores), "probabilities": list(self.probabilities)}
        return {"method": "isotonic", **points}


@dataclass(frozen=True, slots=True)
class Platt:
    """1 / (1 + exp(-(slope * score + offset)))."""

    slope: float
    offset: float

    def probability(self, score: float) -> float:
        """Return the probability at a score."""
        return float(expit(self.slope * score + self.offset))

    def to_mapping(self) -> dict[str, Any]:
        """Return its two numbers."""
        return {"method": "platt", "slope": self.slope, "offset": self.offset}


def fit_isotonic(scores: Sequence[float], labels: Sequence[bool]) -> Isotonic:
    """Fit the least-squares rising function; equal scores are one point, at their mean label.

    Raises:
        InputError: There are no scores, not one label each, or a score is not finite.
    """
    x, y = _arrays(scores, labels)
    points, inverse, counts = np.unique(x, return_inverse=True, return_counts=True)
    means = np.bincount(inverse, weights=y) / counts
    fitted = isotonic_regression(means, weights=counts.astype(np.float64)).x
    return Isotonic(tuple(map(float, points)), tuple(float(np.clip(p, 0, 1)) for p in fitted))


def fit_platt(scores: Sequence[float], labels: Sequence[bool]) -> Platt:
    """Fit a logistic function by maximum likelihood, with a slope of at least 0.

    Raises:
        InputError: There are no scores, not one label each, or a score is not finite.
    """
    (slope,), offset = fit_logistic([scores], labels)
    return Platt(slope, offset)


def fit_logistic(
    columns: Sequence[Sequence[float]], labels: Sequence[bool]
) -> tuple[tuple[float, ...], float]:
    """Return weights of several scores, and an offset: their sum is the logit of being right.

    By maximum likelihood, with weights of at least 0. The targets are (right + 1) / (right + 2) and
    1 / (wrong + 2), so that separable scores do not give a step.

    Args:
        columns: Each verifier's scores.
        labels: Whether what was scored is right.

    Raises:
        InputError: There are no scores, not one label each, or a score is not finite.
    """
    arrays = [_arrays(scores, labels) for scores in columns]
    x, y = np.stack([scores for scores, _ in arrays], axis=1), arrays[0][1]
    right = float(y.sum())
    wrong = len(y) - right
    targets = np.where(y > 0, (right + 1) / (right + 2), 1 / (wrong + 2))

    def loss(parameters: Any) -> tuple[float, Any]:
        z = x @ parameters[:-1] + parameters[-1]
        excess = expit(z) - targets
        value = float(np.sum(np.logaddexp(0.0, z) - targets * z))
        return value, np.append(excess @ x, np.sum(excess))

    start = np.append(np.zeros(x.shape[1]), np.log((right + 1) / (wrong + 1)))
    bounds = [(0.0, None)] * x.shape[1] + [(None, None)]
    *weights, offset = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    return tuple(map(float, weights)), float(offset)


def from_mapping(values: Mapping[str, Any]) -> Calibrator:
    """Return the calibrator that `to_mapping` wrote.

    Raises:
        InputError: The values are not those of a calibrator.
    """
    try:
        if values["method"] == "platt":
            slope, offset = float(values["slope"]), float(values["offset"])
            if slope >= 0 and math.isfinite(slope) and math.isfinite(offset):
                return Platt(slope, offset)
        if values["method"] == "isotonic":
            scores = tuple(map(float, values["scores"]))
            probabilities = tuple(map(float, values["probabilities"]))
            is_rising = len(scores) == len(probabilities) and scores == tuple(sorted(scores))
            if scores and is_rising and all(0.0 <= p <= 1.0 for p in probabilities):
                return Isotonic(scores, probabilities)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"not a calibrator: {error!r}") from error
    raise InputError(
        "not a calibrator: its method is platt, with a slope of at least 0, or isotonic, with "
        "rising scores and their probabilities in [0, 1]"
    )


def _arrays(scores: Sequence[float], labels: Sequence[bool]) -> tuple[Any, Any]:
    x = np.asarray(scores, dtype=np.float64)
    y = np.asarray(labels, dtype=np.float64)
    if x.ndim != 1 or not len(x) or x.shape != y.shape:
        raise InputError("calibration needs scores, and one label for each")
    if not np.isfinite(x).all():
        raise InputError("calibration needs finite scores")
    return x, y
