"""Attach a verifier's scores to trajectories, each as soon as it arrives."""

import asyncio
from collections.abc import Sequence

from pydantic import Field

from tts.operators._scorer import Scorer
from tts.operators.base import OperatorModel, node
from tts.protocols import Context, Inlet, Outlet, Spec
from tts.types import Trajectory


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
        scorer = Scorer(context, self.verifier)
        if context.verifier(self.verifier).spec.compares:
            arrived = [trajectory async for trajectory in context.merge(inputs)]
            arrived.sort(key=lambda t: (t.origin.node, t.origin.index, t.id))
            if arrived:
                for trajectory in await scorer.score_all(arrived):
                    outlet.send(trajectory)
            return
        running: set[asyncio.Task[None]] = set()

        async def ready() -> None:
            while running:
                await asyncio.wait(running)
            await outlet.wanted()

        async def score_one(trajectory: Trajectory) -> None:
            outlet.send(await scorer.score(trajectory))

        for inlet in inputs:
            inlet.defer(ready)
        async with asyncio.TaskGroup() as group:
            async for trajectory in context.merge(inputs):
                task = group.create_task(score_one(trajectory))
                running.add(task)
                task.add_done_callback(running.discard)


score = node(ScoreWith)
