"""Beliefs fitted to recorded samples: how votes go on, and when their winner is right."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tts.allocation.allocator import Belief
from tts.allocation.race import fit_race
from tts.errors import InputError, optional_import

with optional_import("a fitted curve"):
    from scipy.optimize import isotonic_regression

_PRIOR = Belief()
_PRIOR_WEIGHT = 2.0  # problems that the prior counts for, at each of its knots
_MAX_KNOTS = 16
_NUM_ORDERS = 8


@dataclass(frozen=True, slots=True)
class Recorded:
    """All samples of one problem.

    Attributes:
        classes: Class of equal answers of each sample, from 0; -1 for no answer.
        right: The classes that are right; usually one, or none.
        costs: Of each sample.
        scores: A verifier's, of each, in [0, 1]; empty without one.
    """

    classes: tuple[int, ...]
    right: frozenset[int]
    costs: tuple[float, ...]
    scores: tuple[float, ...] = ()


class Winners(NamedTuple):
    """The vote after each sample, along one order of drawing.

    Attributes:
        is_right: [orders, samples + 1], whether the winner after n samples is right.
        votes: [orders, samples + 1, 2], of the leader and of the second after n samples.
        classes: [orders, samples], the classes as drawn.
        costs: [orders, samples].
    """

    is_right: NDArray[np.bool_]
    votes: NDArray[np.int64]
    classes: NDArray[np.int64]
    costs: NDArray[np.float64]


def follow_votes(problem: Recorded, orders: NDArray[np.int64]) -> Winners:
    """Return the vote's course along each order; ties go to the class that was seen first.

    Args:
        problem: Its samples.
        orders: [orders, samples], each a permutation.
    """
    classes = np.asarray(problem.classes, dtype=np.int64)[orders]
    num_orders, num_samples = classes.shape
    num_classes = max(2, int(classes.max(initial=-1)) + 1)
    votes = classes[:, :, None] == np.arange(num_classes)
    counts = np.cumsum(votes, axis=1)
    first = np.where(votes.any(axis=1), votes.argmax(axis=1), num_samples)  # [orders, classes]
    # The number of votes decides; among equals, who came first.
    rank = counts * (num_samples + 1) - first[:, None, :]
    winner = rank.argmax(axis=2)
    top = np.partition(counts, (-2, -1), axis=2)[:, :, :-3:-1]
    is_right = np.isin(winner, list(problem.right)) & (top[:, :, 0] > 0)
    none = np.zeros((num_orders, 1, 2), dtype=np.int64)
    return Winners(
        np.hstack([none[:, :, 0].astype(bool), is_right]),
        np.hstack([none, top]),
        classes,
        np.asarray(problem.costs, dtype=np.float64)[orders],
    )


def draw_orders(rng: np.random.Generator, num_orders: int, num_samples: int) -> NDArray[np.int64]:
    """Return random orders of drawing, [orders, samples]."""
    return rng.permuted(np.tile(np.arange(num_samples), (num_orders, 1)), axis=1)


def fit_belief(problems: Sequence[Recorded], *, seed: int = 0) -> Belief:
    """Return what recorded samples say of a model.

    The race comes from each problem's final votes. Trust is the isotonic regression (Zadrozny and
    Elkan 2002, doi:10.1145/775047.775151) of "the final winner is right" on the leader's share
    after 2, 4, 8, ... samples; the default belief counts as a few problems more, so that data that
    are all right or all wrong stay a belief and not a certainty.

    Raises:
        InputError: No problem has a sample with an answer.
    """
    with_votes = [problem for problem in problems if any(c >= 0 for c in problem.classes)]
    if not with_votes:
        raise InputError("no calibration problem has a sample with an answer")
    tops = [_top_two(problem.classes) for problem in with_votes]
    concentration = fit_race([lead for lead, _ in tops], [second for _, second in tops])
    rng = np.random.default_rng(seed)
    points = [point for problem in problems for point in _trust_points(problem, rng)]
    prior = [
        (share, trust, _PRIOR_WEIGHT)
        for share, trust in zip(_PRIOR.shares, _PRIOR.trust, strict=True)
    ]
    shares, trust = _isotonic([*points, *prior])
    return Belief(concentration, shares, trust)


def _top_two(classes: Sequence[int]) -> tuple[int, int]:
    counts = np.bincount([c for c in classes if c >= 0])
    ranked = sorted(counts.tolist(), reverse=True)
    return ranked[0], ranked[1] if len(ranked) > 1 else 0


def _trust_points(
    problem: Recorded, rng: np.random.Generator
) -> Iterator[tuple[float, float, float]]:
    """Yield (leader's share, final winner right, weight); a problem weighs 1 in all."""
    num_samples = len(problem.classes)
    if not num_samples:
        return
    course = follow_votes(problem, draw_orders(rng, _NUM_ORDERS, num_samples))
    sizes = [2**i for i in range(1, num_samples.bit_length()) if 2**i <= num_samples] or [1]
    final = course.is_right[:, -1].astype(float)
    weight = 1.0 / (_NUM_ORDERS * len(sizes))
    for n in sizes:
        shares = (course.votes[:, n, 0] + 0.5) / (n + 1.0)
        yield from zip(shares.tolist(), final.tolist(), [weight] * _NUM_ORDERS, strict=True)


def _isotonic(
    points: Sequence[tuple[float, float, float]],
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    x, y, weight = (np.asarray(column, dtype=np.float64) for column in zip(*points, strict=True))
    edges = np.quantile(x, np.linspace(0, 1, _MAX_KNOTS + 1))
    bins = np.clip(np.searchsorted(edges, x, side="right") - 1, 0, _MAX_KNOTS - 1)
    mass = np.bincount(bins, weight, _MAX_KNOTS)
    kept = mass > 0
    centres = np.bincount(bins, weight * x, _MAX_KNOTS)[kept] / mass[kept]
    means = np.bincount(bins, weight * y, _MAX_KNOTS)[kept] / mass[kept]
    fitted = np.clip(isotonic_regression(means, weights=mass[kept]).x, 0.0, 1.0)
    return tuple(map(float, centres)), tuple(map(float, fitted))
