"""An engine that starts with the first request: until then it is what it told of itself before."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Self

from tts.errors import EngineError
from tts.protocols import BaseEngine, Capabilities, CompletionStream, Engine, EngineFacts
from tts.types import (
    Completion,
    Embeddings,
    GenerationRequest,
    Likelihood,
    ModelInfo,
    Prompt,
    ReadStates,
    Sampling,
    ScoreRequest,
    StateSpec,
    StepScores,
    Usage,
)


class LoadingTime:
    """Adds up the time in which models are loaded; that of two at once counts once."""

    def __init__(self) -> None:
        self._number = 0
        self._since = 0.0
        self._before = 0.0

    @property
    def seconds(self) -> float:
        """So far, also of what is being loaded."""
        return self._before + (time.monotonic() - self._since if self._number else 0.0)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count the time until the block ends."""
        if not self._number:
            self._since = time.monotonic()
        self._number += 1
        try:
            yield
        finally:
            self._before, self._since = self.seconds, time.monotonic()
            self._number -= 1


class LateEngine(BaseEngine):
    """An `Engine` whose model is loaded once somebody asks for what only the model can tell.

    Args:
        facts: What it told of itself when it last ran.
        make: Starts it.
    """

    def __init__(self, facts: EngineFacts, make: Callable[[], Awaitable[Engine]]) -> None:
        self._facts = facts
        self._make = make
        self._engine: Engine | None = None
        self._starting: asyncio.Task[Engine] | None = None
        self._is_closed = False

    @property
    def info(self) -> ModelInfo:
        """The model's shape."""
        return self._facts.info if self._engine is None else self._engine.info

    @property
    def capabilities(self) -> Capabilities:
        """What this engine can do."""
        return self._facts.capabilities if self._engine is None else self._engine.capabilities

    async def started(self) -> Engine:
        """Start the engine, once for all who wait, and return it.

        Raises:
            EngineError: It cannot start, is closed, or is not what it told.
        """
        if self._engine is not None:
            return self._engine
        # Who is cancelled goes alone: others want the model too.
        return await asyncio.shield(self.starting())

    def starting(self) -> asyncio.Task[Engine]:
        """Begin to start the engine, if nobody has.

        Raises:
            EngineError: It is closed.
        """
        if self._is_closed:
            raise EngineError("the engine is closed")
        if self._starting is None:
            self._starting = asyncio.get_running_loop().create_task(self._start())
        return self._starting

    def generate(self, request: GenerationRequest) -> CompletionStream:
        """Start `request.n` completions; errors arrive through the stream."""
        if self._engine is None:
            return _LateStream(self, request)
        return self._engine.generate(request)

    async def score(self, request: ScoreRequest) -> StepScores:
        """Run a reward model."""
        return await (await self.started()).score(request)

    async def read_states(
        self, prompt: Prompt, token_ids: Sequence[int], spec: StateSpec
    ) -> ReadStates:
        """Return the hidden states of a given text."""
        return await (await self.started()).read_states(prompt, token_ids, spec)

    async def likelihood(self, prompt: Prompt, text: str) -> Likelihood:
        """Return how likely each token of a given text is after a prompt."""
        return await (await self.started()).likelihood(prompt, text)

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """Return a vector for each text."""
        return await (await self.started()).embed(texts)

    async def tokenize(self, text: str) -> tuple[int, ...]:
        """Return the token ids of a text that continues a prompt."""
        return await (await self.started()).tokenize(text)

    async def count_prompt(self, prompt: Prompt, sampling: Sampling) -> int:
        """Return the tokens of a prompt."""
        return await (await self.started()).count_prompt(prompt, sampling)

    def kv_usage(self) -> float | None:
        """Return the fraction of KV blocks that running requests hold."""
        return 0.0 if self._engine is None else self._engine.kv_usage()

    def num_preemptions(self) -> int | None:
        """Return how often a running request has lost its KV blocks, so far."""
        return 0 if self._engine is None else self._engine.num_preemptions()

    def tokens_in_flight(self) -> int:
        """Return the tokens that unfinished completions have so far."""
        return 0 if self._engine is None else self._engine.tokens_in_flight()

    async def forget(self) -> None:
        """Drop what requests left behind."""
        if self._engine is not None:
            await self._engine.forget()

    async def aclose(self) -> None:
        """Abort everything and free the model; idempotent."""
        self._is_closed = True
        if self._starting is not None:
            await asyncio.wait([self._starting])
        if self._engine is not None:
            await self._engine.aclose()

    async def _start(self) -> Engine:
        engine = await self._make()
        if engine.info.fingerprint != self._facts.info.fingerprint:
            await engine.aclose()
            raise EngineError(
                f"{engine.info.name} is not the model any more whose samples are reused; run the "
                "same command without --reuse"
            )
        self._engine = engine
        return engine


class _LateStream:
    """The completions of a request to an engine that has still to start."""

    def __init__(self, late: LateEngine, request: GenerationRequest) -> None:
        self._late = late
        self._request = request
        self._stream: CompletionStream | None = None
        self._closed = asyncio.Event()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Completion:
        if self._stream is None:
            engine = await self._start()
            if engine is None:
                raise StopAsyncIteration
            self._stream = engine.generate(self._request)
        return await anext(self._stream)

    async def aclose(self) -> Usage:
        self._closed.set()
        return Usage() if self._stream is None else await self._stream.aclose()

    async def _start(self) -> Engine | None:
        """Return the engine once it runs; None where the stream was closed before."""
        if self._closed.is_set():
            return None
        starting = self._late.starting()
        closed = asyncio.get_running_loop().create_task(self._closed.wait())
        try:
            await asyncio.wait([starting, closed], return_when=asyncio.FIRST_COMPLETED)
            return None if self._closed.is_set() else starting.result()
        finally:
            closed.cancel()
