"""Requests whose completions are written by teams, beside vLLM's own; see `tts.types.Team`.

All but `tokens_in_flight` belongs to the engine's thread. A step of the teams follows each step of
vLLM: one forward pass for the workers of all teams that run.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Protocol

from tts.buffered_stream import BufferedStream, as_error
from tts.engine.answer_form import without_protocol
from tts.engine.context_room import check_context
from tts.engine.stepper import Stepper
from tts.engine.teamwork import Codec, Row, Shared, Teamwork
from tts.engine.translate import Meter
from tts.errors import ContextError, TTSError
from tts.protocols import check_team_request
from tts.types import (
    Completion,
    GenerationRequest,
    Prompt,
    Sampling,
    Team,
    Usage,
    abreast,
    sum_usage,
)

TeamStream = BufferedStream[Completion, Completion]


class Encoder(Codec, Protocol):
    """What turns prompts into tokens; `tts.engine.encoder.PromptEncoder` does."""

    def encode(self, prompt: Prompt, template_kwargs: Any) -> tuple[int, ...]:
        """Return the ids of a prompt."""
        ...

    def special_ids(self) -> list[int]:
        """Return the tokens that are no text."""
        ...


@dataclass(slots=True, eq=False)
class _Request:
    """What was asked, and the teams that work at it.

    Attributes:
        stream: Where completions go.
        request: What was asked.
        sampling: How tokens are drawn.
        prompt: Its tokens.
        shared: What all of its teams see.
        banned: Tokens that are not drawn.
        started: When, by the clock.
        works: By index; those that have not ended.
        begun: Indices of those that have been given a place.
    """

    stream: TeamStream
    request: GenerationRequest
    sampling: Sampling
    prompt: tuple[int, ...]
    shared: Shared
    banned: list[int]
    started: float
    works: dict[int, Teamwork] = field(default_factory=dict)
    begun: set[int] = field(default_factory=set)

    @property
    def size(self) -> int:
        """Workers of each team."""
        return abreast(self.request.team)


class Teams:
    """Runs teams on the model of a built vLLM engine.

    Args:
        engine: vLLM's.
        encoder: Of its model.
        meter: Counts costs.
        forward: Makes what runs the model over views, when the first team comes.
    """

    def __init__(
        self,
        engine: Any,
        encoder: Encoder,
        meter: Meter,
        forward: Callable[[Any], Any] | None = None,
    ) -> None:
        self._engine = engine
        self._encoder = encoder
        self._meter = meter
        self._make_forward = forward or _view_forward
        self._forward: Any = None
        self._requests: dict[int, _Request] = {}

    @property
    def is_busy(self) -> bool:
        """Whether a team works."""
        return bool(self._requests)

    def tokens_in_flight(self) -> int:
        """Return the tokens that unfinished completions have so far; asked from any thread."""
        works = [
            work for asked in list(self._requests.values()) for work in list(asked.works.values())
        ]
        return sum(work.num_drawn for work in works)

    def add(self, stream: TeamStream, request: GenerationRequest, team: Team) -> None:
        """Let `request.n` teams begin.

        Raises:
            CapabilityError: The model does more than attend to rotated keys, or the request asks
                for what teams do not report.
            ContextError: The prompt, with what workers see and open with, leaves no room.
        """
        sampling = without_protocol(request.sampling)
        check_team_request(sampling, request.states)
        if self._forward is None:
            self._forward = self._make_forward(self._engine)
        encoder, segments = self._encoder, self._forward.segments
        prompt = encoder.encode(request.prompt, sampling.chat_template_kwargs)
        context = self._meter.info.context_tokens or 0
        asked = _Request(
            stream,
            request,
            sampling,
            prompt,
            Shared.of(team, prompt, encoder, segments.open),
            [*encoder.special_ids(), *self._ids_of(team.banned)],
            time.perf_counter(),
        )
        for index in range(request.n):
            asked.works[index] = Teamwork(
                team,
                asked.shared,
                encoder,
                segments.open,
                max_steps=max(1, sampling.max_tokens // len(team.names)),
                room=context - request.keep_free,
            )
        self._requests[id(stream)] = asked
        unread = {fixed.segment: len(fixed.pending) for fixed in asked.shared}
        begins = asked.works[0].longest_view(lambda segment: unread.get(segment, 0))
        try:
            check_context(begins, context, request.keep_free)
        except ContextError:
            self.abort(stream)
            raise

    def _ids_of(self, words: Sequence[str]) -> list[int]:
        """Return the ids of those words that are one token."""
        ids = [self._encoder.tokenize(word) for word in words]
        return [one[0] for one in ids if len(one) == 1]

    def step(self) -> None:
        """Let each team that has a place go one step further.

        What fails ends the requests that run; the engine goes on.
        """
        if not self._requests:
            return
        try:
            self._step()
        except Exception as error:
            self.bury(as_error(error, "workers over one cache failed"))

    def bury(self, error: TTSError) -> None:
        """Tell every reader that nothing more will come; what they had used stays on record.

        The cache goes, and with it the hold on the model; the next team makes another one.
        """
        for asked in list(self._requests.values()):
            lost = self.abort(asked.stream)
            own = type(error)(str(error))
            own.__cause__ = error
            with suppress(RuntimeError):  # its event loop is closed: nobody waits
                asked.stream.loop.call_soon_threadsafe(asked.stream.fail, own, lost)
        self._forward = None

    def abort(self, stream: TeamStream) -> Usage:
        """Stop what the reader still waits for and return what that had cost so far."""
        asked = self._requests.pop(id(stream), None)
        if asked is None:
            return Usage()
        spent = [
            self._usage(asked, index, work)
            for index, work in asked.works.items()
            if index in asked.begun
        ]
        for work in asked.works.values():
            self._forward.segments.close(work.segments)
        asked.works.clear()
        self._forward.segments.close(asked.shared.segments)
        return sum_usage(spent)

    def _step(self) -> None:
        reading: list[Row] = []
        writing: list[Row] = []
        ready: list[tuple[_Request, int]] = []
        for asked, indices in self._with_places():
            if unread := [fixed for fixed in asked.shared if fixed.pending]:
                reading += [fixed.row() for fixed in unread]
                continue
            for index in indices:
                writing += asked.works[index].rows()
                ready.append((asked, index))
        logits = self._forward.run([*writing, *reading])
        if ready:
            self._draw(logits[: len(writing)], ready)

    def _with_places(self) -> list[tuple[_Request, list[int]]]:
        """Return who works in this step: those that have begun, and more while there is room.

        Requests of a lower priority number are given free places first, and those that came first
        among equals; who has begun keeps its place.
        """
        most = self._engine.vllm_config.scheduler_config.max_num_seqs
        requests = sorted(self._requests.values(), key=lambda asked: asked.request.priority)
        taken = sum(len(asked.begun & asked.works.keys()) * asked.size for asked in requests)
        found = []
        for asked in requests:
            for index in sorted(asked.works.keys() - asked.begun):
                if not taken or taken + asked.size <= most:
                    asked.begun.add(index)
                    taken += asked.size
            if indices := sorted(asked.begun & asked.works.keys()):
                found.append((asked, indices))
        return found

    def _draw(self, logits: Any, ready: list[tuple[_Request, int]]) -> None:
        drawing = import_module("tts.engine.team_draw")
        samplings: list[Sampling] = []
        seeds: list[int] = []
        banned: list[list[int]] = []
        for asked, index in ready:
            size, done = asked.size, asked.works[index].num_drawn
            samplings += [asked.sampling] * size
            seeds += drawing.seeds_of(asked.request.seed + index, done, size)
            banned += [asked.banned] * size
        drawn = drawing.draw(logits, samplings, seeds, banned)
        for asked, index in ready:
            mine, drawn = drawn[: asked.size], drawn[asked.size :]
            if (work := asked.works.get(index)) is None:  # aborted within this step
                continue
            work.take(mine, self._forward.segments.length)
            if work.finish is not None:
                self._end(asked, index, work)

    def _end(self, asked: _Request, index: int, work: Teamwork) -> None:
        completion = Completion(
            index=index,
            text=work.text,
            finish_reason=work.finish or "stop",
            usage=self._usage(asked, index, work),
            prompt_token_ids=asked.prompt,
            token_ids=work.token_ids,
        )
        self._forward.segments.close(asked.works.pop(index).segments)
        if not asked.works:
            self.abort(asked.stream)
        try:
            asked.stream.loop.call_soon_threadsafe(asked.stream.put, completion)
        except RuntimeError:  # its event loop was closed with requests under way
            self.abort(asked.stream)

    def _usage(self, asked: _Request, index: int, work: Teamwork) -> Usage:
        """Return what a team has cost: the first one of a request reads for all what all see."""
        shared = asked.shared.num_read
        return self._meter.usage(
            shared + work.num_put,
            cached=0 if index == 0 else shared,
            generated=work.num_drawn,
            seconds=time.perf_counter() - asked.started,
        )


def team_stream(n: int, stepper: Stepper) -> TeamStream:
    """Return a stream for `n` completions of teams that work beside an engine."""

    def abort() -> Usage:
        return stepper.beside.abort(stream) if isinstance(stepper.beside, Teams) else Usage()

    stream: TeamStream = BufferedStream(
        n,
        convert=lambda completion: completion,
        abort=lambda: asyncio.wrap_future(stepper.call(abort)),
    )
    return stream


def _view_forward(engine: Any) -> Any:
    return import_module("tts.engine.view_forward").ViewForward(engine)
