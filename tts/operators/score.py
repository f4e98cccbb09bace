"""Attach a verifier's scores to trajectories, each as soon as it arrives."""

import asyncio
from collections.abc import Sequence
from functools import partial

from pydantic import Field

from tts.operators.base import OperatorModel, node
from tts.protocols import Context, Inlet, Outlet, Spec
from tts.scoring import ask_verifier, warn_of_failure
from tts.search.once import Once
from tts.types import Score, Trajectory


class ScoreWith(OperatorModel):
    """Scores every trajectory and passes it on, in order of scoring.

    Requests are made one trajectory at a time, so that scoring starts when the first trajectory
    ends; the engine batches them across nodes and problems. Equal trajectories are scored once
    where their text decides the score. A verifier that compares trajectories with each other gets
    all of them at once, by node and index. Otherwise the node behind is asked for more only when
    the reader, too, has dealt with all that was scored.
    """

    verifier: str = Field(
        description='verifier that scores, with its options: "prm(reduction=last)"'
    )

    @property
    def spec(self) -> Spec:
        """Passes on what comes in, with a score more."""
        return Spec(verifiers=(self.verifier,))

    async def run(self, context: Context, inputs: Sequence[Inlet], outlet: Outlet) -> None:
        """Score concurrently; a verifier's failure becomes a score with an error."""
        if context.verifier(self.verifier).spec.compares:
            arrived = [trajectory async for trajectory in context.merge(inputs)]
            arrived.sort(key=lambda t: (t.origin.node, t.origin.index, t.id))
            if arrived:
                scores = await ask_verifier(context.checking(), self.verifier, arrived)
                for trajectory, score in zip(arrived, scores, strict=True):
                    self._send(context, trajectory, score, outlet)
            return
        known = Once[Score]() if _is_by_text(context, self.verifier) else None
        running: set[asyncio.Task[None]] = set()

        async def ready() -> None:
            while running:
                await asyncio.wait(running)
            await outlet.wanted()

        for inlet in inputs:
            inlet.defer(ready)
        async with asyncio.TaskGroup() as group:
            async for trajectory in context.merge(inputs):
                task = group.create_task(self._score(context, trajectory, outlet, known))
                running.add(task)
                task.add_done_callback(running.discard)

    async def _score(
        self, context: Context, trajectory: Trajectory, outlet: Outlet, known: Once[Score] | None
    ) -> None:
        ask = partial(self._ask, context, trajectory)
        key = (trajectory.text, trajectory.finish_reason, trajectory.answer)
        score = await (ask() if known is None else known.get(key, ask))
        self._send(context, trajectory, score, outlet)

    async def _ask(self, context: Context, trajectory: Trajectory) -> Score:
        (score,) = await ask_verifier(context.checking(), self.verifier, [trajectory])
        return score

    def _send(self, context: Context, trajectory: Trajectory, score: Score, outlet: Outlet) -> None:
        steps = [round(value, 4) for value in score.steps]
        context.emit(
            "score", id=trajectory.id, verifier=self.verifier, value=score.value, steps=steps
        )
        warn_of_failure(context, self.verifier, score)
        outlet.send(trajectory.with_score(self.verifier, score))


def _is_by_text(context: Context, name: str) -> bool:
    """Return whether equal trajectories have equal scores, by those that it asks where it does."""
    spec = context.verifier(name).spec
    return spec.by_text or (
        bool(spec.verifiers) and all(_is_by_text(context, other) for other in spec.verifiers)
    )


score = node(ScoreWith)
