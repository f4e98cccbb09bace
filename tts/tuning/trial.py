"""A point of a space, as far as it was tried."""

from dataclasses import dataclass

from tts.tuning.space import Point
from tts.types.figures import Summary, Unit


@dataclass(frozen=True, slots=True)
class Trial:
    """A point and what came of it.

    Attributes:
        point: It.
        summary: Of its last run, on the most problems.
        unit: In which its cost is counted.
    """

    point: Point
    summary: Summary
    unit: Unit = "tokens"

    @property
    def cost(self) -> float:
        """Cost of a problem; 0 where it is not known."""
        return self.summary.cost.of(self.unit) or 0.0

    @property
    def merit(self) -> tuple[float, float]:
        """Lower bound of the accuracy, then accuracy: a finalist's rank."""
        return self.summary.interval.low, self.summary.accuracy
