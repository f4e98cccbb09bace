"""A condition on one trajectory, as loops and routes ask it."""

from typing import Self

from pydantic import Field, model_validator

from tts.parts.parameters import Parameters
from tts.types import Problem, Trajectory


class Condition(Parameters):
    """Holds where a measure of the trajectory lies within the bounds; an unknown measure does not.

    A score is read as its calibrated probability where it has one, and as its value otherwise.

    In a preset: `{measure: prm, at_least: 0.9}`.
    """

    measure: str = Field(
        description="a score's name; or answer (1 if there is one), support (probability of a "
        "vote's winner), votes, tokens (generated), level (of the problem)"
    )
    at_least: float | None = Field(None, description="lowest value that meets it; no bound if none")
    at_most: float | None = Field(None, description="highest value that meets it; no bound if none")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.at_least is None and self.at_most is None:
            raise ValueError("a condition needs at_least or at_most")
        return self

    @property
    def scores(self) -> tuple[str, ...]:
        """Names of the scores that trajectories must carry."""
        return () if self.measure in _MEASURES else (self.measure,)

    def holds(self, problem: Problem, trajectory: Trajectory) -> bool:
        """Return whether the measure is known and within the bounds."""
        value = self._value(problem, trajectory)
        if value is None:
            return False
        above = self.at_least is None or value >= self.at_least
        return above and (self.at_most is None or value <= self.at_most)

    def _value(self, problem: Problem, trajectory: Trajectory) -> float | None:
        support = trajectory.support
        match self.measure:
            case "answer":
                return float(trajectory.answer is not None)
            case "support":
                return support.probability if support else None
            case "votes":
                return support.votes if support else None
            case "tokens":
                return trajectory.usage.generated_tokens
            case "level":
                level = problem.metadata.get("level")
                return float(level) if isinstance(level, int | float) else None
        score = trajectory.scores.get(self.measure)
        return score.probability_or_value if score else None


_MEASURES = {"answer", "support", "votes", "tokens", "level"}
