"""The time of one problem, which goes on over kills.

What was in flight when a process was killed starts anew, and would take its time again, while all
that is recorded would come at once: in another order than in a run that nobody killed, and so with
other decisions. Therefore a resumed run goes back to the moment at which the oldest request that
was in flight had been asked for. What was recorded up to then comes at once; from then on time
runs, recorded completions come when they had come, and requests in flight are asked for again when
they had been. As something was in flight all the while, that takes no longer than the request does.
"""

import asyncio
import heapq
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field

from tts.runtime.trace import never_loading

# What comes within it belongs together: what is recorded has its turn first, then what is new.
_MOMENT = 1e-4
_PATIENCE_SECONDS = 5.0  # with what is to be replayed, while no engine works


@dataclass(slots=True)
class Past:
    """What a log says of one problem's time, in seconds since its first session began.

    Attributes:
        names: Of all that it asked for, in the log.
        open: When each sample was asked for that neither came nor failed nor was decided against.
        last: When the last thing happened.
    """

    names: set[str] = field(default_factory=set)
    open: dict[str, float] = field(default_factory=dict)
    last: float = 0.0
    _samples: dict[str, list[str]] = field(default_factory=dict)

    def sent(self, name: str, samples: list[str], at: float) -> None:
        """Note a request, and the names of the samples that it asked for."""
        self._samples[name] = samples
        self.open.update(dict.fromkeys(samples, at))
        self.last = max(self.last, at)

    def ended(self, sample: str, at: float) -> None:
        """Note a sample that came or failed."""
        self.open.pop(sample, None)
        self.last = max(self.last, at)

    def decided(self, name: str, at: float) -> None:
        """Note that a reader wanted no more of a request."""
        for sample in self._samples.pop(name, ()):
            self.open.pop(sample, None)
        self.last = max(self.last, at)


# When, what of a moment's comes first, a number to tell equals apart, and what is waited with.
_Waiting = tuple[float, int, tuple[int, ...], int, asyncio.Future[None]]


class Clock:
    """Tells a problem's time, and lets what comes wait for its turn while a replay goes on.

    Args:
        past: What the log says of the problem.
        loading: Returns the seconds in which models were loaded so far, for which it stands still.
    """

    def __init__(self, past: Past, loading: Callable[[], float] = never_loading) -> None:
        self._loading = loading
        self._last = past.last
        self._begin = min(past.open.values(), default=past.last)
        self._is_replaying = bool(past.open)
        self._started: float | None = None
        self._moment = self._begin
        # What came in the moment at which time begins; without a replay nothing waits for it.
        self._first: list[_Waiting] | None = [] if self._is_replaying else None
        self._waiting: list[_Waiting] = []
        self._numbers = itertools.count()
        self._num_live = 0
        self._alarm: asyncio.TimerHandle | None = None
        self._patience: asyncio.TimerHandle | None = None

    @property
    def now(self) -> float:
        """Seconds of work on the problem; they stand still until what was in flight is asked."""
        if self._started is None:
            if self._is_replaying:
                return self._begin
            self._started = self._time()
        now = self._begin + self._time() - self._started
        return self._moment if now - self._moment < 2 * _MOMENT else now

    def recorded(self, at: float, place: tuple[int, ...] = ()) -> asyncio.Future[None] | None:
        """Return what a recorded thing waits for; None if it is its turn.

        Args:
            at: When it came.
            place: Of those that came within a moment, the lower is first.
        """
        now = self.now
        if self._first is not None and abs(at - self._begin) < _MOMENT:
            return self._wait_with_first(at, place)
        is_due = at <= now or (now == self._moment and at <= now + _MOMENT)
        if not self._is_replaying or is_due:
            self._watch()
            return None
        return self._wait(at, 0, place)

    def open(self, at: float) -> asyncio.Future[None] | None:
        """Return what a request waits for that was asked for at a time; None if it is its turn."""
        if self._is_replaying and self._started is None and at <= self._begin:
            self._start()
            return None
        return self.recorded(at)

    def came(self, place: tuple[int, ...]) -> asyncio.Future[None] | None:
        """Return what a new completion waits for; None if it is its turn.

        Args:
            place: Of those that came within a moment, the lower is first.
        """
        now = self.now
        if not self._is_replaying or self._started is None or now == self._moment:
            return None
        return self._wait(now, 1, place)

    def live(self, change: int) -> int:
        """Note a request to an engine (1), or its end (-1); returns a number that grows."""
        self._num_live += change
        self._watch()
        return next(self._numbers)

    def _wait_with_first(self, at: float, place: tuple[int, ...]) -> asyncio.Future[None]:
        """Wait until all that came in the first moment is there: it had come together."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        if not self._first:
            self._first = []
            loop.call_later(_MOMENT, self._release_first)
        self._first.append((at, 0, place, next(self._numbers), future))
        return future

    def _release_first(self) -> None:
        first, self._first = self._first, None
        _let_go(first or [])

    def _wait(self, at: float, rank: int, place: tuple[int, ...]) -> asyncio.Future[None]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (at, rank, place, next(self._numbers), future))
        self._set_alarm()
        self._watch()
        return future

    def _time(self) -> float:
        return asyncio.get_running_loop().time() - self._loading()

    def _start(self) -> None:
        self._started = self._time()
        self._set_alarm()

    def _set_alarm(self) -> None:
        """Be called when the first moment that somebody waits for is over."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self._waiting and self._started is not None:
            at = self._started + self._waiting[0][0] + _MOMENT - self._begin + self._loading()
            self._alarm = asyncio.get_running_loop().call_at(at, self._release)

    def _release(self) -> None:
        """Let all go that belong to a moment, what is recorded first."""
        if not self._waiting:
            return
        self._moment = self._waiting[0][0]
        until = self._moment + _MOMENT if self._is_replaying else math.inf
        turn = []
        while self._waiting and self._waiting[0][0] <= until:
            turn.append(heapq.heappop(self._waiting))
        _let_go(turn)
        self._set_alarm()
        self._watch()

    def _watch(self) -> None:
        """Lose patience where some wait and no engine works: the run goes another way now."""
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        if self._waiting and not self._num_live:
            loop = asyncio.get_running_loop()
            self._patience = loop.call_later(_PATIENCE_SECONDS, self._give_up)

    def _give_up(self) -> None:
        self._begin = max(self._last, self.now)
        self._is_replaying = False
        self._start()
        self._release()


def _let_go(turn: list[_Waiting]) -> None:
    """Let those of a moment go, what is recorded first."""
    for *_, future in sorted(turn, key=lambda one: one[1:4]):
        if not future.done():
            future.set_result(None)
