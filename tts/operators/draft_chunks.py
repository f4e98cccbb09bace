"""Problem to `n` trajectories that a draft model writes and a target model takes over where needed.

Source: "ATTS: Asynchronous Test-Time Scaling via Conformal Prediction", 2025, arXiv:2509.15148.
"""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from tts import prompts
from tts.allocation.conformal import PERPLEXITY, Conformal, drawn
from tts.answers.exact import find_answer
from tts.errors import BudgetError, ContextError, InputError
from tts.operators.base import OperatorModel, node
from tts.protocols import Context, Inlet, Outlet, Spec
from tts.search.steps import ANSWER_MARK
from tts.trajectories import ask
from tts.types import Completion, Origin, Prompt, Score, Trajectory, Usage


class DraftChunks(OperatorModel):
    """Draws `n` trajectories chunk by chunk; none waits for another.

    The target, which is the run's own engine, reads each chunk. Where it is so unlikely that its
    conformal p-value is at most `alpha`, the target writes a chunk: after it, or in its place. A
    chunk that has no likelihood is rejected. Without a `calibration` every chunk is accepted. A
    trajectory ends at its answer, after `turns` chunks, or at the sampling's `max_tokens` in all.
    """

    n: int = Field(16, ge=1, description="trajectories that are drawn")
    draft: str = Field("", description="engine that drafts; the run's own if empty")
    calibration: str | None = Field(
        None, description="file of `tts calibrate --conformal`; every chunk is accepted if none"
    )
    alpha: float = Field(0.4, ge=0, le=1, description="share of chunks that are to be rejected")
    takeovers: float | None = Field(
        None, gt=0, description="chunks of the target for a problem, on average, in place of alpha"
    )
    turns: int = Field(15, ge=1, description="most chunks of a draft in one trajectory")
    chunk_tokens: int = Field(500, ge=1, description="most tokens of a chunk")
    on_reject: Literal["append", "replace"] = Field(
        "append", description="where the target goes on: after the rejected chunk, or in its place"
    )
    draft_parallel: int = Field(16, ge=1, description="chunks drafted at once for a problem")
    target_parallel: int = Field(
        4, ge=1, description="chunks that the target reads or writes at once for a problem"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.takeovers is not None and self.calibration is None:
            raise ValueError("takeovers needs a calibration, which knows how long attempts are")
        try:
            self.conformal  # noqa: B018  read now, so that a wrong file is told before the run
        except InputError as error:
            raise ValueError(str(error)) from error
        return self

    @cached_property
    def conformal(self) -> Conformal | None:
        """What chunks are compared with."""
        return None if self.calibration is None else Conformal.load(Path(self.calibration))

    @property
    def spec(self) -> Spec:
        """A source of finished trajectories, for the target of the calibration."""
        return Spec(
            accepts=None,
            emits="finished",
            needs=frozenset({"own_prompts", "likelihood"}),
            fan_out=self.n,
            engines=(self.draft,) if self.draft else (),
            model="" if self.conformal is None else self.conformal.target,
        )

    @property
    def level(self) -> float:
        """The alpha that holds; 0 accepts everything."""
        if self.conformal is None:
            return 0.0
        if self.takeovers is not None:
            return self.conformal.alpha_for(self.takeovers, self.n)
        return self.alpha

    async def run(self, context: Context, inputs: Sequence[Inlet], outlet: Outlet) -> None:
        """Draw all trajectories at once."""
        drafts, calibration = context.asking(self.draft), self.conformal
        if calibration is None:
            context.warn(
                "every chunk of a draft is accepted: no calibration was given "
                "(`tts calibrate --conformal FILE` writes one)"
            )
        elif calibration.draft != drafts.engine.info.name:
            context.warn(
                f"the calibration is of drafts by {calibration.draft}, and these are by "
                f"{drafts.engine.info.name}"
            )
        now = drawn(context.sampling, self.chunk_tokens)
        then = {} if calibration is None else calibration.drawn
        if other := [
            f"{name} {then[name]:g}" for name in now if then.get(name, now[name]) != now[name]
        ]:
            context.warn(
                f"the calibration is of chunks drawn with {', '.join(other)}: of others more or "
                "fewer than alpha are rejected"
            )
        slots = asyncio.Semaphore(self.draft_parallel), asyncio.Semaphore(self.target_parallel)
        async with asyncio.TaskGroup() as group:
            for index in range(self.n):
                group.create_task(_Attempt(self, context, drafts, *slots, index).run(outlet))


@dataclass(slots=True)
class _Attempt:
    """One trajectory in the making.

    Attributes:
        settings: The operator.
        target: The node's context.
        drafts: The same, asking the draft model.
        drafting: Chunks that may be drafted at once.
        targeting: Chunks that the target may read or write at once.
        index: Among the trajectories.
        text: So far.
        left: Tokens that it may still grow by.
        perplexities: Of the drafted chunks, for the target.
        is_lost: Nothing more can be had.
    """

    settings: DraftChunks
    target: Context
    drafts: Context
    drafting: asyncio.Semaphore
    targeting: asyncio.Semaphore
    index: int
    text: str = ""
    left: int = field(init=False)
    usage: Usage = field(default_factory=Usage)
    perplexities: list[float] = field(default_factory=list)
    last: Completion | None = None
    is_lost: bool = False

    def __post_init__(self) -> None:
        """Begin with nothing written."""
        self.left = self.target.sampling.max_tokens

    async def run(self, outlet: Outlet) -> None:
        """Write turn by turn until there is an answer, then send it."""
        for turn in range(self.settings.turns):
            async with self.drafting:
                drafted = await self._write(self.drafts, self.text, f"draft {turn}", self.left)
            if drafted is None or not drafted.text:
                break
            async with self.targeting:
                score = await self._perplexity(drafted.text)
                before, room = self.text, self.left
                self._add(drafted)
                if self.is_lost:
                    break
                is_kept = self.settings.on_reject == "append"
                if self._is_rejected(turn, score) and (self.left > 0 or not is_kept):
                    start, left = (self.text, self.left) if is_kept else (before, room)
                    written = await self._write(self.target, start, f"target {turn}", left)
                    if written is None:
                        break
                    self.text, self.left = start, left
                    self._add(written)
            if self._has_ended() or self.left < 1:
                break
        if self.last is not None:
            outlet.send(self._trajectory(self.last))

    def _add(self, chunk: Completion) -> None:
        self.text += chunk.text
        self.left -= chunk.usage.generated_tokens or len(chunk.token_ids)

    async def _write(
        self, context: Context, start: str, label: str, left: int
    ) -> Completion | None:
        """Return the next chunk, of `left` tokens at most; None where nothing more can be had."""
        limit = min(self.settings.chunk_tokens, left)
        sampling = replace(context.sampling, max_tokens=limit)
        prompt = self._prompt(start)
        seed = self.target.seed(f"{self.index}/{label}")
        drawn = await ask(context, prompt, seed=seed, sampling=sampling)
        if drawn is not None:
            self.last, self.usage = drawn, self.usage + drawn.usage
            if drawn.finish_reason == "error":
                return None
        return drawn

    async def _perplexity(self, chunk: str) -> float | None:
        """Return the target's perplexity of a chunk; None where it has none."""
        try:
            found = await self.target.likelihood(self._prompt(self.text), chunk)
        except (BudgetError, ContextError) as error:
            self.target.warn(str(error))
            self.is_lost = True
            return None
        logprobs = found.logprobs
        if not logprobs or not all(map(math.isfinite, logprobs)):
            return None
        return math.exp(min(700.0, -math.fsum(logprobs) / len(logprobs)))

    def _is_rejected(self, turn: int, score: float | None) -> bool:
        calibration, alpha = self.settings.conformal, self.settings.level
        p_value = None
        if score is not None:
            self.perplexities.append(score)
            p_value = 1.0 if calibration is None else calibration.p_value(turn, score)
        is_rejected = alpha > 0 and (p_value is None or p_value <= alpha)
        self.target.emit(
            "verify",
            index=self.index,
            turn=turn,
            perplexity=score,
            p_value=p_value,
            is_rejected=is_rejected,
        )
        return is_rejected

    def _has_ended(self) -> bool:
        """Return whether there is an answer, or the last chunk has ended by itself."""
        is_over = self.last is not None and self.last.finish_reason == "stop"
        return is_over or (ANSWER_MARK in self.text and self._answer() is not None)

    def _prompt(self, start: str) -> Prompt:
        return replace(prompts.solve(self.target.problem), prefill=start)

    def _answer(self) -> str | None:
        return find_answer(self.text, self.target.problem)

    def _trajectory(self, last: Completion) -> Trajectory:
        node, values = self.target.node, self.perplexities
        is_error = last.finish_reason == "error"
        score = Score(sum(values) / len(values), steps=tuple(values)) if values else None
        return Trajectory(
            id=f"{node}:{self.index}",
            origin=Origin(node, self.index, self.target.seed(str(self.index))),
            text=self.text,
            finish_reason=last.finish_reason,
            answer=None if is_error else self._answer(),
            scores={} if score is None else {PERPLEXITY: score},
            usage=self.usage,
            error=last.error,
        )


draft_chunks = node(DraftChunks)
