"""The runtime that `tts.solve` keeps between calls, in a thread with an event loop of its own."""

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from tts.errors import EngineError
from tts.session.runtime import Runtime, Users

T = TypeVar("T")


class Kept:
    """One runtime at a time, for whoever asks for the same engines; belongs to one event loop."""

    def __init__(self) -> None:
        self._runtime: Runtime | None = None
        self._users = Users()
        # Keeps calls apart that want another runtime.
        self._exchanging = asyncio.Lock()
        self._calls: set[asyncio.Task[Any]] = set()
        self._is_shut = False

    async def call(self, runtime: Runtime, work: Callable[[Runtime], Awaitable[T]]) -> T:
        """Work on the runtime that is kept, if it is made of the same parts; else on a new one.

        Args:
            runtime: Not yet used; kept from now on if it differs from the one before.
            work: What to do.

        Raises:
            EngineError: `shutdown` ended it.
        """
        task = asyncio.create_task(self._run(runtime, work))
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)
        try:
            return await task
        except asyncio.CancelledError:
            if self._is_shut:
                raise EngineError("tts.shutdown() ended this call") from None
            raise

    async def shutdown(self) -> None:
        """End the calls under way and free the engines."""
        self._is_shut = True
        while self._calls:
            for call in self._calls:
                call.cancel()
            await asyncio.wait(self._calls)
        await self._close()

    async def _run(self, runtime: Runtime, work: Callable[[Runtime], Awaitable[T]]) -> T:
        async with self._exchanging:
            if self._runtime is None or self._runtime.parts != runtime.parts:
                await self._users.gone()
                await self._close()
                self._runtime = runtime
            kept = self._runtime
            self._users.join()
        try:
            return await work(kept)
        finally:
            self._users.leave()

    async def _close(self) -> None:
        runtime, self._runtime = self._runtime, None
        if runtime is not None:
            await runtime.aclose()


class Session:
    """The thread behind `tts.solve`, with an event loop of its own.

    At exit it just ends: embedded engines and answer checkers see to their own end then, and an
    event loop's threads take no more work.
    """

    def __init__(self) -> None:
        # Keeps callers in different threads from starting two threads.
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._kept = Kept()
        self._process = os.getpid()  # in which the thread runs; a fork has the loop without it

    def call(self, runtime: Runtime, work: Callable[[Runtime], Awaitable[T]]) -> T:
        """Work in the session's loop and wait for it; an interrupt ends the work."""
        future = self._submit(runtime, work)
        try:
            return future.result()
        except KeyboardInterrupt:
            future.cancel()
            raise

    async def acall(self, runtime: Runtime, work: Callable[[Runtime], Awaitable[T]]) -> T:
        """Work in the session's loop; cancelling this ends the work."""
        return await asyncio.wrap_future(self._submit(runtime, work))

    def _submit(self, runtime: Runtime, work: Callable[[Runtime], Awaitable[T]]) -> Future[T]:
        self._check_process()
        with self._lock:
            if self._loop is None:
                self._process = os.getpid()
                self._loop, self._kept = asyncio.new_event_loop(), Kept()
                threading.Thread(target=_serve, args=(self._loop,), name="tts", daemon=True).start()
            return asyncio.run_coroutine_threadsafe(self._kept.call(runtime, work), self._loop)

    def _check_process(self) -> None:
        """Refuse to wait for a thread that only the parent has.

        Without the lock, which may have been held when the process was forked.
        """
        if self._loop is not None and self._process != os.getpid():
            raise EngineError(
                f"this process was forked from process {self._process}, which holds the engines of "
                "tts.solve; start it by multiprocessing.get_context('spawn'), or call "
                "tts.shutdown() before the fork"
            )

    def shutdown(self) -> None:
        """Free the engines and end the thread.

        Raises:
            EngineError: They belong to the process from which this one was forked.
        """
        self._check_process()
        with self._lock:
            loop, self._loop = self._loop, None
        if loop is None:
            return
        asyncio.run_coroutine_threadsafe(self._kept.shutdown(), loop).result()
        loop.call_soon_threadsafe(loop.stop)


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        loop.close()


SESSION = Session()
