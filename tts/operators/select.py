"""Keep the best trajectories by score."""

from collections.abc import Sequence

from pydantic import Field

from tts.operators._quorum import no_quorum
from tts.operators.base import OperatorModel, node
from tts.protocols import Context, Inlet, Outlet, Spec
from tts.types import Trajectory


class Select(OperatorModel):
    """Sends the `keep` best trajectories, best first, once all have arrived.

    Only trajectories with an answer and a valid score compete. They are ranked by the verifier's
    own value; a calibrated probability would keep the order, and may make equal what was not.
    """

    by: str = Field(description="name of the score that decides")
    keep: int = Field(1, ge=1, description="trajectories that are kept")
    among: str | None = Field(
        None, description="node whose trajectories compete; the others only helped to judge them"
    )
    quorum: int = Field(1, ge=1, description="fewest scored trajectories for a choice")

    @property
    def spec(self) -> Spec:
        """Reads finished, scored trajectories."""
        return Spec(accepts="finished", emits="finished", scores=(self.by,), max_outputs=self.keep)

    async def run(self, context: Context, inputs: Sequence[Inlet], outlet: Outlet) -> None:
        """Rank everything that arrives."""
        arrived = [trajectory async for trajectory in context.merge(inputs)]
        if self.among is not None:
            # A node of a spawned pipeline has its spawner's path before its name.
            place = context.node.rpartition("/")[0]
            name = f"{place}/{self.among}" if place else self.among
            arrived = [t for t in arrived if t.origin.node == name]
        ranked = rank_by_score(arrived, self.by)
        context.emit("select", by=self.by, arrived=len(arrived), eligible=len(ranked))
        if len(ranked) < self.quorum:
            if arrived:
                what = f"an answer and a {self.by!r} score"
                context.warn(
                    no_quorum(
                        len(ranked), len(arrived), what=what, chooser="choice", quorum=self.quorum
                    )
                )
            return
        for trajectory in ranked[: self.keep]:
            outlet.send(trajectory)


def rank_by_score(trajectories: Sequence[Trajectory], name: str) -> list[Trajectory]:
    """Return those with an answer and a valid score, best first; ties keep the earlier index."""
    scored = [
        (score.value, t)
        for t in trajectories
        if t.answer is not None and (score := t.scores.get(name)) and score.value is not None
    ]
    scored.sort(key=lambda pair: (-pair[0], pair[1].origin.index, pair[1].id))
    return [trajectory for _, trajectory in scored]


select = node(Select)
