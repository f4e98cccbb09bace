"""Rounds of attempts, each written in view of the best so far and of what was said of them.

Source: Zeng et al. 2025, "Satori-SWE: Evolutionary Test-Time Scaling for Sample-Efficient Software
Engineering" (EvoScale), arXiv:2505.23604. Departures, since the model was not trained to improve on
attempts: it is shown the best of all rounds and not of the last alone, so that a bad round costs
nothing but its tokens; copies of attempts are dropped; rounds that gain nothing end it.
"""

import asyncio
from collections.abc import Sequence
from statistics import fmean

from pydantic import Field

from tts import prompts
from tts.operators._scorer import Scorer
from tts.operators._workspace import fit
from tts.operators.base import OperatorModel, node
from tts.operators.select import rank_by_score
from tts.protocols import Context, Inlet, Outlet, Spec
from tts.trajectories import draw, to_trajectory
from tts.types import Completion, GenerationRequest, Trajectory


class Evolve(OperatorModel):
    """Scores all that arrives, then writes further attempts, and sends everything with its score.

    A round shows the `keep` best attempts, best first, each with its score and with what the
    verifier finds wrong. It ends where the verifier has nothing to find: an attempt has 1, and it
    gives no more. A round's mean and best score are in the trace.
    """

    verifier: str = Field(description="verifier that says how good attempts are, and what is wrong")
    rounds: int = Field(3, ge=1, le=64, description="most rounds after what arrives")
    n: int = Field(10, ge=1, description="attempts of a round")
    keep: int = Field(5, ge=1, description="best attempts so far that a round is shown")
    patience: int = Field(
        2, ge=1, description="rounds in a row without a better attempt after which it ends"
    )

    @property
    def spec(self) -> Spec:
        """Reads and sends finished trajectories."""
        return Spec(
            accepts="finished",
            emits="finished",
            needs=frozenset({"own_prompts"}),
            verifiers=(self.verifier,),
            fan_out=None,
        )

    async def run(self, context: Context, inputs: Sequence[Inlet], outlet: Outlet) -> None:
        """Gather what arrives; then one round after the other."""
        arrived = [t async for t in context.merge(inputs, order="index")]
        scorer = Scorer(context, self.verifier)
        known = await self._scored(context, scorer, [], arrived)
        stale = 0
        for number in range(1, self.rounds + 1):
            best = rank_by_score(known, self.verifier)
            if not best:
                context.warn("there is no scored attempt to improve on")
                break
            if context.verifier(self.verifier).spec.unit_interval and _value(best[0], self) >= 1:
                context.stopped("nothing to improve")
                break
            drawn = await self._draw(context, best[: self.keep], number)
            fresh = _without_copies(context, known, drawn)
            known = await self._scored(context, scorer, known, fresh)
            self._tell(context, number, known[-len(fresh) :] if fresh else [], len(drawn))
            has_gained = _value(rank_by_score(known, self.verifier)[0], self) > _value(
                best[0], self
            )
            stale = 0 if has_gained else stale + 1
            if not drawn:  # nothing is left of the budget
                break
            if stale == self.patience < self.rounds:
                context.stopped(f"no better attempt in {stale} rounds")
                break
        for trajectory in known:
            outlet.send(trajectory)

    async def _draw(
        self, context: Context, best: Sequence[Trajectory], number: int
    ) -> list[Trajectory]:
        texts = [f"{prompts.without_thought(t.text).strip()}\n\n{self._said(t)}" for t in best]
        around, most = prompts.improve(context.problem, []), context.sampling.max_tokens
        shown = await fit(context, best, texts, around=around, limit=None, max_tokens=most)
        seed = context.seed(f"round {number}")
        prompt = prompts.improve(context.problem, shown)
        drawn: list[Trajectory] = []

        def take(completion: Completion) -> None:
            place = number * self.n + completion.index
            made = to_trajectory(context, completion, seed=seed, parents=tuple(best), index=place)
            context.record(made)
            drawn.append(made)

        await draw(context, GenerationRequest(prompt, context.sampling, n=self.n, seed=seed), take)
        return sorted(drawn, key=lambda t: t.origin.index)

    def _said(self, attempt: Trajectory) -> str:
        report = attempt.scores[self.verifier].report
        return f"Score of this attempt: {_value(attempt, self):.4g}. {report}".strip()

    async def _scored(
        self,
        context: Context,
        scorer: Scorer,
        known: Sequence[Trajectory],
        fresh: Sequence[Trajectory],
    ) -> list[Trajectory]:
        """Return all attempts with their scores; where they are compared, with new ones."""
        if not fresh:
            return list(known)
        if context.verifier(self.verifier).spec.compares:
            return await scorer.score_all([*known, *fresh])
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(scorer.score(trajectory)) for trajectory in fresh]
        return [*known, *(task.result() for task in tasks)]

    def _tell(self, context: Context, number: int, fresh: Sequence[Trajectory], drawn: int) -> None:
        values = [_value(t, self) for t in rank_by_score(fresh, self.verifier)]
        context.emit(
            "round",
            number=number,
            mean=round(fmean(values), 4) if values else None,
            best=max(values, default=None),
            copies=drawn - len(fresh),
        )


def _value(trajectory: Trajectory, settings: Evolve) -> float:
    value = trajectory.scores[settings.verifier].value
    assert value is not None  # of one that was ranked
    return value


def _without_copies(
    context: Context, known: Sequence[Trajectory], drawn: Sequence[Trajectory]
) -> list[Trajectory]:
    """Return what was drawn and is not there yet: of programs the code counts, else the text."""
    is_code = context.problem.answer_type == "code"

    def key(trajectory: Trajectory) -> str:
        text = trajectory.answer if is_code else None
        return (text or prompts.without_thought(trajectory.text)).strip()

    seen = {key(trajectory) for trajectory in known}
    fresh: list[Trajectory] = []
    for trajectory in drawn:
        if key(trajectory) not in seen:
            seen.add(key(trajectory))
            fresh.append(trajectory)
    return fresh


evolve = node(Evolve)
