"""The race for a vote: how sure its leader is, and what further votes are worth.

A vote is decided between its two largest classes. Of the votes for these two, the share of one is
unknown; with a symmetric Beta(a, a) prior, `lead` against `second` votes leave
Beta(lead + a, second + a), and the leader is the likelier answer with probability
I_1/2(second + a, lead + a). At a = 1 this is the criterion of Adaptive-Consistency (Aggarwal et al.
2023, arXiv:2305.11860). A model whose samples mostly agree has a < 1, and then two equal answers
say more; `fit_race` finds a from recorded votes.

Further votes are worth what they may change: with m more, the leader will be someone else with some
probability, and then the vote is right more often than it would have been. This expected gain is
the knowledge gradient (Frazier, Powell and Dayanik 2008, doi:10.1137/070693424).
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tts.errors import InputError, optional_import

with optional_import("the allocation of a budget"):
    from scipy.optimize import minimize_scalar
    from scipy.special import betainc, betaln, gammaln

HORIZONS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
DEFAULT_CONCENTRATION = 0.5
_LIMITS = (0.02, 20.0)
_Array = NDArray[np.float64]


def certainty(lead: _Array, second: _Array, concentration: float) -> _Array:
    """Return the posterior probability that the leader is the likelier of the two."""
    a = concentration
    return np.asarray(betainc(second + a, lead + a, 0.5))


def gain_per_vote(lead: _Array, second: _Array, concentration: float) -> _Array:
    """Return the gain of further votes, for each of them, at the horizon where that is largest.

    With i of m further votes for the leader, the one who then leads is the likelier with
    probability max(q, 1 - q), q the certainty at (lead + i, second + m - i); i is beta-binomial.
    One vote seldom changes anything, so that the gain of m = 1 alone would stop too early.

    Args:
        lead: Votes of the leader.
        second: Votes of the second, never more.
        concentration: a of the prior.
    """
    a = concentration
    now = certainty(lead, second, a)
    best = np.zeros_like(now)
    for horizon in HORIZONS:
        ours = np.arange(horizon + 1, dtype=np.float64)
        x, y = lead[..., None] + a, second[..., None] + a
        chance = np.exp(
            gammaln(horizon + 1)
            - gammaln(ours + 1)
            - gammaln(horizon - ours + 1)
            + betaln(x + ours, y + horizon - ours)
            - betaln(x, y)
        )
        then = betainc(y + horizon - ours, x + ours, 0.5)
        gain = np.sum(chance * np.maximum(then, 1.0 - then), axis=-1) - now
        best = np.maximum(best, gain / horizon)
    return best


class GainTable:
    """`gain_per_vote` of whole numbers, worked out once for each pair."""

    def __init__(self, concentration: float) -> None:
        """Start empty."""
        self.concentration = concentration
        self._gains = np.full((32, 32), np.nan)

    def __call__(self, lead: NDArray[np.int64], second: NDArray[np.int64]) -> _Array:
        """Return the gain of each pair."""
        size = len(self._gains)
        if lead.size and (most := int(lead.max())) >= size:
            grown = np.full((2 * most, 2 * most), np.nan)
            grown[:size, :size] = self._gains
            self._gains = grown
        found = self._gains[lead, second]
        if (unknown := np.isnan(found)).any():
            pairs = np.unique(np.stack([lead[unknown], second[unknown]]), axis=1)
            x, y = pairs.astype(np.float64)
            self._gains[pairs[0], pairs[1]] = gain_per_vote(x, y, self.concentration)
            found = self._gains[lead, second]
        return np.asarray(found)


@lru_cache(maxsize=8)
def gain_table(concentration: float) -> GainTable:
    """Return the table of a concentration, the same one each time: it only ever grows."""
    return GainTable(concentration)


def fit_race(lead: Sequence[int], second: Sequence[int]) -> float:
    """Return the concentration of largest likelihood for the final votes of many problems.

    Problems without a vote say nothing. Unanimous votes alone drive it to its lower limit, which a
    weak prior on its logarithm (half a problem's worth) keeps from being reached.

    Raises:
        InputError: No problem has a vote, or a second has more votes than its leader.
    """
    x, y = np.asarray(lead, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if x.shape != y.shape or (y > x).any() or (y < 0).any():
        raise InputError("a race needs the votes of a leader and of a second that has no more")
    if not (x > 0).any():
        raise InputError("no problem has a vote, so nothing tells how votes go on")

    def loss(log_a: float) -> float:
        a = np.exp(log_a)
        likelihood = float(np.sum(betaln(x + a, y + a) - betaln(a, a)))
        return float(0.25 * (log_a - np.log(DEFAULT_CONCENTRATION)) ** 2 - likelihood)

    low, high = np.log(_LIMITS)
    return float(np.exp(minimize_scalar(loss, bounds=(low, high), method="bounded").x))
