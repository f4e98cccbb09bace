"""Keeps what a run's problems cost at the mean that they shall cost, whatever was predicted.

What the problems before have left over, or spent beyond the mean, moves the share of those that
decide now: an online primal-dual scheme (as Balseiro, Lu and Mirrokni 2020, "Dual Mirror Descent
for Online Allocation Problems", arXiv:2002.10421, with multiplicative updates), in which a share
stands for the price that belongs to it. It needs neither to know how many problems there are nor
when they come, and no forecast that holds: what a wrong one leaves over is spent on the problems
that follow. That nothing is exceeded is the ledger's doing.
"""

import math
from typing import Self

from tts.protocols import Counted
from tts.runtime.ledger import Ledger
from tts.runtime.log import Arrivals

_WINDOW = 4  # problems, at least, among which a surplus is shared
_MOST = 3.0  # of the logarithm of a share to the mean


class Account:
    """What the problems of a run that share one mean have spent.

    Args:
        mean: What they shall cost on average.
    """

    def __init__(self, mean: float) -> None:
        self._mean = mean
        self._surplus = 0.0  # of the problems that have ended
        self._overdrawn = 0.0  # of those that run, what is beyond the mean
        self._open: dict[object, float] = {}

    def share(self, problem: object, spent: float) -> float:
        """Return what a problem that has spent so much may cost in all."""
        self._forget(problem)
        self._open[problem] = spent
        self._overdrawn += max(0.0, spent - self._mean)
        among = max(_WINDOW, len(self._open))
        step = (self._surplus - self._overdrawn) / (among * self._mean)
        return self._mean * math.exp(min(max(step, -_MOST), _MOST))

    def close(self, problem: object, spent: float) -> None:
        """Take in what a problem has cost that has ended."""
        if self._forget(problem):
            self._surplus += self._mean - spent

    def _forget(self, problem: object) -> bool:
        before = self._open.pop(problem, None)
        self._overdrawn -= max(0.0, (before or 0.0) - self._mean)
        return before is not None


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
        ledger: Of the problem.
        unit: What is counted.
        past: The shares that it was told, kept in the run's log, so that a resumed problem is told
            the same.
    """

    def __init__(self, account: Account, ledger: Ledger, unit: Counted, past: Arrivals) -> None:
        self._account = account
        self._ledger = ledger
        self._unit = unit
        self._past = past

    def share(self) -> float:
        """Return what the problem may cost in all, as things stand."""
        now = self._account.share(self, self._ledger.charged(self._unit))
        told = self._past.expected or f"{now:.6g}"
        self._past.note(told)
        return float(told)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Say that the problem has ended."""
        self._account.close(self, self._ledger.charged(self._unit))
