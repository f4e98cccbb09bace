"""The score that a pool recorded with each sample; nothing runs.

Vote weights are sums, so a vote takes them only with `range=probability`, which refuses values
outside [0, 1]; other scores rank (`select`, Borda weights) or are calibrated first.
"""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from tts.parts.parameters import Parameters
from tts.protocols import Context, VerifierSpec
from tts.types import RECORDED, Score, Trajectory
from tts.verifiers._step_reduce import Reduction, reduce_steps


class Config(Parameters):
    """Options of the recorded scores."""

    range: Literal["any", "probability"] = Field(
        "any", description="probability: refuse scores outside [0, 1], so that a vote may sum them"
    )
    reduction: Reduction | None = Field(
        None, description="how recorded step scores become one; the recorded score if none"
    )


class Recorded:
    """Reads the score that came with a completion."""

    def __init__(self, config: Config) -> None:
        self._config = config

    @property
    def spec(self) -> VerifierSpec:
        """Needs nothing of the engine; a sample without a score has an error."""
        return VerifierSpec(unit_interval=self._config.range == "probability")

    async def score(self, context: Context, trajectories: Sequence[Trajectory]) -> list[Score]:
        """Return the recorded scores."""
        return [self._score(trajectory) for trajectory in trajectories]

    async def aclose(self) -> None:
        """Owns nothing."""

    def _score(self, trajectory: Trajectory) -> Score:
        recorded = trajectory.scores.get(RECORDED)
        if recorded is None or recorded.value is None:
            return Score(None, error="no score was recorded with this sample")
        value, steps = recorded.value, recorded.steps
        if self._config.reduction is not None:
            if not steps:
                return Score(None, error="no step scores were recorded with this sample")
            value = reduce_steps(steps, self._config.reduction)
        if self._config.range == "probability" and not 0.0 <= value <= 1.0:
            return Score(None, error=f"the recorded score {value:g} is no probability")
        return Score(value, steps=steps)


def build(config: Config) -> Recorded:
    """Return the verifier."""
    return Recorded(config)
