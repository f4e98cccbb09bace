"""One engine of several that run the same model side by side.

A request goes where the fewest tokens wait, rather to an engine that has read its prefix: the
children of a tree node and the samples of a problem go where their KV blocks are. What an engine
leaves unanswered, because it is away or broken, is asked of another with the same seeds, and what
the failed attempt had cost is counted with it. An engine that is away gets no request until it is
back.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Container, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Protocol, Self, TypeVar

from tts.buffered_stream import BufferedStream, as_error
from tts.engine.prefixes import Prefixes, blocks_of
from tts.engine.remote.wire import estimate_prompt
from tts.errors import CapabilityError, ContextError, EngineError, ModelError, innermost
from tts.protocols import BaseEngine, Capabilities, Engine, request_parts
from tts.types import (
    Completion,
    Embeddings,
    GenerationRequest,
    Likelihood,
    ModelInfo,
    Problem,
    Prompt,
    ReadStates,
    Sampling,
    ScoreRequest,
    StateSpec,
    StepScores,
    Usage,
    sum_usage,
)

_LOG = logging.getLogger(__name__)
_LOOK_SECONDS = 0.05  # between two looks for an engine, while all are away
_HOME = 0.5  # what waits at an engine that has read all of a prompt counts half
_MEMORY = 0.98  # of the mean length of a completion, at each one that comes
T = TypeVar("T")


class Member(Engine, Protocol):
    """An engine that may be away for a while."""

    @property
    def is_away(self) -> bool:
        """Whether it cannot answer now, so that requests to it would fail."""
        ...


@dataclass(slots=True, eq=False)
class _Place:
    """A member, and what is known of it.

    Attributes:
        number: In the order in which members were given.
        engine: It.
        waiting: Tokens that are asked of it and have not come, about.
        is_barred: It runs another model, and is not asked any more.
    """

    number: int
    engine: Member
    waiting: float = 0.0
    is_barred: bool = False


class Fleet(BaseEngine):
    """Asks several engines of one model as if they were one.

    Args:
        members: The engines; they are closed with the fleet.
        patience: Seconds that a request waits while all of them are away.
        tries: Of a request for each member, where members turn out to be away: by default as many
            as a server's engine makes by itself.
    """

    def __init__(
        self, members: Sequence[Member], *, patience: float = 100.0, tries: int = 9
    ) -> None:
        self._places = [_Place(number, member) for number, member in enumerate(members)]
        self._patience = patience
        self.tries = tries
        self._first: _Place | None = None  # of those that have started
        self._mean_tokens: float | None = None  # of a completion
        self._prefixes = Prefixes()
        self._journeys: set[_Journey] = set()
        self._starting: asyncio.Lock | None = None

    @property
    def info(self) -> ModelInfo:
        """That of the members, which all have the same; their KV blocks together."""
        members = [place.engine.info for place in self._places if not place.is_barred]
        info = (self._first or self._places[0]).engine.info
        blocks = [one.kv_blocks for one in members if one.kv_blocks is not None]
        contexts = [one.context_tokens for one in members if one.context_tokens is not None]
        return replace(
            info,
            kv_blocks=sum(blocks) or None,
            context_tokens=min(contexts, default=None),
            replicas=len(members),
        )

    @property
    def capabilities(self) -> Capabilities:
        """Those of the members, which all have the same, but for what one has refused."""
        members = [place.engine.capabilities for place in self._places]
        first = (self._first or self._places[0]).engine.capabilities
        return replace(first, tool_calls=all(one.tool_calls for one in members))

    async def start(self) -> Self:
        """Start all; one that is away joins the others when it is back.

        Raises:
            EngineError: None can be started.
            ModelError: They run different models, or one has no such model.
            InputError: One refuses how it was described.
        """
        if self._first is not None:
            return self
        self._starting = self._starting or asyncio.Lock()
        async with self._starting:
            if self._first is None:
                await self._start_all()
        return self

    async def _start_all(self) -> None:
        away: list[EngineError] = []

        async def start(place: _Place) -> _Place | None:
            try:
                await place.engine.start()
            except ModelError:
                raise
            except EngineError as error:
                _LOG.warning("%s; the others go on without it", error)
                away.append(error)
                return None
            return place

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(start(place)) for place in self._places]
        except ExceptionGroup as errors:
            raise innermost(errors) from None
        started = [place for task in tasks if (place := task.result()) is not None]
        if not started:
            raise away[0]
        for place in started:
            _check_alike(place, started[0].engine)
        self._first = started[0]

    def generate(self, request: GenerationRequest) -> BufferedStream[Completion, Completion]:
        """Start `request.n` completions; errors arrive through the stream."""
        return _Journey(self, self._journeys, request).stream

    async def choose(self, prompt: Prompt, but: Container[int] = ()) -> tuple[_Place, float]:
        """Return the member that should be asked next, and the prompt's tokens that it must read.

        Waits while all are away.

        Args:
            prompt: What it is to be asked.
            but: Numbers of members that are not asked.

        Raises:
            EngineError: They are away for too long.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + self._patience
        while not (there := [place for place in self._there() if place.number not in but]):
            if loop.time() > until or not self.has_others(but):
                raise EngineError("none of the engines can be reached")
            await asyncio.sleep(_LOOK_SECONDS)
        blocks = blocks_of(prompt)
        shares = self._prefixes.found(blocks, len(self._places))
        size = estimate_prompt(prompt)

        def to_read(place: _Place) -> float:
            return size * (1 - shares[place.number])

        def cost(place: _Place) -> tuple[float, float, int]:
            share = shares[place.number]
            return place.waiting * (1 - _HOME * share) + to_read(place), -share, place.number

        chosen = min(there, key=cost)
        self._prefixes.read(blocks, chosen.number)
        return chosen, to_read(chosen)

    def has_others(self, but: Container[int]) -> bool:
        """Return whether there are members, away or not, besides those with these numbers."""
        return any(not p.is_barred and p.number not in but for p in self._places)

    def _there(self) -> list[_Place]:
        return [p for p in self._places if not p.is_barred and not p.engine.is_away]

    async def join(self, place: _Place) -> None:
        """Start a member, if it was away when the others started.

        Raises:
            EngineError: It cannot be started, or runs another model and is left out from now on.
        """
        await place.engine.start()
        if self._first is None:
            return
        try:
            _check_alike(place, self._first.engine)
        except ModelError as error:
            if not place.is_barred:
                _LOG.warning("%s; it is left out", error)
            place.is_barred = True
            raise

    def expected(self, request: GenerationRequest) -> float:
        """Return how many tokens a completion of a request will have, about."""
        most = request.sampling.max_tokens
        return most if self._mean_tokens is None else min(self._mean_tokens, most)

    def came(self, completion: Completion, place: _Place) -> None:
        """Learn from a completion."""
        if completion.finish_reason == "error":
            return
        self._prefixes.wrote(completion, place.number)
        if (tokens := completion.usage.generated_tokens) is not None:
            mean = tokens if self._mean_tokens is None else self._mean_tokens
            self._mean_tokens = _MEMORY * mean + (1 - _MEMORY) * tokens

    async def score(self, request: ScoreRequest) -> StepScores:
        """Ask a member's reward model."""
        return await self._ask(request.prompt, lambda engine: engine.score(request))

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """Ask a member for vectors."""
        prompt = Prompt(text="\n".join(texts) or " ")
        return await self._ask(prompt, lambda engine: engine.embed(texts))

    async def read_states(
        self, prompt: Prompt, token_ids: Sequence[int], spec: StateSpec
    ) -> ReadStates:
        """Ask a member for hidden states."""
        return await self._ask(prompt, lambda one: one.read_states(prompt, token_ids, spec))

    async def likelihood(self, prompt: Prompt, text: str) -> Likelihood:
        """Ask a member how likely a text is."""
        return await self._ask(prompt, lambda engine: engine.likelihood(prompt, text))

    async def tokenize(self, text: str) -> tuple[int, ...]:
        """Ask a member for token ids."""
        return await self._ask(Prompt(text=text or " "), lambda engine: engine.tokenize(text))

    async def count_prompt(self, prompt: Prompt, sampling: Sampling) -> int:
        """Return a member's count of a prompt's tokens."""
        return await self._ask(prompt, lambda one: one.count_prompt(prompt, sampling))

    async def _ask(self, prompt: Prompt, call: Callable[[Engine], Awaitable[T]]) -> T:
        """Ask one member, and another where it fails.

        Raises:
            EngineError: All have failed, or the request cannot be answered by any.
        """
        await self.start()
        failed: EngineError | None = None
        refused: frozenset[int] = frozenset()
        for _ in range(self.tries * len(self._places)):
            place, size = await self.choose(prompt, refused)
            place.waiting += size
            try:
                await self.join(place)
                return await call(place.engine)
            except (CapabilityError, ContextError):
                raise
            except EngineError as error:
                failed = error
                if not place.engine.is_away:
                    refused |= {place.number}
                    if not self.has_others(refused):
                        break
            finally:
                place.waiting -= size
        raise failed or EngineError("none of the engines answers")

    def kv_usage(self) -> float | None:
        """Return the mean fraction of KV blocks in use; None if they cannot tell."""
        told = [place.engine.kv_usage() for place in self._there()]
        known = [usage for usage in told if usage is not None]
        return sum(known) / len(known) if known else None

    def num_preemptions(self) -> int | None:
        """Return how often a request has lost its KV blocks; None if they cannot tell."""
        told = [place.engine.num_preemptions() for place in self._places]
        known = [number for number in told if number is not None]
        return sum(known) if known else None

    def tokens_in_flight(self) -> int:
        """Return the tokens that unfinished completions have so far."""
        return sum(place.engine.tokens_in_flight() for place in self._places)

    def holds(self, problem: Problem) -> bool:
        """Return whether the members can answer a problem."""
        return self._places[0].engine.holds(problem)

    async def forget(self) -> None:
        """Drop what requests left behind.

        Raises:
            EngineError: Requests are running.
        """
        self._prefixes, self._mean_tokens = Prefixes(), None
        for place in self._there():
            await place.engine.forget()

    async def __aenter__(self) -> Self:
        """Start."""
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        """Close."""
        await self.aclose()

    async def aclose(self) -> None:
        """Fail what runs, and close the members, also where one of them fails at it."""
        for journey in list(self._journeys):
            await journey.end(EngineError("the engine is closed"))
        async with AsyncExitStack() as closing:
            for place in self._places:
                closing.push_async_callback(place.engine.aclose)


class _Journey:
    """One request on its way over the members.

    Attributes:
        stream: What the caller reads.
    """

    def __init__(self, fleet: Fleet, journeys: "set[_Journey]", request: GenerationRequest) -> None:
        self._fleet = fleet
        self._request = request
        self._owed = Usage()  # by attempts that failed; the next completion carries it
        self.stream: BufferedStream[Completion, Completion] = BufferedStream(
            request.n, convert=lambda completion: completion, abort=self._stop
        )
        self._task = self.stream.loop.create_task(self._run())
        journeys.add(self)
        self._task.add_done_callback(lambda _: journeys.discard(self))

    async def end(self, error: EngineError) -> None:
        """Stop, and tell the reader why."""
        self.stream.fail(error, await self._stop())

    async def _stop(self) -> Usage:
        """Close what runs; returns what was spent for completions that were not handed on."""
        self._task.cancel()
        await asyncio.wait([self._task])
        return self._lost()

    def _lost(self) -> Usage:
        lost, self._owed = self._owed, Usage()
        return lost

    async def _run(self) -> None:
        try:
            await self._fleet.start()
            async with asyncio.TaskGroup() as group:
                tries = self._fleet.tries * self._fleet.info.replicas
                group.create_task(self._draw(group, self._request, tries))
        except* Exception as errors:
            error = as_error(innermost(errors), "a request cannot be sent on")
            self.stream.fail(error, self._lost())

    async def _draw(
        self,
        group: asyncio.TaskGroup,
        part: GenerationRequest,
        tries: int,
        refused_by: frozenset[int] = frozenset(),
    ) -> None:
        """Draw a part of the request at one member; what that leaves goes on at another.

        Raises:
            EngineError: It concerns the whole request, or no other may be tried any more.
        """
        place, to_read = await self._fleet.choose(part.prompt, refused_by)
        failed: EngineError | None = None
        left: dict[int, Completion | None] = dict.fromkeys(range(part.n))
        try:
            await self._fleet.join(place)
            await self._read(place, part, left, to_read)
        except (CapabilityError, ContextError):
            raise
        except EngineError as error:
            failed = error
        if place.engine.is_away:
            goes_on = tries > 1
        else:  # it is there and fails at this request: the others may not
            refused_by |= {place.number}
            goes_on = self._fleet.has_others(refused_by)
        if goes_on:
            for rest in request_parts(part, sorted(left)).values():
                group.create_task(self._draw(group, rest, tries - 1, refused_by))
            self._owed = sum_usage([self._owed, *(c.usage for c in left.values() if c)])
        elif failed is not None:
            raise failed
        else:
            for completion in filter(None, left.values()):
                self._hand_on(completion, part)

    async def _read(
        self,
        place: _Place,
        part: GenerationRequest,
        left: dict[int, Completion | None],
        to_read: float,
    ) -> None:
        """Hand on what a member answers; `left` keeps what it does not, by index."""
        each = self._fleet.expected(part)
        waiting = part.n * each + to_read
        place.waiting += waiting
        drawn = place.engine.generate(part)
        try:
            async for completion in drawn:
                place.waiting -= each
                waiting -= each
                if completion.is_unanswered:
                    left[completion.index] = completion
                    continue
                del left[completion.index]
                self._fleet.came(completion, place)
                self._hand_on(completion, part)
        except BaseException:
            self._owed = sum_usage([self._owed, *(c.usage for c in left.values() if c)])
            left.update(dict.fromkeys(left))
            raise
        finally:
            place.waiting -= waiting
            self._owed += await drawn.aclose()

    def _hand_on(self, completion: Completion, part: GenerationRequest) -> None:
        offset, usage = part.seed - self._request.seed, completion.usage
        if self._owed != Usage():
            usage += self._lost()
        self.stream.put(replace(completion, index=completion.index + offset, usage=usage))


def _check_alike(place: _Place, first: Member) -> None:
    """Refuse a member that runs another model than the first.

    Raises:
        ModelError: It does.
    """
    info, engine = first.info, place.engine
    # Whether it calls tools is learnt from what it refuses, by each one for itself.
    able = replace(engine.capabilities, tool_calls=first.capabilities.tool_calls)
    if (engine.info.fingerprint, able) != (info.fingerprint, first.capabilities):
        raise ModelError(
            f"engine {place.number + 1} of {info.name} does not run what the first does: it says "
            f"otherwise of {engine.info.name}; all must have the same model"
        )
