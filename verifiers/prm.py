"""Process reward model: the probability, step by step, that the reasoning is right so far.

Sources: Lightman et al. 2023, "Let's Verify Step by Step", arXiv:2305.20050; the input format is
that of Qwen2.5-Math-PRM (Zhang et al. 2025, arXiv:2501.07301): the steps of the assistant's turn,
each followed by a tag, two classes read at every tag.
"""

from collections.abc import Sequence

from tts import prompts
from tts.errors import VerifierError
from tts.protocols import Context, Engine, VerifierSpec
from tts.tasks.splits import split_steps
from tts.types import Score, ScoreRequest, Trajectory
from tts.verifiers._step_reduce import Reduction, reduce_steps

DEFAULT_MODEL: str | None = "bundled:prm"


class PRM:
    """Scores every step with a reward model.

    Args:
        engine: Serves the reward model.
        reduction: How step scores become the trajectory's score.
    """

    def __init__(self, engine: Engine, *, reduction: Reduction = "min") -> None:
        self._engine = engine
        self._reduction = reduction

    @property
    def spec(self) -> VerifierSpec:
        """Probabilities, one per step."""
        return VerifierSpec(steps=True, unit_interval=True)

    async def score(self, context: Context, trajectories: Sequence[Trajectory]) -> list[Score]:
        """Score trajectories one request each; the engine batches them."""
        return [await self._score(context, trajectory) for trajectory in trajectories]

    async def aclose(self) -> None:
        """Free the reward model."""
        await self._engine.aclose()

    async def _score(self, context: Context, trajectory: Trajectory) -> Score:
        steps = split_steps(trajectory.text)
        if not steps:
            return Score(value=None, error="the trajectory has no steps")
        request = ScoreRequest(prompts.reward(context.problem, steps), prompts.STEP_TAG)
        scores = await self._engine.score(request)
        context.charge(self._engine.info, scores.usage)
        if len(scores.values) != len(steps):
            raise VerifierError(
                f"{self._engine.info.name} gave {len(scores.values)} scores for {len(steps)} "
                f"steps; its step tag may not be {prompts.STEP_TAG!r}"
            )
        return Score(value=reduce_steps(scores.values, self._reduction), steps=scores.values)


def build(engine: Engine | None) -> PRM:
    """Return the verifier for a reward model's engine."""
    if engine is None:
        raise VerifierError("the process reward model needs an engine")
    return PRM(engine)
