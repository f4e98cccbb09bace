"""How far a run has come, for whoever watches it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass

from tts.evals.metrics import wilson_interval
from tts.evals.plan import Plan
from tts.evals.records import Record
from tts.types.figures import Interval


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come.

    Attributes:
        done: Problems times repeats that are finished, those of earlier sessions included.
        total: All of them.
        accuracy: Share of the finished ones that are right; None while there are none.
        interval: Its 95 % interval; repeats of a problem count as one.
        tokens: Generated in this session, those of unfinished samples included, replayed ones left
            out.
        seconds: Of this session.
        kv_usage: Fraction of the engine's KV cache in use; None where the engine cannot tell.
        seconds_left: At this session's pace; None while it has finished nothing.
    """

    done: int
    total: int
    accuracy: float | None
    interval: Interval | None
    tokens: int
    seconds: float
    kv_usage: float | None
    seconds_left: float | None


Show = Callable[[Progress], None]
Watch = Callable[[Plan], AbstractContextManager[Show]]


def unseen(_: Progress) -> None:
    """Show nothing."""


def unwatched(_: Plan) -> AbstractContextManager[Show]:
    """Show nothing of a plan."""
    return nullcontext(unseen)


class Tally:
    """Right answers so far, kept up problem by problem."""

    def __init__(self, records: Iterable[Record]) -> None:
        self._marks: dict[str, tuple[int, int]] = {}  # right and finished repeats
        self._sum = 0.0  # of the problems' shares
        for record in records:
            self.add(record)

    def add(self, record: Record) -> None:
        """Count one more finished problem and repeat."""
        right, done = self._marks.get(record.id, (0, 0))
        before = right / done if done else 0.0
        right, done = right + (record.correct is True), done + 1
        self._marks[record.id] = right, done
        self._sum += right / done - before

    @property
    def accuracy(self) -> float | None:
        """Mean share of right answers over the problems; None while there are none."""
        return self._sum / len(self._marks) if self._marks else None

    @property
    def interval(self) -> Interval | None:
        """Its 95 % interval, as if each problem had been solved once: repeats are no problems."""
        total = len(self._marks)
        return wilson_interval(min(max(self._sum, 0.0), total), total) if total else None


@asynccontextmanager
async def every(seconds: float, action: Callable[[], None]) -> AsyncIterator[None]:
    """Repeat an action while the block runs."""

    async def repeat() -> None:
        while True:
            await asyncio.sleep(seconds)
            action()

    task = asyncio.create_task(repeat(), name="progress")
    try:
        yield
    finally:
        task.cancel()
