"""Keeps what a run's problems cost at the mean that they shall cost, whatever was predicted.

What the problems before have left over, or spent beyond the mean, moves the share of those that
decide now: an online primal-dual scheme (as Balseiro, Lu and Mirrokni 2020, "Dual Mirror Descent
for Online Allocation Problems", arXiv:2002.10421, with multiplicative updates), in which a share
stands for the price that belongs to it. It needs neither to know how many problems there are nor
when they come, and no forecast that holds: what a wrong one leaves over is spent on the problems
that follow. That nothing is exceeded is the ledger's doing.
"""

import math
from collections.abc import Callable
from typing import Self

from tts.runtime.log import Arrivals
from tts.types.figures import Counted

_WINDOW = 4  # problems, at least, among which a balance is shared
_MOST = 3.0  # of the logarithm of a share to the mean


class Account:
    """What the problems of a run that share one mean have spent.

    Easy problems end first, so what those that have ended left over says little of what those that
    began with them will cost. Therefore a surplus counts when all that began before have ended too;
    what all others have spent together beyond their means is lost already, and counts at once.

    Args:
        mean: What they shall cost on average.
    """

    def __init__(self, mean: float) -> None:
        self._mean = mean
        self._surplus = 0.0  # of the problems before which all have ended
        self._others: dict[object, float] = {}  # in the order in which they began
        self._ended: set[object] = set()
        self._spent = 0.0  # by the others

    def open(self, problem: object) -> None:
        """Take in a problem that begins."""
        self._others[problem] = 0.0

    def share(self, problem: object, spent: float) -> float:
        """Return what a problem that has spent so much may cost in all."""
        self._note(problem, spent)
        overdrawn = max(0.0, self._spent - self._mean * len(self._others))
        among = max(_WINDOW, len(self._others) - len(self._ended))
        step = (self._surplus - overdrawn) / (among * self._mean)
        return self._mean * math.exp(min(max(step, -_MOST), _MOST))

    def close(self, problem: object, spent: float) -> None:
        """Take in what a problem has cost that has ended."""
        self._note(problem, spent)
        self._ended.add(problem)
        while (first := next(iter(self._others), None)) in self._ended:
            self._ended.discard(first)
            cost = self._others.pop(first)
            self._spent -= cost
            self._surplus += self._mean - cost

    def _note(self, problem: object, spent: float) -> None:
        self._spent += spent - self._others[problem]
        self._others[problem] = spent


class Accounts:
    """The accounts of a run, by mean and unit."""

    def __init__(self) -> None:
        self._known: dict[tuple[float, Counted], Account] = {}

    def of(self, mean: float, unit: Counted) -> Account:
        """Return the account of the problems that shall cost so much."""
        return self._known.setdefault((mean, unit), Account(mean))


class ProblemPace:
    """The account as one problem sees it; implements `tts.protocols.Pace`.

    Args:
        account: Of the run.
        spent: Returns what the problem has cost so far.
        past: The shares that it was told, kept in the run's log, so that a resumed problem is told
            the same.
    """

    def __init__(self, account: Account, spent: Callable[[], float], past: Arrivals) -> None:
        self._account = account
        self._spent = spent
        self._past = past

    def share(self) -> float:
        """Return what the problem may cost in all, as things stand."""
        now = self._account.share(self, self._spent())
        told = self._past.expected or f"{now:.6g}"
        self._past.note(told)
        return float(told)

    def __enter__(self) -> Self:
        """Say that the problem begins."""
        self._account.open(self)
        return self

    def __exit__(self, *_: object) -> None:
        """Say that the problem has ended."""
        self._account.close(self, self._spent())
