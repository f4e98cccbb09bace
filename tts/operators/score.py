"""Attach a verifier's scores to trajectories, each as soon as it arrives."""

import asyncio
from collections.abc import Sequence

from pydantic import Field

from tts.operators.base import OperatorModel, node
from tts.protocols import Context, Inlet, Outlet, Spec
from tts.scoring import ask_verifier, warn_of_failure
from tts.types import Trajectory


class ScoreWith(OperatorModel):
    """Scores every trajectory and passes it on, in order of scoring.

    Requests are made one trajectory at a time, so that scoring starts when the first trajectory
    ends; the engine batches them across nodes and problems. A verifier that compares trajectories
    with each other gets all of them at once, by node and index. Otherwise the node behind is asked
    for more only when the reader, too, has dealt with all that was scored.
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
                await self._score(context, arrived, outlet)
            return
        running: set[asyncio.Task[None]] = set()

        async def ready() -> None:
            while running:
                await asyncio.wait(running)
            await outlet.wanted()

        for inlet in inputs:
            inlet.defer(ready)
        async with asyncio.TaskGroup() as group:
            async for trajectory in context.merge(inputs):
                task = group.create_task(self._score(context, [trajectory], outlet))
                running.add(task)
                task.add_done_callback(running.discard)

    async def _score(
        self, context: Context, trajectories: Sequence[Trajectory], outlet: Outlet
    ) -> None:
        scores = await ask_verifier(context.checking(), self.verifier, trajectories)
        for trajectory, score in zip(trajectories, scores, strict=True):
            context.emit("score", id=trajectory.id, verifier=self.verifier, value=score.value)
            warn_of_failure(context, self.verifier, score)
            outlet.send(trajectory.with_score(self.verifier, score))


score = node(ScoreWith)
