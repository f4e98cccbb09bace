"""When the calls of one endpoint may start: together they wait, together they go on."""

import asyncio
from collections import deque
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import asyncio_throttle

from tts.engine.remote.faults import Fault

_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0
_SPEED_UP = 0.995  # of the learned spacing, per call that was taken
_SLOW_DOWN = (1.1, 1.5)  # of it, at a refusal: at least and at most
_FAILURES = 3  # in a row, of calls that a server took and did not answer
_LONGEST_SPACING = 1.0  # seconds; what is slower is told by refusals themselves


@dataclass(slots=True)
class Turn:
    """One call that has started, by the loop's clock."""

    started: float


class Pace:
    """Slots, rate and pauses of one endpoint, in one event loop.

    The first call goes alone until its answer begins: what it learns, the others need not learn
    again. After a refusal nothing starts until the pause is over; then one call goes alone once
    more, and the others keep the distance at which the server took them before.
    """

    def __init__(self, *, concurrency: int, rate: float | None) -> None:
        """Allow `concurrency` calls at once, and `rate` starts per second."""
        self._loop = asyncio.get_running_loop()
        self._concurrency = concurrency
        self.throttle: AbstractAsyncContextManager[Any] = nullcontext()
        if rate is not None:
            calls = max(1, int(rate))
            self.throttle = asyncio_throttle.Throttler(rate_limit=calls, period=calls / rate)
        self._is_proven = False
        self._active = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._alarm: asyncio.TimerHandle | None = None
        self._resumes = 0.0  # nothing starts before
        self._spacing = 0.0  # seconds between starts
        self._taken = 0  # calls in the window
        self._window = 0.0  # when it began
        self._refused_at = 0.0
        self._heard_at = 0.0
        self._given_up: tuple[Fault, float] | None = None
        self._failures = 0  # in a row
        self.pauses = 0  # in a row, without a call that was taken

    def turn(self) -> "_Turning":
        """Wait for a slot, and keep it for the block."""
        return _Turning(self)

    def taken(self) -> None:
        """Say that the server has taken a call."""
        self._is_proven = True
        self.found()
        if self._taken == 0:
            self._window = self._loop.time()
        self._taken += 1
        self._spacing *= _SPEED_UP
        self._wake()

    def found(self) -> None:
        """Say that the server is there."""
        self._given_up = None
        self._failures = 0
        self.pauses = 0

    def heard(self) -> None:
        """Say that the server has sent something."""
        self._heard_at = self._loop.time()

    def is_mute_since(self, turn: Turn) -> bool:
        """Whether the server has sent nothing at all since a call started."""
        return self._heard_at < turn.started

    def give_up(self, fault: Fault) -> None:
        """Let calls fail at once, but for one now and then, alone, that looks for the server."""
        self._given_up = fault, self._loop.time() + backoff(max(1, self.pauses))
        self._is_proven = False
        self._resumes = 0.0
        self._wake()

    def failed(self, fault: Fault) -> None:
        """Say that a call failed which others may take: at an outage the server is given up.

        So it is after several calls in a row that it failed at; one alone may be the call's fault.
        """
        self._failures += 1
        is_outage = fault.kind not in ("broken", "odd", "late")
        if not self.is_away and (is_outage or self._failures >= _FAILURES):
            self.give_up(fault)

    @property
    def is_away(self) -> bool:
        """Whether calls fail at once now."""
        return self._given_up is not None and self._loop.time() < self._given_up[1]

    def given_up(self) -> Fault | None:
        """Return why a call need not be tried."""
        if self._given_up is None:
            return None
        fault, look_at = self._given_up
        if self._loop.time() < look_at:
            return fault
        self.pauses += 1
        self._given_up = fault, self._loop.time() + backoff(self.pauses)
        return None

    def refused(self, turn: Turn, *, wait: float | None, is_outage: bool) -> None:
        """Say that the server has no room, or is not there: all calls pause.

        Args:
            turn: The call that was refused.
            wait: Seconds that the server asks for; None doubles the last pause.
            is_outage: It is not there or failed, which tells nothing of its pace.
        """
        now = self._loop.time()
        if turn.started >= self._refused_at:  # else one of those that were under way with another
            self._refused_at = now
            self.pauses += 1
            pause = backoff(self.pauses) if wait is None else wait
            if self._taken and not is_outage:
                self._slow_down((now + pause - self._window) / self._taken)
                self._taken //= 2  # half of what was seen still counts the next time
                self._window = (now + pause + self._window) / 2
            self._is_proven = False
            wait = pause
        if wait is not None:
            self._resumes = max(self._resumes, now + wait)
        self._wake()

    def _slow_down(self, seen: float) -> None:
        """Start calls at a greater distance: as seen, if that is not far from what it was."""
        least, most = (self._spacing * factor for factor in _SLOW_DOWN)
        spacing = min(max(seen, least), most) if self._spacing else seen
        # Servers that refuse at random would else be asked ever more slowly.
        self._spacing = min(spacing, _LONGEST_SPACING)

    async def start(self) -> None:
        """Wait for a slot; `end` must follow."""
        if self._waiting or not self._may_start():
            future = self._loop.create_future()
            self._waiting.append(future)
            self._wake()
            try:
                await future
            except asyncio.CancelledError:
                if not future.cancelled():  # its turn had come
                    self._active -= 1
                elif future in self._waiting:
                    self._waiting.remove(future)
                self._wake()
                raise
        else:
            self._begin()

    def begun(self) -> Turn:
        """Return the turn of a call that starts now."""
        return Turn(self._loop.time())

    def end(self) -> None:
        """Give the slot back."""
        self._active -= 1
        self._wake()
        if self._active == 0 and not self._waiting:
            self._taken = 0  # nothing to call: the time until the next one tells nothing

    def _may_start(self) -> bool:
        room = self._concurrency if self._is_proven else 1
        return self._active < room and self._loop.time() >= self._resumes

    def _begin(self) -> None:
        self._active += 1
        if self._spacing:
            self._resumes = max(self._resumes, self._loop.time()) + self._spacing

    def _wake(self) -> None:
        """Let those go on that may, and come back when the next may."""
        while self._waiting and self._may_start():
            future = self._waiting.popleft()
            if not future.done():
                self._begin()
                future.set_result(None)
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self._waiting and self._loop.time() < self._resumes:
            self._alarm = self._loop.call_at(self._resumes, self._wake)


class _Turning:
    """The block of one call."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace

    async def __aenter__(self) -> Turn:
        """Wait for a slot and for the rate."""
        await self._pace.start()
        try:
            async with self._pace.throttle:
                return self._pace.begun()
        except BaseException:
            self._pace.end()
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give the slot back."""
        self._pace.end()


def backoff(count: int) -> float:
    """Return the seconds of the `count`-th wait in a row, from 1: each is twice the last."""
    return float(min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2 ** min(count - 1, 16)))
