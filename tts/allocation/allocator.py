"""One budget for many problems: the next samples go where they are expected to buy most.

After a short probe of every problem, each slice of the budget goes to the problems with the largest
gain per cost (`tts.allocation.support`). A settled problem gains nothing; one whose answers are
missing costs much for each vote, and so falls behind by itself. This is the greedy allocation by
marginal gain of Damani et al. 2024, "Learning How Hard to Think", arXiv:2410.04707, on votes in
place of a trained predictor, and online: problems may be added at any time, and observations may
come late and in any order.

The decisions are pure functions of what was observed; who draws the samples is the caller's affair.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tts.allocation.support import Belief, chances, gains_of
from tts.errors import BudgetError

_Ints = NDArray[np.int64]
_Floats = NDArray[np.float64]


class RunAllocator:
    """Shares one budget among problems, slice by slice.

    Args:
        belief: About the model on this kind of problems.
        budget: In the unit of the costs that are observed.
        sample_cost: Expected cost of a sample before any was seen.
        probe: Samples that every problem gets first.
        most: Most samples of one problem.
        least_gain: Below this gain per cost a problem is given up, whatever is left; at 0 none is,
            and what promises nothing anywhere goes to the problems with the fewest samples.

    Raises:
        BudgetError: The budget does not buy one sample.
    """

    def __init__(
        self,
        belief: Belief,
        budget: float,
        *,
        sample_cost: float = 1.0,
        probe: int = 2,
        most: int = 1_000_000,
        least_gain: float = 0.0,
    ) -> None:
        if not budget >= sample_cost > 0:
            raise BudgetError(
                f"a run budget of {budget:g} does not buy one sample, which costs {sample_cost:g}"
            )
        self.belief = belief
        self.budget = budget
        self.spent = 0.0
        self._sample_cost = sample_cost
        self._probe = probe
        self._most = most
        self._least_gain = least_gain
        self._per_sample = gains_of(belief)
        self._counts = np.zeros((0, 4), dtype=np.int64)
        self._asked = np.zeros(0, dtype=np.int64)  # granted, whether observed yet or not
        self._seen = np.zeros(0, dtype=np.int64)
        self._cost = np.zeros(0)
        self._gain = np.zeros(0)  # of the next sample, at what was seen when it was last asked for
        self._is_stale = np.zeros(0, dtype=np.bool_)

    def __len__(self) -> int:
        """Return the number of problems."""
        return len(self._asked)

    @property
    def num_samples(self) -> _Ints:
        """Samples observed of each problem."""
        return self._seen.copy()

    @property
    def certainties(self) -> _Floats:
        """Chance of each problem's leader to be right."""
        ranked = -np.sort(-self._counts, axis=1)
        return np.asarray(chances(self.belief, ranked).seen[:, 0])

    def affordable(self) -> int:
        """Return how many problems the whole budget gives one sample each."""
        return int(self.budget // self._sample_cost)

    def add(self, num_problems: int) -> range:
        """Add problems, at any time; returns their places."""
        start = len(self)
        grown = start + num_problems
        self._counts = np.vstack(
            [self._counts, np.zeros((num_problems, self._counts.shape[1]), int)]
        )
        self._asked = np.append(self._asked, np.zeros(num_problems, int))
        self._seen = np.append(self._seen, np.zeros(num_problems, int))
        self._cost = np.append(self._cost, np.zeros(num_problems))
        self._gain = np.append(self._gain, np.zeros(num_problems))
        self._is_stale = np.append(self._is_stale, np.ones(num_problems, dtype=np.bool_))
        return range(start, grown)

    def observe(
        self,
        problems: Sequence[int] | _Ints,
        classes: Sequence[int] | _Ints,
        costs: Sequence[float] | _Floats | None = None,
    ) -> None:
        """Take in finished samples.

        Args:
            problems: Place of each sample's problem.
            classes: Class of equal answers, from 0 within each problem; -1 for no answer.
            costs: What each had cost; `sample_cost` each if None.
        """
        places, groups = np.asarray(problems, int), np.asarray(classes, int)
        paid = np.full(len(places), self._sample_cost) if costs is None else np.asarray(costs)
        if len(groups) and (most := int(groups.max())) >= self._counts.shape[1]:
            wider = np.zeros((len(self), 2 * most), dtype=np.int64)
            wider[:, : self._counts.shape[1]] = self._counts
            self._counts = wider
        voted = groups >= 0
        np.add.at(self._counts, (places[voted], groups[voted]), 1)
        np.add.at(self._seen, places, 1)
        np.add.at(self._cost, places, paid)
        self._is_stale[places] = True
        self.spent += float(paid.sum())

    def next_slice(self, slice_budget: float, *, per_problem: int = 1) -> _Ints:
        """Return how many samples each problem gets now, for at most `slice_budget` in all.

        Problems that lack their probe come first, in order; then those of largest gain per cost.
        What was granted and not yet observed counts as spent at its expected cost. None is granted
        when nothing is left, or nothing promises as much as `least_gain`.
        """
        expected = self._expected_cost()
        in_flight = float(((self._asked - self._seen) * expected).sum())
        left = min(slice_budget, self.budget - self.spent - in_flight)
        missing = np.clip(self._probe - self._asked, 0, None)
        grants = _fill(np.flatnonzero(missing), missing, expected, left)
        left -= float((grants * expected).sum())
        if not missing.any() or (grants == missing).all():
            grants += self._best(expected, left, per_problem, grants)
        self._asked += grants
        return grants

    def gains(self) -> _Floats:
        """Return each problem's gain per cost at what was observed.

        What is in flight will have taken its part of the gain; nothing is gained before the first
        sample has come, or where a problem has its most.
        """
        in_flight = self._asked - self._seen
        gains = self._fresh_gains() / self._expected_cost()
        return np.where(self._is_open(), gains / (1.0 + in_flight), 0.0)

    def _fresh_gains(self) -> _Floats:
        stale = np.flatnonzero(self._is_stale)
        counts, seen = self._counts[stale], self._seen[stale]
        self._gain[stale] = self._per_sample(counts, seen, self._most - seen)
        self._is_stale[stale] = False
        return self._gain

    def _is_open(self) -> NDArray[np.bool_]:
        is_told: NDArray[np.bool_] = (self._seen > 0) | (self._asked == 0)
        return np.logical_and(self._asked < self._most, is_told)

    def _best(self, expected: _Floats, left: float, per_problem: int, now: _Ints) -> _Ints:
        gains = self.gains()
        order = np.lexsort((self._asked, -gains))
        takes = self._is_open() & (now == 0) & (gains >= self._least_gain)
        wanted = np.minimum(per_problem, self._most - self._asked)
        return _fill(order[takes[order]], wanted, expected, left)

    def _expected_cost(self) -> _Floats:
        # The prior is worth one sample.
        return np.asarray((self._cost + self._sample_cost) / (self._seen + 1))


def _fill(order: _Ints, wanted: _Ints, cost: _Floats, left: float) -> _Ints:
    """Grant what is wanted in order while it fits; the first that does not fit gets what does."""
    grants = np.zeros(len(wanted), dtype=np.int64)
    total = np.cumsum(wanted[order] * cost[order])
    fits = total <= left + 1e-9
    grants[order[fits]] = wanted[order[fits]]
    if not fits.all():
        first = int(np.argmin(fits))
        before = float(total[first - 1]) if first else 0.0
        room = max(0.0, left - before)
        grants[order[first]] = min(wanted[order[first]], int(room / cost[order[first]] + 1e-9))
    return grants
