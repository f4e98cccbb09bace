"""When more samples cannot change the answer, or are unlikely to."""

from collections.abc import Sequence

from scipy.special import betainc


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
