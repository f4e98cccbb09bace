"""When more samples cannot change the answer, or are unlikely to; pure functions of the votes."""

import math
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MOST_CLASSES = 5  # the rest is too unlikely to win (Aggarwal et al. 2023)
_DEVIATIONS = 12.0  # of the leader's Gamma distribution; what lies further out is below 1e-15


def is_settled(votes: Sequence[float], remaining: float) -> bool:
    """Return whether the leader wins whatever the remaining votes are.

    Args:
        votes: Weight of each class of equal answers.
        remaining: Most weight that samples still to come can add.

    A tie goes to the class that was seen first, so a challenger has to pass the leader; a new
    class starts from nothing. Equality is not settled, since arrival may yet reorder the samples.
    """
    ranked = sorted(votes, reverse=True)
    runner_up = ranked[1] if len(ranked) > 1 else 0.0
    return bool(ranked) and ranked[0] > runner_up + remaining


def leader_probability(votes: Sequence[int]) -> float:
    """Return the posterior probability that the leading answer is the more likely of the top two.

    1 - BetaCDF(1/2; v1 + 1, v2 + 1) with a uniform prior, v1 >= v2 the two largest counts (v2 = 0
    for a single class). Aggarwal et al. 2023, "Let's Sample Step by Step", arXiv:2305.11860.
    """
    ranked = sorted(votes, reverse=True)
    if not ranked:
        return 0.0
    runner_up = ranked[1] if len(ranked) > 1 else 0
    # The lower tail of Beta(a, b) at 1/2 is P(Bin(a + b - 1, 1/2) >= a), a sum of integers.
    tosses = ranked[0] + runner_up + 1
    ways = term = 1
    for heads in range(1, runner_up + 1):
        term = term * (tosses - heads + 1) // heads
        ways += term
    every = 1 << tosses
    return (every - ways) / every


def dirichlet_probability(votes: Sequence[int]) -> float:
    """Return the posterior probability that the leading answer is the likeliest of all.

    P(p1 = max p) for p ~ Dirichlet(v1 + 1, ..., vk + 1), the five largest counts; with fewer than
    three classes it is `leader_probability`. Aggarwal et al. 2023, arXiv:2305.11860, draw samples;
    here the integral of f_1(x) prod_j F_j(x) over x is taken by quadrature, f_1 the density of
    Gamma(v1 + 1) and F_j the distribution function of Gamma(vj + 1), so that it is exact and the
    same every time.
    """
    ranked = sorted(votes, reverse=True)[:_MOST_CLASSES]
    if len(ranked) < 3:
        return leader_probability(ranked)
    import numpy as np  # takes 0.2 s, and the other rules need no array

    nodes, weights = _quadrature()
    middle, reach = ranked[0] + 1.0, _DEVIATIONS * math.sqrt(ranked[0] + 1.0)
    first = max(0.0, middle - reach)
    # The tail on the right is the heavier one, the more so for few votes.
    half = (middle + reach + 2 * _DEVIATIONS - first) / 2.0
    points = first + half * (nodes + 1.0)
    # Poisson(i; x), [i, points]. Its sum to v is 1 - F(x), its value at v the density f(x), of
    # Gamma(v + 1) both.
    counts = np.arange(ranked[0] + 1)
    logs = np.array([math.lgamma(count + 1.0) for count in counts])
    poisson = np.exp(counts[:, None] * np.log(points) - points - logs[:, None])
    below = 1.0 - np.cumsum(poisson, axis=0)
    others = np.prod(below[np.array(ranked[1:])], axis=0)
    return float(half * np.sum(weights * poisson[ranked[0]] * others))


@cache
def _quadrature() -> "tuple[NDArray[np.float64], NDArray[np.float64]]":
    """Return the points and weights of Gauss and Legendre on [-1, 1]."""
    import numpy as np

    return np.polynomial.legendre.leggauss(128)


def leader_share(votes: Sequence[float]) -> float:
    """Return the leading answer's share of the weight; 0 without weight.

    Fu et al. 2025, "Deep Think with Confidence", arXiv:2508.15260, stop at 0.95 of the weight.
    """
    total = sum(votes)
    return max(votes) / total if total > 0 else 0.0


def is_unanimous(answers: Sequence[int | None]) -> bool:
    """Return whether a window of samples agrees; a missing answer agrees with nothing.

    Li et al. 2024, "Escape Sky-high Cost: Early-stopping Self-Consistency", arXiv:2401.10480.
    """
    return bool(answers) and None not in answers and len(set(answers)) == 1
