"""How hard a problem is for a model: a distribution of the chance that one sample is right.

Four estimators, each of which returns a `Difficulty`:

- `oracle_difficulty` counts right samples. It needs the reference, so it is for analysis, and no
  preset may use it.
- `fit_difficulty` on `probe_features`: a few samples' agreement, length, scores and confidences.
- the same with `prompt_features.prompt_features` added: learned from prompt and probe.
- the same on `reported_features`: what the model itself says of its chances.

The last three are one model, a beta-binomial regression: sample successes of a problem are binomial
with a chance from Beta(mu * s, (1 - mu) * s), mu the logistic function of the features. It is
calibrated by construction, since s is fitted too, and needs no further package: with a dozen
features and some hundred problems a forest or a boosted tree has nothing to add to it.
"""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tts.errors import InputError, optional_import

with optional_import("a model of difficulty"):
    from scipy.optimize import minimize
    from scipy.special import betaln, expit
    from scipy.stats import beta as beta_distribution

_RIDGE = 1.0  # prior precision of a standardised feature's weight
_STATED = re.compile(r"(?<![\w.])(-?\d+(?:\.\d+)?)\s*(%)?")


@dataclass(frozen=True, slots=True)
class Difficulty:
    """Beta(a, b) of the chance that one sample is right."""

    a: float
    b: float

    @property
    def mean(self) -> float:
        """Expected chance of one sample."""
        return self.a / (self.a + self.b)

    def pass_at_k(self, k: int) -> float:
        """Return the chance that one of `k` samples is right: 1 - B(a, b + k) / B(a, b)."""
        return float(1.0 - np.exp(betaln(self.a, self.b + k) - betaln(self.a, self.b)))

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Return the central interval of the chance."""
        tail = (1.0 - confidence) / 2
        low = beta_distribution.ppf(tail, self.a, self.b)
        return float(low), float(beta_distribution.ppf(1.0 - tail, self.a, self.b))

    def after(self, num_samples: int, num_correct: int) -> "Difficulty":
        """Return the posterior once samples were graded."""
        return Difficulty(self.a + num_correct, self.b + num_samples - num_correct)


def oracle_difficulty(num_samples: int, num_correct: int) -> Difficulty:
    """Return the posterior of the true rate, with Jeffreys' prior; for analysis only.

    Raises:
        InputError: Counts that cannot be.
    """
    if not 0 <= num_correct <= num_samples:
        raise InputError(f"{num_correct} of {num_samples} samples cannot be right")
    return Difficulty(num_correct + 0.5, num_samples - num_correct + 0.5)


def probe_features(
    classes: Sequence[int],
    *,
    tokens: Sequence[float] = (),
    scores: Sequence[float] = (),
    confidences: Sequence[float] = (),
) -> dict[str, float]:
    """Return what a probe of a few samples says; measures that are not there are left out.

    Args:
        classes: Class of equal answers of each sample; -1 for no answer.
        tokens: Generated tokens of each.
        scores: A verifier's, of each.
        confidences: Mean token confidence of each.

    Raises:
        InputError: The probe is empty.
    """
    if not classes:
        raise InputError("a probe needs a sample")
    counts = sorted(Counter(c for c in classes if c >= 0).values(), reverse=True)
    total = len(classes)
    shares = [count / total for count in counts]
    features = {
        "leader_share": shares[0] if shares else 0.0,
        "margin": (counts[0] - (counts[1] if len(counts) > 1 else 0)) / total if counts else 0.0,
        "vote_entropy": -math.fsum(share * math.log(share) for share in shares),
        "no_answer": 1.0 - math.fsum(shares),
    }
    for name, values in (("log_tokens", tokens), ("score", scores), ("confidence", confidences)):
        if values:
            mean = math.fsum(values) / len(values)
            features[name] = math.log1p(mean) if name == "log_tokens" else mean
    return features


def reported_features(text: str) -> dict[str, float]:
    """Return the chance that a model states, the last number of its text: "0.8" or "80 %".

    Raises:
        InputError: It states none, or one outside [0, 1].
    """
    found = _STATED.findall(text)
    if not found:
        raise InputError("no probability in the model's estimate")
    number, percent = found[-1]
    value = float(number) / (100.0 if percent else 1.0)
    if not 0.0 <= value <= 1.0:
        raise InputError(f"the estimate {value:g} is no probability")
    clipped = min(max(value, 0.01), 0.99)
    return {"stated_logit": math.log(clipped / (1.0 - clipped))}


@dataclass(frozen=True, slots=True)
class DifficultyModel:
    """A fitted beta-binomial regression.

    Attributes:
        names: Of the features, in order.
        means: Of each, on the calibration problems; what stands in for a missing one.
        scales: Standard deviation of each.
        weights: Of the standardised features.
        offset: Logit of the success rate at the means.
        concentration: s; larger is surer.
    """

    names: tuple[str, ...]
    means: tuple[float, ...]
    scales: tuple[float, ...]
    weights: tuple[float, ...]
    offset: float
    concentration: float

    def __post_init__(self) -> None:
        """Refuse parts that do not fit together."""
        sizes = {len(self.names), len(self.means), len(self.scales), len(self.weights)}
        if len(sizes) != 1 or not self.concentration > 0 or not all(s > 0 for s in self.scales):
            raise InputError("a difficulty model needs mean, scale and weight of each feature")

    def estimate(self, features: Mapping[str, float]) -> Difficulty:
        """Return the distribution for a problem with these features."""
        table = zip(self.names, self.means, self.scales, self.weights, strict=True)
        logit = self.offset + math.fsum(
            weight * (features.get(name, mean) - mean) / scale
            for name, mean, scale, weight in table
        )
        mean = min(max(float(expit(logit)), 1e-6), 1.0 - 1e-6)
        return Difficulty(mean * self.concentration, (1.0 - mean) * self.concentration)

    def to_mapping(self) -> dict[str, Any]:
        """Return plain values, for a policy file."""
        features = {
            name: {"mean": mean, "scale": scale, "weight": weight}
            for name, mean, scale, weight in zip(
                self.names, self.means, self.scales, self.weights, strict=True
            )
        }
        return {
            "offset": self.offset,
            "concentration": self.concentration,
            "features": features,
        }

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> "DifficultyModel":
        """Read what `to_mapping` wrote.

        Raises:
            InputError: It is no such model.
        """
        try:
            rows = dict(values["features"])
            means, scales, weights = (
                tuple(float(row[key]) for row in rows.values())
                for key in ("mean", "scale", "weight")
            )
            return cls(
                tuple(map(str, rows)),
                means,
                scales,
                weights,
                offset=float(values["offset"]),
                concentration=float(values["concentration"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"not a difficulty model: {error!r}") from error


def fit_difficulty(
    features: Sequence[Mapping[str, float]],
    num_samples: Sequence[int],
    num_correct: Sequence[int],
) -> DifficultyModel:
    """Fit by penalised maximum likelihood.

    Args:
        features: Of each problem; only those that every problem has are used.
        num_samples: Graded samples of each problem, those of the probe better left out.
        num_correct: The right ones among them.

    Raises:
        InputError: Fewer than two problems, counts that cannot be, or every sample is right or
            every one wrong, so that nothing tells hard from easy.
    """
    n = np.asarray(num_samples, dtype=np.float64)
    c = np.asarray(num_correct, dtype=np.float64)
    if len(features) < 2 or not len(features) == len(n) == len(c) or ((c < 0) | (c > n)).any():
        raise InputError("difficulty needs two graded problems or more, 0 to n right of each")
    if c.sum() in (0, n.sum()):
        kind = "right" if c.sum() else "wrong"
        raise InputError(f"every calibration sample is {kind}: nothing tells hard from easy")
    names = tuple(sorted(set.intersection(*(set(row) for row in features))))
    x = np.array([[row[name] for name in names] for row in features], dtype=np.float64)
    means = x.mean(axis=0)
    scales = np.where(x.std(axis=0) > 1e-9, x.std(axis=0), 1.0)
    weights, offset, concentration = _fit((x - means) / scales, n, c)
    return DifficultyModel(
        names,
        tuple(means.tolist()),
        tuple(scales.tolist()),
        tuple(weights.tolist()),
        offset,
        concentration,
    )


def _fit(
    x: NDArray[np.float64], n: NDArray[np.float64], c: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float, float]:
    def loss(parameters: NDArray[np.float64]) -> float:
        weights, offset, log_s = parameters[:-2], parameters[-2], parameters[-1]
        mean = np.clip(expit(x @ weights + offset), 1e-6, 1.0 - 1e-6)
        a, b = mean * np.exp(log_s), (1.0 - mean) * np.exp(log_s)
        likelihood = float(np.sum(betaln(a + c, b + n - c) - betaln(a, b)))
        # A weak prior on s keeps it finite where the features explain everything.
        penalty = 0.5 * _RIDGE * float(weights @ weights) + 0.05 * (log_s - 1.0) ** 2
        return float(penalty - likelihood)

    rate = float((c.sum() + 0.5) / (n.sum() + 1.0))
    start = np.append(np.zeros(x.shape[1]), [math.log(rate / (1.0 - rate)), 1.0])
    bounds = [(None, None)] * (len(start) - 1) + [(-4.0, 8.0)]
    found = minimize(loss, start, method="L-BFGS-B", bounds=bounds).x
    return found[:-2], float(found[-2]), float(np.exp(found[-1]))
