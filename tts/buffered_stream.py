"""A completion stream that an engine fills from elsewhere: a thread, an HTTP client, a script."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, Protocol, Self, TypeVar

from tts.errors import EngineError, TTSError
from tts.types import Usage, sum_usage


class HasUsage(Protocol):
    """Anything that says what it cost."""

    @property
    def usage(self) -> Usage:
        """What it cost."""
        ...


T = TypeVar("T")
R = TypeVar("R", bound=HasUsage)


class BufferedStream(Generic[T, R]):
    """Hands out completions in the order in which they were put in.

    What `aclose` returns is the cost of exactly those completions that `__anext__` did not return:
    the aborted ones with the tokens that they had generated, and those that had finished but were
    not read. Every call of `aclose` returns the same figure, so that each completion is counted
    once: with its own usage when it was read, in `aclose` when it was not.

    All methods belong to the event loop in which the stream was made; other threads go through
    `loop.call_soon_threadsafe`.
    """

    def __init__(
        self,
        n: int,
        *,
        convert: Callable[[T], R],
        abort: Callable[[], Awaitable[Usage]],
    ) -> None:
        """Prepare to receive `n` completions.

        Args:
            n: Completions to come.
            convert: Makes a completion of what was put in, when it is read.
            abort: Stops what still runs and returns what that had cost; may be called once.
        """
        self.loop = asyncio.get_running_loop()
        self._to_come = n
        self._convert = convert
        self._abort = abort
        self._items: deque[T] = deque()
        self._error: TTSError | None = None
        self._lost = Usage()
        self._closing: asyncio.Future[Usage] | None = None
        self._waiter: asyncio.Future[None] | None = None

    def put(self, item: T) -> None:
        """Add a finished completion."""
        self._items.append(item)
        self._to_come -= 1
        self._wake()

    def fail(self, error: TTSError, lost: Usage) -> None:
        """Say that no further completion will come, why, and what the missing ones had cost."""
        if self._error is None:
            self._error, self._lost = error, lost
            self._wake()

    def __aiter__(self) -> Self:
        """Return the stream itself."""
        return self

    async def __anext__(self) -> R:
        """Return the next completion; see `tts.protocols.CompletionStream`."""
        while self._closing is None:
            if self._items:
                return self._convert(self._items.popleft())
            if self._error is not None:
                raise self._error
            if self._to_come == 0:
                break
            self._waiter = self.loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        raise StopAsyncIteration

    async def aclose(self) -> Usage:
        """Abort what still runs; see the class for what is returned."""
        if self._closing is None:
            self._closing = self._close()
            self._wake()
        # Shielded: a caller that is cancelled here must not undo the abort.
        return await asyncio.shield(self._closing)

    def _close(self) -> asyncio.Future[Usage]:
        """Return the cost of what was not read: at once, unless there is something to abort."""
        if self._to_come and self._error is None:
            return self.loop.create_task(self._abort_rest())
        closed: asyncio.Future[Usage] = self.loop.create_future()
        closed.set_result(self._unread())
        return closed

    async def _abort_rest(self) -> Usage:
        aborted = Usage()
        # An engine that died first has said through `fail` what was lost.
        with contextlib.suppress(TTSError):
            aborted = await self._abort()
        return aborted + self._unread()

    def _unread(self) -> Usage:
        unread = [self._convert(item).usage for item in self._items]
        self._items.clear()
        return sum_usage([self._lost, *unread])

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


async def only(stream: BufferedStream[T, R]) -> R:
    """Return a stream's only item, and close the stream."""
    try:
        return await anext(stream)
    finally:
        await stream.aclose()


def as_error(error: BaseException, what: str) -> TTSError:
    """Return our own errors as they are, and wrap others in an EngineError."""
    if isinstance(error, TTSError):
        return error
    wrapped = EngineError(f"{what}: {type(error).__name__}: {error}")
    wrapped.__cause__ = error
    return wrapped
