"""Trajectory to revised trajectory, by more thought or by critique; each as soon as it arrives.

Sources: Snell et al. 2024, arXiv:2408.03314 (revision chains that see the last attempts); Madaan et
al. 2023, "Self-Refine", arXiv:2303.17651 (critique, then revision, until the critique accepts);
Olausson et al. 2023, "Is Self-Repair a Silver Bullet for Code Generation?", arXiv:2306.09896
(revision in view of what the tests of a program say); Balachandran et al. 2025, "Inference-Time
Scaling for Complex Tasks", arXiv:2504.00294 (revision told only that a verifier rejects).
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Self

from pydantic import Field, model_validator

from tts import prompts
from tts.operators._scorer import Scorer
from tts.operators.base import OperatorModel, node
from tts.protocols import Context, Inlet, Outlet, Spec
from tts.trajectories import ask, to_trajectory
from tts.types import Score, Trajectory, Usage

Mode = Literal["revise", "critique", "report", "verdict"]
Emit = Literal["last", "all"]
CRITIQUE = "critique"  # name of the score that a critique's verdict becomes


class Refine(OperatorModel):
    """Revises each trajectory `rounds` times, in a chain of its own.

    A round shows the last `memory` attempts of the chain, in mode `critique` each with its check; a
    check of the last attempt is asked for first. Thoughts are not shown. A check that accepts the
    attempt ends the chain; one without a readable verdict accepts nothing and is reported. In mode
    `report` the check is what a verifier such as `execution` finds wrong, and a chain ends where it
    finds nothing or cannot tell; every attempt, the last one too, is sent with its score. So it is
    in mode `verdict`, where the check says no more than that the attempt is wrong, which it is if
    its score is below `at_least`.

    With `emit: last` the chain sends its last attempt that has an answer; with `all`, every attempt
    as soon as it is there, the first included. An attempt carries the cost of the check before it.

    Revisions and checks may be asked of other engines of the run than the drafts.
    """

    mode: Mode = Field(
        "revise",
        description="revise at once, or after a check by a model (critique) or by a verifier",
    )
    verifier: str = Field(
        "", description="verifier that is the check, by its report or its score (verdict)"
    )
    at_least: float = Field(0.5, description="score of an attempt that mode verdict takes as right")
    rounds: int = Field(1, ge=1, le=256, description="most revisions of a trajectory")
    memory: int = Field(1, ge=1, le=64, description="last attempts that a revision is shown")
    accept: bool = Field(
        True, description="whether a check that finds an attempt correct ends the chain"
    )
    emit: Emit = Field("last", description="what a chain sends: its end, or every attempt")
    engine: str = Field("", description="engine that revises; the one asked so far if empty")
    checker: str = Field("", description="engine that checks; the one asked so far if empty")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.mode != "critique" and self.checker:
            raise ValueError("only mode critique asks a checker, so that checker belongs to it")
        if (self.mode in ("report", "verdict")) != bool(self.verifier):
            raise ValueError(
                "the modes report and verdict need a verifier, and no other mode takes one"
            )
        return self

    @property
    def spec(self) -> Spec:
        """Reads and sends finished trajectories."""
        fan_out = self.rounds + 1 if self.emit == "all" else 1
        needs = frozenset({"own_prompts"})
        others = tuple(name for name in (self.engine, self.checker) if name)
        return Spec(
            accepts="finished",
            emits="finished",
            needs=needs,
            fan_out=fan_out,
            engines=others,
            verifiers=(self.verifier,) if self.verifier else (),
        )

    async def run(self, context: Context, inputs: Sequence[Inlet], outlet: Outlet) -> None:
        """Revise concurrently; nobody waits for another chain."""
        async with asyncio.TaskGroup() as group:
            scorer = Scorer(context, self.verifier) if self.verifier else None
            async for trajectory in context.merge(inputs):
                group.create_task(_Chain(self, context, outlet, scorer).run(trajectory))


@dataclass(slots=True)
class _Chain:
    """One trajectory and its revisions.

    Attributes:
        scorer: Of the modes that ask a verifier.
        attempts: Oldest first.
        said: What checks said of them, as far as they were checked.
        checks: Cost of the critiques.
    """

    settings: Refine
    context: Context
    outlet: Outlet
    scorer: Scorer | None
    attempts: list[Trajectory] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    checks: Usage = field(default_factory=Usage)

    async def run(self, first: Trajectory) -> None:
        await self._add(first)
        for number in range(1, self.settings.rounds + 1):
            revised = await self._revise(number)
            if revised is None:
                break
            await self._add(revised)
        if self.settings.emit == "last":
            answered = [t for t in self.attempts if t.answer is not None]
            end = (answered or self.attempts)[-1]
            self.outlet.send(replace(end, usage=end.usage + self.checks))

    async def _add(self, attempt: Trajectory) -> None:
        scored = attempt if self.scorer is None else await self.scorer.score(attempt)
        self.attempts.append(scored)
        if self.settings.emit == "all":
            self.outlet.send(scored)
        else:
            self.context.record(scored)

    async def _revise(self, number: int) -> Trajectory | None:
        """Return the next attempt; None when there is none to make."""
        last, before = self.attempts[-1], Usage()
        if last.finish_reason == "error":
            return None
        shown = [prompts.without_thought(t.text) for t in self.attempts]
        if self.settings.mode != "revise":
            check = await self._check(last, shown[-1])
            if check is None:
                return None
            self.said.append(check)
            pairs = list(zip(shown, self.said, strict=True))
            prompt = prompts.revise_checked(self.context.problem, pairs[-self.settings.memory :])
            before, self.checks = self.checks, Usage()
        else:
            prompt = prompts.revise_last(self.context.problem, shown[-self.settings.memory :])
        seed = self.context.seed(last.id)
        is_last = number == self.settings.rounds and self.context.max_inputs == 1
        watch = self.context.watch if is_last and self.settings.emit == "last" else None
        asked = self.context.asking(self.settings.engine)
        completion = await ask(asked, prompt, seed=seed, watch=watch)
        if completion is None or completion.finish_reason == "error":
            self.checks = before
            if completion is not None:
                self.context.warn(f"a revision failed: {completion.error}")
            return None
        place = self.attempts[0].origin.index
        if self.settings.emit == "all":  # after the draft's, and each its own
            place = place * (self.settings.rounds + 1) + number
        revised = to_trajectory(self.context, completion, seed=seed, parents=(last,), index=place)
        return replace(revised, usage=revised.usage + before)

    async def _check(self, attempt: Trajectory, shown: str) -> str | None:
        """Return what is wrong with an attempt; None when nothing is or nobody can tell."""
        if self.scorer is None:
            return await self._critique(attempt, shown)
        score = attempt.scores[self.settings.verifier]
        if self.settings.mode == "report":
            return score.report or None
        value = score.probability_or_value
        return prompts.WRONG if value is not None and value < self.settings.at_least else None

    async def _critique(self, attempt: Trajectory, shown: str) -> str | None:
        """Return a check of an attempt; None when it accepts it or cannot be had."""
        prompt = prompts.verify(self.context.problem, shown)
        asked = self.context.asking(self.settings.checker)
        check = await ask(asked, prompt, seed=self.context.seed(f"{attempt.id}/check"))
        if check is None:
            return None
        self.checks = self.checks + check.usage
        if check.finish_reason == "error":
            self.context.warn(f"a critique failed: {check.error}")
            return None
        verdict = prompts.parse_verdict(check.text)
        self.context.emit("critique", id=attempt.id, verdict=verdict)
        if verdict is None:
            self.context.warn("a critique ended without a verdict")
            score = Score(value=None, error="the critique ended without a verdict")
        else:
            score = Score(value=float(verdict))
        self.attempts[-1] = attempt.with_score(CRITIQUE, score)
        return None if verdict and self.settings.accept else prompts.without_thought(check.text)


refine = node(Refine)
