"""Drop trajectories by score, finished or partial; cancel what feeds it once enough have passed."""

from collections.abc import Sequence
from typing import Self

from pydantic import Field, model_validator

from tts.operators.base import OperatorModel, node
from tts.protocols import Context, Inlet, Outlet, Spec
from tts.types import Trajectory


class Prune(OperatorModel):
    """Passes on trajectories whose score reaches a threshold, or the best ones.

    With a threshold each trajectory is passed on or dropped as it arrives, and `enough` closes the
    input, which cancels the work behind it. `keep` must see all of them first. A trajectory without
    a valid score is dropped. The threshold is of the calibrated probability where a score has one,
    and of its value otherwise; `keep` ranks by value (`tts.types.Score`).
    """

    by: str = Field(description="name of the score that decides")
    at_least: float | None = Field(None, description="lowest score that passes; any if none")
    enough: int | None = Field(
        None, ge=1, description="stop reading when so many have passed; never if none"
    )
    keep: int | None = Field(None, ge=1, description="pass on only the best so many; all if none")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.at_least is None and self.keep is None:
            raise ValueError("prune needs at_least, keep or both")
        if self.enough is not None and self.keep is not None:
            raise ValueError("keep compares all trajectories, so enough cannot stop it early")
        return self

    @property
    def spec(self) -> Spec:
        """Passes on some of what comes in."""
        return Spec(scores=(self.by,), max_outputs=self.keep or self.enough)

    async def run(self, context: Context, inputs: Sequence[Inlet], outlet: Outlet) -> None:
        """Pass on, drop, and stop reading when enough have passed."""
        passed: list[Trajectory] = []
        async for trajectory in context.merge(inputs):
            if not self._passes(trajectory):
                context.emit("prune", id=trajectory.id)
                continue
            passed.append(trajectory)
            if self.keep is None:
                outlet.send(trajectory)
            if len(passed) == self.enough:
                for inlet in inputs:
                    inlet.close()
                context.stopped(f"enough {self.enough}")
                break
        if self.keep is not None:
            self._send_best(context, passed, outlet)

    def _passes(self, trajectory: Trajectory) -> bool:
        score = trajectory.scores.get(self.by)
        number = None if score is None else score.probability_or_value
        return number is not None and (self.at_least is None or number >= self.at_least)

    def _send_best(self, context: Context, passed: list[Trajectory], outlet: Outlet) -> None:
        ranked = sorted(passed, key=self._rank)
        for trajectory in ranked[: self.keep]:
            outlet.send(trajectory)
        for trajectory in ranked[self.keep :]:
            context.emit("prune", id=trajectory.id)

    def _rank(self, trajectory: Trajectory) -> tuple[float, int, str]:
        return -(trajectory.scores[self.by].value or 0.0), trajectory.origin.index, trajectory.id


prune = node(Prune)
