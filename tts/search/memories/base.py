"""What a source of associative memory is asked, and what it answers."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from tts.parts.parameters import Parameters
from tts.protocols import Context
from tts.types import Problem


@dataclass(frozen=True, slots=True)
class Cue:
    """What calls something to mind: the steps of a solution so far.

    Attributes:
        problem: The problem.
        steps: Their texts, the newest last; at least one.
        recalled: What earlier steps have called to mind, the newest last; it stands in the prompt.
        max_tokens: Room for the answer, in tokens of the engine that solves the problem.
    """

    problem: Problem
    steps: tuple[str, ...]
    recalled: tuple[str, ...]
    max_tokens: int


class AssociativeMemory(ABC):
    """An external brain: it is asked one question.

    Args:
        config: What it was built of, as a preset writes it.
    """

    def __init__(self, config: Parameters | None = None) -> None:
        self.config = config or Parameters()

    @property
    def engines(self) -> tuple[str, ...]:
        """Names of the run's further engines that it asks."""
        return ()

    @abstractmethod
    async def recall(self, context: Context, cue: Cue) -> str:
        """Return short knowledge that complements the newest step; empty for none.

        Equal cues of a problem are asked for once. A killed run is resumed exactly where equal
        cues get equal answers.

        Args:
            context: What it generates through this is within the budget.
            cue: What is asked.

        Raises:
            Exception: Any; the step then calls nothing to mind, and the trace says why. Only an
                engine that is lost ends the run.
        """
