"""What verifiers share that read a reward model: its engine, which is theirs, and its refusals."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from tts.errors import BudgetError, CapabilityError, ContextError
from tts.protocols import Context, Engine
from tts.types import Score, Trajectory


class RewardVerifier(ABC):
    """Scores trajectories by a reward model, one request each.

    Args:
        engine: Serves the reward model, and is closed with the verifier.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def score(self, context: Context, trajectories: Sequence[Trajectory]) -> list[Score]:
        """Score one after the other; the engine batches the requests of all callers."""
        return [await self._score_or_error(context, trajectory) for trajectory in trajectories]

    async def aclose(self) -> None:
        """Free the reward model."""
        await self._engine.aclose()

    async def _score_or_error(self, context: Context, trajectory: Trajectory) -> Score:
        try:
            return await self._score(context, trajectory)
        except (BudgetError, ContextError, CapabilityError) as error:
            return Score(None, error=f"{self._engine.info.name}: {error}")

    @abstractmethod
    async def _score(self, context: Context, trajectory: Trajectory) -> Score: ...
