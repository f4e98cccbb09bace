"""An actor of a Ray cluster and its engines, as the driver sees them."""

import asyncio
import itertools
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import import_module
from typing import Any

from tts.buffered_stream import BufferedStream
from tts.engine.ray_host import News, State
from tts.engine.remote.wire import estimate_prompt
from tts.errors import EngineError, TTSError, ends_run
from tts.protocols import BaseEngine, Capabilities
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

_LOG = logging.getLogger(__name__)
_PAUSE_SECONDS = 0.2  # before an actor that died is asked whether it is back


@dataclass(slots=True)
class _Open:
    """A request that an actor works on.

    Attributes:
        stream: Where its completions go.
        request: It.
        engine: Place of the engine that is asked.
        missing: Indices of the completions that have not come.
    """

    stream: BufferedStream[Completion, Completion]
    request: GenerationRequest
    engine: int
    missing: set[int] = field(default_factory=set)


class Actor:
    """One actor, seen from here.

    Attributes:
        engines: Its engines.
        is_away: It has died and is not back, or was not there yet.

    Args:
        number: For people.
        handle: Ray's.
    """

    def __init__(self, number: int, handle: Any) -> None:
        self._number = number
        self._handle = handle
        self._numbers = itertools.count()
        self._open: dict[int, _Open] = {}
        self._life = ""
        self._num_taken = 0  # news of this life
        self._taken = asyncio.Event()
        self._follower: asyncio.Task[None] | None = None
        self._ray_error: type[Exception] = import_module("ray.exceptions").RayError
        self.is_away = True
        self.engines: list[RayEngine] = []

    async def start(self) -> None:
        """Wait until its engines run.

        Raises:
            TTSError: They cannot start, or the actor has died.
        """
        try:
            found = await self._handle.start.remote()
        except self._ray_error as error:
            raise EngineError(f"{self} died while its engines started: {words_of(error)}") from None
        if isinstance(found, Exception):
            raise found
        self._life, engines = found
        if not self.engines:
            self.engines = [RayEngine(self, place, *one) for place, one in enumerate(engines)]
        for engine, (info, capabilities) in zip(self.engines, engines, strict=True):
            engine.info, engine.capabilities, engine.state = info, capabilities, State()
        self._num_taken, self.is_away = 0, False
        if self._follower is None:
            self._follower = asyncio.create_task(self._follow(), name=str(self))

    def __str__(self) -> str:
        """Return its name for people."""
        return f"Ray actor {self._number}"

    def generate(
        self, engine: int, request: GenerationRequest
    ) -> BufferedStream[Completion, Completion]:
        """Send a request."""
        number = next(self._numbers)
        stream: BufferedStream[Completion, Completion] = BufferedStream(
            request.n, convert=lambda completion: completion, abort=partial(self._close, number)
        )
        if self.is_away:
            stream.fail(EngineError(f"{self} is away"), Usage())
        else:
            self._open[number] = _Open(stream, request, engine, set(range(request.n)))
            # Nobody can read along from there.
            self._handle.generate.remote(number, engine, replace(request, watch=None))
        return stream

    async def ask(self, engine: int, method: str, *arguments: Any) -> Any:
        """Call a method of one of its engines.

        Raises:
            EngineError: The actor has died.
            TTSError: What the method raises.
        """
        try:
            value, error = await self._handle.ask.remote(engine, method, *arguments)
        except self._ray_error as died:
            await asyncio.sleep(_PAUSE_SECONDS)  # until `_follow` knows, too
            raise EngineError(f"{self} died: {words_of(died)}") from None
        if error is not None:
            raise error
        return value

    def kill(self) -> None:
        """Let it die, as it may at any moment; Ray starts it again."""
        import_module("ray").kill(self._handle, no_restart=False)

    async def stop(self) -> None:
        """End the actor."""
        if self._follower is not None:
            self._follower.cancel()
            await asyncio.wait([self._follower])
        import_module("ray").kill(self._handle)

    async def _follow(self) -> None:
        """Take the news for as long as the actor lives; then wait until it is back."""
        while True:
            try:
                news: News = await self._handle.news.remote()
            except self._ray_error as error:
                await self._die(words_of(error))
                continue
            if news.life == self._life:
                self._take(news)
            else:
                await self._die("it has forgotten everything")

    async def _die(self, why: str) -> None:
        """Give up what was asked of it, and wait until it is back."""
        self.is_away = True
        _LOG.warning("%s died and is started again: %s", self, why)
        self._fail(list(self._open))
        self._tell()
        await self._come_back()

    async def _come_back(self) -> None:
        while self.is_away:
            await asyncio.sleep(_PAUSE_SECONDS)
            try:
                await self.start()
            except TTSError as error:
                _LOG.info("%s is not back: %s", self, error)

    def _take(self, news: News) -> None:
        for engine, state in zip(self.engines, news.states, strict=True):
            engine.state = state
        for number, completion in news.finished:
            if (known := self._open.get(number)) is not None:
                known.missing.discard(completion.index)
                known.stream.put(completion)
                if not known.missing:
                    del self._open[number]
        for number, error, lost in news.failed:
            if (known := self._open.pop(number, None)) is None:
                continue
            known.stream.fail(error, lost)
            if ends_run(error) and not self.is_away:  # the engine, and so the actor, is lost
                self.is_away = True
                self.kill()
        self._num_taken += 1
        self._tell()

    def _tell(self) -> None:
        """Wake those that wait for news."""
        self._taken.set()
        self._taken = asyncio.Event()

    def _fail(self, numbers: Iterable[int]) -> None:
        """Say that requests are not answered here: the actor has died."""
        for number in numbers:
            known = self._open.pop(number)
            costs = self._estimate(known)
            for index in sorted(known.missing):
                error = f"{self} died"
                unanswered = Completion(index, "", "error", costs, error=error, is_unanswered=True)
                known.stream.put(unanswered)

    def _estimate(self, known: _Open) -> Usage:
        """Return what each missing completion of a request has cost, about.

        What an engine was last heard to have in flight is shared out equally.
        """
        engine = self.engines[known.engine]
        others = (one for one in self._open.values() if one.engine == known.engine)
        count = len(known.missing) + sum(len(one.missing) for one in others)
        tokens = engine.state.tokens_in_flight // count
        engine.state = replace(
            engine.state,
            tokens_in_flight=engine.state.tokens_in_flight - tokens * len(known.missing),
        )
        prompt = known.request.prompt
        return Usage.elsewhere(
            prompt_tokens=estimate_prompt(prompt),
            generated_tokens=tokens,
            calls=1,
            estimated_tokens=tokens,
            estimated_calls=1,
        )

    async def _close(self, number: int) -> Usage:
        """Abort a request; returns what it had cost, but for what its stream was given."""
        if number not in self._open:
            return Usage()
        lost: Usage
        try:
            lost, num_news = await self._handle.close.remote(number)
            while self._num_taken < num_news and number in self._open:
                await self._taken.wait()
        except self._ray_error:
            lost = Usage()
            if number in self._open:
                self._fail([number])
        self._open.pop(number, None)
        return lost


class RayEngine(BaseEngine):
    """One engine of one actor."""

    def __init__(
        self, actor: Actor, place: int, info: ModelInfo, capabilities: Capabilities
    ) -> None:
        self._actor = actor
        self._place = place
        self.info = info
        self.capabilities = capabilities
        self.state = State()

    @property
    def is_away(self) -> bool:
        """Whether its actor is away."""
        return self._actor.is_away

    def generate(self, request: GenerationRequest) -> BufferedStream[Completion, Completion]:
        """Start `request.n` completions in the actor."""
        return self._actor.generate(self._place, request)

    async def score(self, request: ScoreRequest) -> StepScores:
        """Run the reward model there."""
        answer: StepScores = await self._ask("score", request)
        return answer

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """Return vectors from there."""
        answer: Embeddings = await self._ask("embed", texts)
        return answer

    async def read_states(
        self, prompt: Prompt, token_ids: Sequence[int], spec: StateSpec
    ) -> ReadStates:
        """Return hidden states from there."""
        answer: ReadStates = await self._ask("read_states", prompt, token_ids, spec)
        return answer

    async def likelihood(self, prompt: Prompt, text: str) -> Likelihood:
        """Return what is told there."""
        answer: Likelihood = await self._ask("likelihood", prompt, text)
        return answer

    async def tokenize(self, text: str) -> tuple[int, ...]:
        """Return token ids from there."""
        answer: tuple[int, ...] = await self._ask("tokenize", text)
        return answer

    async def count_prompt(self, prompt: Prompt, sampling: Sampling) -> int:
        """Return the count from there."""
        answer: int = await self._ask("count_prompt", prompt, sampling)
        return answer

    async def forget(self) -> None:
        """Drop what requests left behind there."""
        await self._ask("forget")

    def kv_usage(self) -> float | None:
        """Return what was last heard."""
        return self.state.kv_usage

    def num_preemptions(self) -> int | None:
        """Return what was last heard."""
        return self.state.num_preemptions

    def tokens_in_flight(self) -> int:
        """Return what was last heard."""
        return self.state.tokens_in_flight

    async def aclose(self) -> None:
        """Do nothing: the actor is ended with all of its engines."""

    async def _ask(self, method: str, *arguments: Any) -> Any:
        return await self._actor.ask(self._place, method, *arguments)


def words_of(error: Exception) -> str:
    """Return the first line of what Ray says."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
