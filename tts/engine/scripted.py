r"""A deterministic engine that says what a script tells it to: tests without a model.

Time is virtual: at every tick, one turn of the event loop, each running sequence gains one token,
and a token is one character. So a completion of five characters arrives after five ticks, whatever
the machine does; a stream that is closed after three has generated three tokens per sequence.

    engine = ScriptedEngine(lines("4", "5", "4"))         # sample 0 says "4", sample 1 "5", ...
    engine = ScriptedEngine(lambda ask: Line(f"{ask.seed}"))
    engine = ScriptedEngine(lines("4"), fail_at={2: EngineError("busy")})

A test of your own preset or operator needs no more than this:

    from tts.engines import ScriptedEngine, lines

    async def test_the_majority_wins():
        engine = ScriptedEngine(lines(r"\boxed{4}", r"\boxed{4}", r"\boxed{5}"))
        async with tts.Runtime(engine) as runtime:
            result = await runtime.run("self_consistency", "What is 2 + 2?")
        assert result.answer.text == "4"
"""

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np

from tts.buffered_stream import BufferedStream
from tts.errors import CapabilityError, ContextError, EngineError, TTSError
from tts.protocols import BaseEngine, Capabilities, CompletionStream
from tts.types import (
    Completion,
    Embeddings,
    FinishReason,
    GenerationRequest,
    Likelihood,
    ModelInfo,
    Prompt,
    ReadStates,
    ScoreRequest,
    States,
    StateSpec,
    StepScores,
    Usage,
    Watch,
    sum_usage,
)

INFO = ModelInfo(
    name="scripted",
    fingerprint="scripted",
    parameters=1_000,
    layers=1,
    query_heads=1,
    kv_heads=1,
    head_size=1,
    dtype="float32",
    context_tokens=10_000,
    kv_block_size=4,
)
ALL = Capabilities(
    token_ids=True,
    logprobs=True,
    prefix_cache=True,
    cancel=True,
    seed=True,
    logits_processors=True,
    rewards=True,
    embeddings=True,
    thoughts=True,
    states=True,
    likelihood=True,
    teams=True,
)


@dataclass(frozen=True, slots=True)
class Ask:
    """What one sequence is asked: the prompt as text, its own seed, its index, the request."""

    prompt: str
    seed: int
    index: int
    request: GenerationRequest


@dataclass(frozen=True, slots=True)
class Line:
    """What one sequence says.

    Attributes:
        text: One token per character.
        ticks: When it arrives; None is when the last token is there, a larger number is later.
        hangs: It generates its text and then never ends.
        error: It ends with this error.
        is_unanswered: That is for want of an answer, as of a server that is away.
        logprobs: Of the tokens; None is -0.5 each.
        confidences: Of the tokens; None is 1.0 each.
        entropies: Of the tokens; None is an engine that cannot tell.
        self_certainties: The same.
        score: Comes with the completion.
    """

    text: str
    ticks: int | None = None
    hangs: bool = False
    error: str | None = None
    is_unanswered: bool = False
    logprobs: tuple[float, ...] | None = None
    confidences: tuple[float, ...] | None = None
    entropies: tuple[float, ...] | None = None
    self_certainties: tuple[float, ...] | None = None
    score: float | None = None


Script = Callable[[Ask], Line]


def lines(*texts: str) -> Script:
    """Sample i says text i, starting over after the last."""
    return lambda ask: Line(texts[ask.index % len(texts)])


def encode(text: str) -> tuple[int, ...]:
    """Return the token ids of a text: one for each character."""
    return tuple(map(ord, text))


def decode(token_ids: Sequence[int]) -> str:
    """Return the text of token ids."""
    return "".join(map(chr, token_ids))


def render(prompt: Prompt) -> str:
    """Return a prompt as the engine's one string."""
    if prompt.messages:
        turns = "".join(f"<{m.role}>{m.content}\n" for m in prompt.messages)
        return f"{turns}<assistant>{prompt.beginning}"
    return prompt.text or decode(prompt.token_ids)


@dataclass(slots=True, eq=False)
class _Sequence:
    stream: "BufferedStream[Completion, Completion]"
    done: Completion
    ticks: int | None
    watch: Watch | None = None
    age: int = 0


@dataclass(slots=True, eq=False)
class ScriptedEngine(BaseEngine):
    """An `Engine` with a script; the fields after it are what a test may set or read.

    Attributes:
        script: Called once for each sequence, in index order.
        capabilities: What it admits to; requests for more are refused.
        info: Its model.
        fail_at: Request number (from 0) to the error that its stream raises.
        die_at: Tick at which the whole engine dies.
        tick_seconds: Real time of a tick; 0 only lets other tasks run.
        rewards: Answers `score`.
        logprobs_of: Log-probabilities of a text's tokens after another text; answers `likelihood`.
        state_of: The hidden state after a text, prompt included, of the only layer.
        requests: All requests so far.
        ticks: Ticks so far.
    """

    script: Script
    capabilities: Capabilities = ALL
    info: ModelInfo = INFO
    fail_at: Mapping[int, TTSError] = field(default_factory=dict)
    die_at: int | None = None
    tick_seconds: float = 0.0
    rewards: Callable[[ScoreRequest], tuple[float, ...]] = lambda request: (0.5,)
    logprobs_of: Callable[[str, str], Sequence[float]] = lambda before, text: (-0.5,) * len(text)
    state_of: Callable[[str], Sequence[float]] = lambda text: (len(text) % 10,)
    requests: list[GenerationRequest] = field(default_factory=list)
    ticks: int = 0
    _running: list[_Sequence] = field(default_factory=list)
    _blocks: set[str] = field(default_factory=set)
    _clock: asyncio.Task[None] | None = None
    _dead: EngineError | None = None

    @property
    def num_running(self) -> int:
        """Sequences that have neither finished nor been aborted."""
        return len(self._running)

    async def start(self) -> Self:
        """Return the engine: there is nothing to load."""
        return self

    async def __aenter__(self) -> Self:
        """Return the engine."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        await self.aclose()

    def generate(self, request: GenerationRequest) -> CompletionStream:
        """Start the sequences; the clock ticks while any runs."""

        async def abort() -> Usage:
            await asyncio.sleep(0)  # an engine acknowledges after its step, not at once
            return self._remove(stream)

        stream: BufferedStream[Completion, Completion]
        stream = BufferedStream(request.n, convert=lambda completion: completion, abort=abort)
        number = len(self.requests)
        self.requests.append(request)
        try:
            if number in self.fail_at:
                raise self.fail_at[number]
            self._admit(stream, request)
        except TTSError as error:
            stream.fail(error, Usage())
        return stream

    async def score(self, request: ScoreRequest) -> StepScores:
        """Answer with `rewards`."""
        self._need("rewards")
        await asyncio.sleep(0)
        values = self.rewards(request)
        return StepScores(values, Usage(prompt_tokens=len(render(request.prompt)), calls=1))

    async def read_states(
        self, prompt: Prompt, token_ids: Sequence[int], spec: StateSpec
    ) -> ReadStates:
        """Return what `state_of` says."""
        self._need("states")
        await asyncio.sleep(0)
        before = render(prompt)
        states = self._states(before, decode(token_ids), spec)
        return ReadStates(states, Usage(prompt_tokens=len(before) + len(token_ids), calls=1))

    async def likelihood(self, prompt: Prompt, text: str) -> Likelihood:
        """Return what `logprobs_of` says."""
        self._need("likelihood")
        await asyncio.sleep(0)
        before = render(prompt)
        usage = Usage(prompt_tokens=len(before) + len(text), calls=1)
        return Likelihood(tuple(self.logprobs_of(before, text)), usage)

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """Return counts of the letters a to z."""
        self._need("embeddings")
        await asyncio.sleep(0)
        counts = [[text.count(chr(97 + i)) for i in range(26)] for text in texts]
        vectors = np.array(counts, dtype=np.float32).reshape(len(texts), 26)
        return Embeddings(vectors, Usage(prompt_tokens=sum(map(len, texts)), calls=len(texts)))

    async def tokenize(self, text: str) -> tuple[int, ...]:
        """Return a token for each character."""
        self._need("token_ids")
        return encode(text)

    def tokens_in_flight(self) -> int:
        """Return the tokens that unfinished sequences have so far: one for each tick."""
        return sum(_spent(sequence).generated_tokens or 0 for sequence in self._running)

    async def aclose(self) -> None:
        """Abort everything; later requests fail."""
        self._die(EngineError("the engine is closed"))
        if self._clock is not None:
            await self._clock

    def _need(self, capability: str) -> None:
        if self._dead is not None:
            raise EngineError(str(self._dead))
        if missing := self.capabilities.missing(frozenset({capability})):
            raise CapabilityError(f"the scripted engine lacks {missing[0]}")

    def _admit(
        self, stream: BufferedStream[Completion, Completion], request: GenerationRequest
    ) -> None:
        self._need("token_counts")
        if request.prompt.token_ids:
            self._need("token_ids")
        if request.sampling.logprobs is not None:
            self._need("logprobs")
        if request.states is not None:
            self._need("states")
        prompt = render(request.prompt)
        room = (self.info.context_tokens or 0) - len(prompt) - request.keep_free
        if room < 1:
            raise ContextError(
                f"the prompt has {len(prompt)} tokens, the context is {self.info.context_tokens}, "
                f"of which {request.keep_free} are kept for what follows"
            )
        for index in range(request.n):
            line = self.script(Ask(prompt, request.seed + index, index, request))
            done = self._complete(prompt, line, index, request, room)
            ticks = max(1, len(done.token_ids) if line.ticks is None else line.ticks)
            ends = None if line.hangs else ticks
            self._running.append(_Sequence(stream, done, ends, request.watch))
        if self._clock is None or self._clock.done():
            self._clock = asyncio.get_running_loop().create_task(self._tick())

    def _complete(
        self, prompt: str, line: Line, index: int, request: GenerationRequest, room: int
    ) -> Completion:
        text, kept, stop, reason = _cut(line, request, room)
        size = len(kept)
        has_logprobs = request.sampling.logprobs is not None
        usage = Usage(
            prompt_tokens=len(prompt),
            cached_tokens=self._cached(prompt) if self.capabilities.prefix_cache else None,
            generated_tokens=size,
            calls=1,
        )
        self._remember(prompt + kept)
        return Completion(
            index=index,
            text=text,
            finish_reason=reason,
            usage=usage,
            prompt_token_ids=encode(prompt) if self.capabilities.token_ids else (),
            token_ids=encode(kept) if self.capabilities.token_ids else (),
            stop_string=stop,
            logprobs=(line.logprobs or (-0.5,) * size)[:size] if has_logprobs else None,
            confidences=(line.confidences or (1.0,) * size)[:size]
            if request.sampling.logprobs
            else None,
            entropies=line.entropies if request.sampling.certainties else None,
            self_certainties=line.self_certainties if request.sampling.certainties else None,
            offsets=tuple(min(end, len(text)) for end in range(1, size + 1))
            if request.sampling.offsets
            else None,
            error=line.error,
            is_unanswered=line.is_unanswered,
            score=line.score,
            states=self._states(prompt, kept, request.states) if request.states else None,
        )

    def _states(self, prompt: str, text: str, spec: StateSpec) -> States:
        last = len(text) - 1
        ends = {match.end() - 1 for match in re.finditer("\n\n", text)} | {last}
        chosen = {"end": {last}, "steps": ends, "tokens": set(range(len(text)))}[spec.at]
        places = tuple(sorted(place for place in chosen if place >= 0))
        rows = [self.state_of(prompt + text[:place]) for place in places]
        return States(spec.layers, places, np.array(rows, np.float16).tobytes())

    def _cached(self, prompt: str) -> int:
        size = self.info.kv_block_size or 1
        cached = 0
        while cached + size < len(prompt) and prompt[: cached + size] in self._blocks:
            cached += size
        return cached

    def _remember(self, text: str) -> None:
        size = self.info.kv_block_size or 1
        self._blocks.update(text[:end] for end in range(size, len(text) + 1, size))

    async def _tick(self) -> None:
        while self._running:
            idle = all(s.ticks is None for s in self._running)
            await asyncio.sleep(max(self.tick_seconds, 0.001 if idle else 0.0))
            self.ticks += 1
            if self.ticks == self.die_at:
                self._die(EngineError("the engine died"))
            for sequence in list(self._running):
                sequence.age += 1
                if sequence.age == sequence.ticks and sequence in self._running:
                    self._running.remove(sequence)
                    sequence.stream.put(sequence.done)
                elif sequence.watch is not None and sequence in self._running:
                    sequence.watch(sequence.done.index, sequence.done.text[: sequence.age])

    def _remove(self, stream: BufferedStream[Completion, Completion]) -> Usage:
        gone = [s for s in self._running if s.stream is stream]
        self._running = [s for s in self._running if s.stream is not stream]
        return sum_usage([_spent(s) for s in gone])

    def _die(self, error: EngineError) -> None:
        self._dead = self._dead or error
        for stream in {id(s.stream): s.stream for s in self._running}.values():
            stream.fail(EngineError(str(self._dead)), self._remove(stream))


def _spent(sequence: _Sequence) -> Usage:
    usage = sequence.done.usage
    return replace(usage, generated_tokens=min(sequence.age, usage.generated_tokens or 0))


def _cut(
    line: Line, request: GenerationRequest, room: int
) -> tuple[str, str, str | None, FinishReason]:
    """Apply stop strings, then the limit: shown text, generated text, stop string, reason."""
    found = [(line.text.find(s), s) for s in request.sampling.stop if s in line.text]
    at, stop = min(found, default=(len(line.text), None))
    kept = line.text[: at + len(stop or "")]
    limit = min(request.sampling.max_tokens, room)
    if line.error is not None:
        return line.text[:limit], line.text[:limit], None, "error"
    if len(kept) > limit:
        return kept[:limit], kept[:limit], None, "length"
    return line.text[:at], kept, stop, "stop"
