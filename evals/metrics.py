"""Figures over recorded samples: pass@k, maj@k, best-of-k and their intervals.

Pure functions. Accuracies are shares in [0, 1]; samples of one problem are exchangeable, so every
"@k" is an expectation over the subsets of k of its n samples. A report averages over problems.
"""

import math
from collections import Counter
from collections.abc import Collection, Sequence
from functools import lru_cache
from itertools import groupby
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tts.types.figures import Interval

_MAX_EXACT_VOTE = 10_000  # n * k; the exact vote then takes at most about 0.1 s
_CHUNK_ELEMENTS = 4_000_000  # indices drawn at once by a bootstrap, 32 MB


class Difference(NamedTuple):
    """A mean difference per problem, second minus first, with its interval."""

    mean: float
    low: float
    high: float


def pass_at_k(num_samples: int, num_correct: int, k: int) -> float:
    """Return the unbiased chance that at least one of `k` drawn samples is correct.

    pass@k = 1 - C(n - c, k) / C(n, k); Chen et al. 2021, arXiv:2107.03374.

    Raises:
        ValueError: `k` is not in 1 to `num_samples` (so zero samples have no pass@k), or
            `num_correct` is not in 0 to `num_samples`.
    """
    _check_k("pass", k, num_samples)
    if not 0 <= num_correct <= num_samples:
        raise ValueError(f"{num_correct} of {num_samples} samples cannot be correct")
    return 1.0 - math.comb(num_samples - num_correct, k) / math.comb(num_samples, k)


def worst_of_k(num_samples: int, num_correct: int, k: int) -> float:
    """Return the chance that all of `k` drawn samples are correct: C(c, k) / C(n, k).

    Raises:
        ValueError: As of `pass_at_k`.
    """
    return 1.0 - pass_at_k(num_samples, num_samples - num_correct, k)


def maj_at_k(
    classes: Sequence[int | None],
    correct_classes: Collection[int],
    k: int,
    *,
    seed: int = 0,
    num_draws: int = 10_000,
) -> float:
    """Return the expected accuracy of a plurality vote over `k` of the samples.

    Ties go to the class seen first in a random order, so each tied class wins equally often. A
    subset without any answer is wrong. Exact where n * k is at most 10,000, by counting subsets;
    a Monte Carlo mean of `num_draws` subsets otherwise (standard error at most 0.005 by default).

    Args:
        classes: Class of equal answers of each sample; None, a missing answer, does not vote.
        correct_classes: The classes that are right: usually one, or none.
        k: Samples that vote, missing answers included.
        seed: Of the Monte Carlo draws.
        num_draws: Number of Monte Carlo draws.

    Raises:
        ValueError: `k` is not in 1 to the number of samples.
    """
    _check_k("maj", k, len(classes))
    counts = Counter(index for index in classes if index is not None)
    num_missing = len(classes) - counts.total()
    if not any(index in counts for index in correct_classes):
        return 0.0
    if len(classes) * k > _MAX_EXACT_VOTE and k < len(classes):
        return _drawn_vote(counts, num_missing, correct_classes, k, seed, num_draws)
    if k == len(classes):
        leaders = [index for index, votes in counts.items() if votes == max(counts.values())]
        return sum(index in correct_classes for index in leaders) / len(leaders)
    won = sum(
        _winning_subsets(counts[right], _others(counts, right), num_missing, k)
        for right in set(correct_classes)
        if right in counts
    )
    return min(1.0, won / math.comb(len(classes), k))


def best_of_k(scores: Sequence[float | None], correct: Sequence[bool], k: int) -> float:
    """Return the expected accuracy of keeping the best-scored of `k` of the samples.

    Over groups g of equal scores: sum of f_g * (C(n - h_g, k) - C(n - h_g - m_g, k)) / C(n, k),
    with m_g the size of the group, f_g its share of correct samples and h_g the number of samples
    that score higher. Equal scores win equally often. Without ties this is the closed form of
    Singhi et al. 2025, arXiv:2504.01005, sum of correct_i * C(n - i - 1, k - 1) / C(n, k).

    Args:
        scores: Higher is better; a sample without a score (None) ranks below all that have one.
        correct: Whether each sample is correct.
        k: Samples to choose from.

    Raises:
        ValueError: The lengths differ, a score is not a number, or `k` is not in 1 to n.
    """
    if len(scores) != len(correct):
        raise ValueError(f"{len(scores)} scores for {len(correct)} samples")
    num_samples = len(scores)
    _check_k("best-of", k, num_samples)
    ranks = [-math.inf if score is None else score for score in scores]
    if any(math.isnan(rank) for rank in ranks):
        raise ValueError("a score is not a number")
    ordered = sorted(zip(ranks, correct, strict=True), key=lambda pair: -pair[0])
    expected, num_left = 0.0, num_samples
    for _, group in groupby(ordered, key=lambda pair: pair[0]):
        marks = [mark for _, mark in group]
        wins = math.comb(num_left, k) - math.comb(num_left - len(marks), k)
        expected += sum(marks) / len(marks) * (wins / math.comb(num_samples, k))
        num_left -= len(marks)
    return expected


def largest_of_k(values: Sequence[float], k: int) -> float:
    """Return the expected largest of `k` of the values: sum of v_(r) * C(r - 1, k - 1) / C(n, k).

    Args:
        values: In any order; v_(r) is the r-th smallest.
        k: How many are drawn, without replacement.

    Raises:
        ValueError: `k` is not in 1 to the number of values.
    """
    _check_k("largest-of", k, len(values))
    ordered = enumerate(sorted(values), start=1)
    return sum(v * math.comb(r - 1, k - 1) for r, v in ordered) / math.comb(len(values), k)


def wilson_interval(num_correct: float, num_total: int, *, confidence: float = 0.95) -> Interval:
    """Return the Wilson score interval of a share; (0, 1) when nothing was counted.

    (p + z^2/2n -+ z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n); Wilson 1927.

    Raises:
        ValueError: `num_correct` is not in 0 to `num_total`.
    """
    if not 0 <= num_correct <= num_total:
        raise ValueError(f"{num_correct} of {num_total} cannot be correct")
    if num_total == 0:
        return Interval(0.0, 1.0)
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share, z2 = num_correct / num_total, z * z / num_total
    middle = (share + z2 / 2) / (1 + z2)
    half = z * math.sqrt(share * (1 - share) / num_total + z2 / num_total / 4) / (1 + z2)
    # At 0 and n the bound is exactly 0 or 1; rounding must not say otherwise.
    low = 0.0 if num_correct == 0 else middle - half
    return Interval(low, 1.0 if num_correct == num_total else middle + half)


def bootstrap_interval(
    values: Sequence[float], *, seed: int, confidence: float = 0.95, num_resamples: int = 10_000
) -> Interval:
    """Return the percentile bootstrap interval of a mean, resampling problems with replacement.

    Args:
        values: One per problem: its accuracy over repeats, its tokens, and so on.
        seed: Of the resampling; the same seed gives the same interval.
        confidence: Share of resampled means between the bounds.
        num_resamples: Resampled means.

    Raises:
        ValueError: There are no values. A single value has an interval of width zero.
    """
    means = _resampled_means(np.asarray(values, dtype=np.float64), seed, num_resamples)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(low), float(high))


def paired_bootstrap(
    first: Sequence[float],
    second: Sequence[float],
    *,
    seed: int,
    confidence: float = 0.95,
    num_resamples: int = 10_000,
) -> Difference:
    """Return the mean of second minus first over the same problems, with its bootstrap interval.

    Pairing removes the spread between problems, which both sides share.

    Raises:
        ValueError: The lengths differ, or there are no values.
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} values cannot be paired")
    values = np.subtract(second, first, dtype=np.float64).tolist()
    return mean_difference(values, seed=seed, confidence=confidence, num_resamples=num_resamples)


def mean_difference(
    differences: Sequence[float],
    *,
    seed: int,
    confidence: float = 0.95,
    num_resamples: int = 10_000,
) -> Difference:
    """Return the mean of differences that were taken pair by pair, with its bootstrap interval.

    Raises:
        ValueError: There are none.
    """
    interval = bootstrap_interval(
        differences, seed=seed, confidence=confidence, num_resamples=num_resamples
    )
    return Difference(float(np.mean(differences)), *interval)


def _check_k(name: str, k: int, num_samples: int) -> None:
    if k < 1:
        raise ValueError(f"{name}@{k}: k is at least 1")
    if k > num_samples:
        raise ValueError(f"{name}@{k} needs at least {k} samples, got {num_samples}")


def _others(counts: Counter[int], winner: int) -> tuple[int, ...]:
    return tuple(sorted(size for index, size in counts.items() if index != winner))


@lru_cache(4096)  # a handful of samples is divided in few ways, and problems are many
def _winning_subsets(winner: int, others: tuple[int, ...], num_missing: int, k: int) -> float:
    """Return how many subsets of `k` a class wins; a tie of s + 1 classes counts 1 / (s + 1).

    Args:
        winner: Samples of the class.
        others: Samples of each other class.
        num_missing: Samples without an answer.
        k: Samples that vote.

    For each number of votes t of the winner, `ways[s, v]` counts the choices of v votes among the
    other samples in which no other class has more than t votes and s classes have exactly t.
    """
    total = 0.0
    for votes in range(1, min(winner, k) + 1):
        left = k - votes
        max_ties = left // votes
        ways = np.zeros((max_ties + 1, left + 1))
        ways[0] = [math.comb(num_missing, v) for v in range(left + 1)]
        for size in others:
            ways = _with_class(ways, size, votes)
        shares = 1.0 / np.arange(1, max_ties + 2)
        total += math.comb(winner, votes) * float(shares @ ways[:, left])
    return total


def _with_class(ways: NDArray[np.float64], size: int, votes: int) -> NDArray[np.float64]:
    """Add a class of `size` samples, of which at most `votes` may be drawn."""
    grown = ways.copy()  # none of them drawn
    left = ways.shape[1] - 1
    for drawn in range(1, min(size, votes, left) + 1):
        term = math.comb(size, drawn) * ways[:, : left + 1 - drawn]
        if drawn < votes:
            grown[:, drawn:] += term
        else:
            grown[1:, drawn:] += term[:-1]
    return grown


def _drawn_vote(
    counts: Counter[int],
    num_missing: int,
    correct_classes: Collection[int],
    k: int,
    seed: int,
    num_draws: int,
) -> float:
    colours = [*counts.values(), num_missing]
    rng = np.random.default_rng(seed)
    votes = rng.multivariate_hypergeometric(colours, k, size=num_draws, method="marginals")[:, :-1]
    leads = (votes == votes.max(axis=1, keepdims=True)) & (votes > 0)
    right = np.array([index in correct_classes for index in counts])
    shares = (leads & right).sum(axis=1) / np.maximum(leads.sum(axis=1), 1)
    return float(shares.mean())


def _resampled_means(
    values: NDArray[np.float64], seed: int, num_resamples: int
) -> NDArray[np.float64]:
    if values.size == 0:
        raise ValueError("an interval needs at least one value")
    rng = np.random.default_rng(seed)
    rows = max(1, _CHUNK_ELEMENTS // values.size)
    sizes = [min(rows, num_resamples - start) for start in range(0, num_resamples, rows)]
    return np.concatenate(
        [values[rng.integers(values.size, size=(size, values.size))].mean(axis=1) for size in sizes]
    )
