"""Which system is better, from results on whichever problems each of them has.

Each problem orders the systems that have it; ties, both right or both wrong, are most of it.
Strengths are those of the Plackett-Luce model in pairs with Davidson's term for ties, by maximum
likelihood:

    P(i beats j) = s_i / (s_i + s_j + t sqrt(s_i s_j)),   P(tie) = t sqrt(s_i s_j) / (the same)

Sources: ONEBench (Ghosh et al. 2024, arXiv:2412.06745); Davidson 1970, "On Extending the
Bradley-Terry Model to Accommodate Ties in Paired Comparison Experiments".
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tts.errors import InputError, optional_import

with optional_import("a ranking"):
    from scipy.sparse.csgraph import connected_components

_Floats = NDArray[np.float64]
_RIDGE = 0.01
_MOST_STEPS, _TOLERANCE = 100, 1e-8
_CONFIDENCE = 0.95
ELO = 400.0 / np.log(10.0)  # points for a factor e of strength


class Place(NamedTuple):
    """Where a system stands.

    Attributes:
        points: Its strength, 400 times the decimal logarithm; the mean of all systems is 0.
        low: Of the 95 % interval of a bootstrap over problems.
        high: The other bound.
        best: Best rank of that interval, from 1.
        worst: Worst rank.
    """

    points: float
    low: float
    high: float
    best: int
    worst: int


class Comparisons(NamedTuple):
    """Pairs of systems over problems, [systems, systems]: wins of the row, and ties."""

    wins: _Floats
    ties: _Floats


def compare_all(results: _Floats, weights: _Floats | None = None) -> Comparisons:
    """Count who beats whom.

    Args:
        results: [problems, systems], the chance to be right in [0, 1]; NaN where there is none. A
            chance between counts as that of one attempt, drawn for itself.
        weights: How often each problem counts; once if None.
    """
    known = ~np.isnan(results)
    right = np.where(known, results, 0.0)
    wrong = np.where(known, 1.0 - right, 0.0)
    each = np.ones(len(results)) if weights is None else weights
    wins = (right * each[:, None]).T @ wrong
    ties = (right * each[:, None]).T @ right + (wrong * each[:, None]).T @ wrong
    np.fill_diagonal(wins, 0.0)
    np.fill_diagonal(ties, 0.0)
    return Comparisons(wins, ties)


def strengths(compared: Comparisons, start: _Floats | None = None) -> _Floats:
    """Return the natural logarithms of the strengths, of mean 0, and last that of Davidson's t.

    Newton's method: the likelihood is concave. A faint ridge keeps finite what never lost.

    Args:
        compared: Of systems that `groups` finds to be one group.
        start: Logarithms to begin from.
    """
    x = np.zeros(len(compared.wins) + 1) if start is None else start
    value, slope, curve = _likelihood(compared, x)
    for _ in range(_MOST_STEPS):
        step = np.linalg.solve(curve, slope)
        share = 1.0
        while (after := _likelihood(compared, x + share * step))[0] < value and share > 1e-6:
            share /= 2
        x = x + share * step
        value, slope, curve = after
        if np.abs(share * step).max() < _TOLERANCE:
            break
    return np.append(x[:-1] - x[:-1].mean(), x[-1])


def _likelihood(compared: Comparisons, x: _Floats) -> tuple[float, _Floats, _Floats]:
    """Return the logarithm of the likelihood, its slope, and its negative second derivative."""
    wins, ties = compared
    both = wins + wins.T + ties
    s, t = x[:-1], x[-1]
    terms = np.stack(np.broadcast_arrays(s[:, None], s[None, :], t + (s[:, None] + s) / 2))
    top = terms.max(axis=0)
    total = top + np.log(np.exp(terms - top).sum(axis=0))
    row, column, tie = np.exp(terms - total)
    value = np.sum(wins * (terms[0] - total)) + np.sum(ties * (terms[2] - total)) / 2
    mean, other = row + tie / 2, column + tie / 2  # of what a strength is counted with
    slope = np.append((wins + ties / 2 - both * mean).sum(axis=1), np.sum(ties - both * tie) / 2)
    curve = np.zeros((len(x), len(x)))
    curve[:-1, :-1] = both * (tie / 4 - mean * other)
    curve[:-1, :-1][np.diag_indices(len(s))] = (both * (row + tie / 4 - mean**2)).sum(axis=1)
    curve[:-1, -1] = curve[-1, :-1] = (both * (tie / 2 - mean * tie)).sum(axis=1)
    curve[-1, -1] = np.sum(both * tie * (1 - tie)) / 2
    ridge = _RIDGE * np.eye(len(x))
    return float(value - _RIDGE * (x @ x) / 2), slope - _RIDGE * x, curve + ridge


def groups(compared: Comparisons) -> list[list[int]]:
    """Return the systems that problems in common hold together: ranks mean something within one."""
    met = compared.wins + compared.wins.T + compared.ties
    number, labels = connected_components(met > 0, directed=False)
    return [np.flatnonzero(labels == group).tolist() for group in range(number)]


def rank(
    results: Sequence[Sequence[float | None]], *, seed: int = 0, num_resamples: int = 200
) -> list[Place]:
    """Return the place of each system, in their order.

    Args:
        results: [problems, systems], the share of right attempts; None where there is none.
        seed: Of the bootstrap.
        num_resamples: Of the problems.

    Raises:
        InputError: Fewer than two systems, a share outside [0, 1], or systems that no problem holds
            together.
    """
    table = np.array([[np.nan if x is None else x for x in row] for row in results], dtype=float)
    if table.ndim != 2 or table.shape[1] < 2:
        raise InputError("a ranking needs two systems or more, and results of theirs")
    if ((table < 0) | (table > 1)).any():
        raise InputError("results must lie in [0, 1]")
    compared = compare_all(table)
    if len(groups(compared)) > 1:
        raise InputError("no problem holds all systems together: rank each group by itself")
    start = strengths(compared)
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(num_resamples):
        counts = np.bincount(rng.integers(len(table), size=len(table)), minlength=len(table))
        drawn.append(strengths(compare_all(table, counts.astype(float)), start)[:-1])
    points, resampled = start[:-1] * ELO, np.array(drawn) * ELO
    ranks = 1 + (resampled[:, None, :] > resampled[:, :, None]).sum(axis=2)
    tail = (1.0 - _CONFIDENCE) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail], axis=0)
    best, worst = np.quantile(ranks, [tail, 1 - tail], axis=0, method="nearest")
    columns = zip(points, low, high, best, worst, strict=True)
    return [Place(float(p), float(lo), float(hi), int(b), int(w)) for p, lo, hi, b, w in columns]
