"""Keep the best trajectories by score."""

from collections.abc import Sequence

from pydantic import Field

from tts.operators.base import OperatorModel
from tts.pipeline import Pipeline
from tts.protocols import Context, Inlet, Outlet, Spec
from tts.types import Trajectory


class Select(OperatorModel):
    """Sends the `keep` best trajectories, best first, once all have arrived.

    Only trajectories with an answer and a valid score compete.
    """

    by: str = Field(description="name of the score")
    keep: int = Field(1, ge=1, description="trajectories kept")

    @property
    def spec(self) -> Spec:
        """Reads finished, scored trajectories."""
        return Spec(accepts="finished", emits="finished", scores=(self.by,), max_outputs=self.keep)

    async def run(self, context: Context, inputs: Sequence[Inlet], outlet: Outlet) -> None:
        """Rank everything that arrives."""
        arrived = [trajectory async for trajectory in context.merge(inputs)]
        ranked = rank_by_score(arrived, self.by)
        context.emit("select", by=self.by, arrived=len(arrived), eligible=len(ranked))
        if arrived and not ranked:
            context.emit(
                "warning", message=f"no trajectory has both an answer and a {self.by!r} score"
            )
        for trajectory in ranked[: self.keep]:
            outlet.send(trajectory)


def rank_by_score(trajectories: Sequence[Trajectory], name: str) -> list[Trajectory]:
    """Return those with an answer and a valid score, best first; ties keep the earlier index."""
    scored = [
        (-score.value, t.origin.index, t.id, t)
        for t in trajectories
        if t.answer is not None and (score := t.scores.get(name)) and score.value is not None
    ]
    return [t for *_, t in sorted(scored, key=lambda entry: entry[:3])]


def select(by: str, *, keep: int = 1) -> Pipeline:
    """Keep the `keep` best trajectories by the score named `by`."""
    return Pipeline.of(Select(by=by, keep=keep))
