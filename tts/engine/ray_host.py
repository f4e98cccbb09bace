"""The inside of a Ray actor: engines that answer a driver elsewhere.

What finishes is kept until the driver fetches the news, all of it at once: one call for however
many completions there are.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from tts.buffered_stream import as_error
from tts.errors import TTSError
from tts.protocols import Capabilities, CompletionStream, Engine
from tts.types import Completion, GenerationRequest, ModelInfo, Usage

OpenEngines = Callable[[], Awaitable[Sequence[Engine]]]
_GATHER_SECONDS = 0.002  # for what else finishes in the same step
# Between two news of a busy actor: each costs the driver as much as the work on a sample or two.
_APART_SECONDS = 0.05
_QUIET_SECONDS = 1.0  # without news, until the driver is told at least how far it is


@dataclass(frozen=True, slots=True)
class State:
    """How far an engine is; see `tts.protocols.Engine` for each."""

    kv_usage: float | None = None
    num_preemptions: int | None = None
    tokens_in_flight: int = 0


@dataclass(slots=True)
class News:
    """What has happened since the last news.

    Attributes:
        life: Of which life of the actor they are.
        finished: Completions, by the number of their request.
        failed: Streams that ended with an error, and what their rest had cost.
        states: Of the engines, in order.
    """

    life: str
    finished: list[tuple[int, Completion]] = field(default_factory=list)
    failed: list[tuple[int, TTSError, Usage]] = field(default_factory=list)
    states: list[State] = field(default_factory=list)


class Host:
    """Runs engines for a driver.

    Args:
        open_engines: Starts the engines, in this process.
    """

    def __init__(self, open_engines: OpenEngines) -> None:
        self._open_engines = open_engines
        self._engines: Sequence[Engine] = ()
        self._running: dict[int, tuple[CompletionStream, asyncio.Task[None]]] = {}
        self._life = uuid4().hex
        self._news = News(self._life)
        self._num_sent = 0
        self._told = 0.0
        self._has_news = asyncio.Event()

    async def start(self) -> tuple[str, list[tuple[ModelInfo, Capabilities]]] | TTSError:
        """Start the engines, once.

        Returns:
            Which life of the actor this is, and what the engines are; or why one does not start.
        """
        if not self._engines:
            try:
                self._engines = await self._open_engines()
            except TTSError as error:
                return error
        return self._life, [(engine.info, engine.capabilities) for engine in self._engines]

    async def generate(self, number: int, engine: int, request: GenerationRequest) -> None:
        """Start a request; what comes of it is news."""
        stream = self._engines[engine].generate(request)
        task = asyncio.create_task(self._follow(number, stream))
        self._running[number] = stream, task

    async def _follow(self, number: int, stream: CompletionStream) -> None:
        try:
            async for completion in stream:
                self._news.finished.append((number, completion))
                self._has_news.set()
        except Exception as error:
            self._running.pop(number, None)
            lost = await stream.aclose()
            self._news.failed.append((number, as_error(error, "the engine failed"), lost))
            self._has_news.set()
        else:
            self._running.pop(number, None)

    async def close(self, number: int) -> tuple[Usage, int]:
        """Abort what is left of a request.

        Returns:
            What it had cost, but for completions that are news; and how many news must have been
            taken for all of those to be known.
        """
        lost = Usage()
        if number in self._running:
            stream, task = self._running.pop(number)
            task.cancel()
            await asyncio.wait([task])
            lost = await stream.aclose()
        is_news = any(one == number for one, *_ in (*self._news.finished, *self._news.failed))
        return lost, self._num_sent + is_news

    async def news(self) -> News:
        """Return what has happened, as soon as anything has."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_QUIET_SECONDS):
                await self._has_news.wait()
                early = self._told + _APART_SECONDS - time.monotonic()
                await asyncio.sleep(max(_GATHER_SECONDS, early))
        self._has_news.clear()
        news, self._news = self._news, News(self._life)
        self._num_sent += 1
        self._told = time.monotonic()
        news.states = [
            State(engine.kv_usage(), engine.num_preemptions(), engine.tokens_in_flight())
            for engine in self._engines
        ]
        return news

    async def ask(self, engine: int, method: str, *arguments: Any) -> tuple[Any, TTSError | None]:
        """Return what a method of an engine returns, or its error."""
        try:
            return await getattr(self._engines[engine], method)(*arguments), None
        except TTSError as error:
            return None, error
