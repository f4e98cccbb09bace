"""When more samples cannot change the answer, or are unlikely to; pure functions of the votes."""

from collections.abc import Sequence

import numpy as np
from scipy.special import betainc, gammainc, gammaincinv

_MOST_CLASSES = 5  # the rest is too unlikely to win (Aggarwal et al. 2023)
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(128)


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
    # By symmetry at 1/2 the upper tail of Beta(a, b) is the lower tail of Beta(b, a).
    return float(betainc(runner_up + 1, ranked[0] + 1, 0.5))


def dirichlet_probability(votes: Sequence[int]) -> float:
    """Return the posterior probability that the leading answer is the likeliest of all.

    P(p1 = max p) for p ~ Dirichlet(v1 + 1, ..., vk + 1), the five largest counts; with fewer than
    three classes it is `leader_probability`. Aggarwal et al. 2023, arXiv:2305.11860, draw samples;
    here the integral of prod_j F_j(F_1^-1(u)) over u in [0, 1] is taken by quadrature, F_j the
    distribution function of Gamma(vj + 1), so that it is exact and the same every time.
    """
    ranked = sorted(votes, reverse=True)[:_MOST_CLASSES]
    if len(ranked) < 3:
        return leader_probability(ranked)
    shapes = np.array(ranked, dtype=np.float64) + 1.0
    points = gammaincinv(shapes[0], (_NODES + 1.0) / 2.0)
    others = np.prod(gammainc(shapes[1:, None], points[None, :]), axis=0)
    return float(np.sum(_WEIGHTS * others) / 2.0)


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
