"""Process reward model: the probability, step by step, that the reasoning is right so far.

Sources: Lightman et al. 2023, "Let's Verify Step by Step", arXiv:2305.20050; the input format is
that of Qwen2.5-Math-PRM (Zhang et al. 2025, arXiv:2501.07301): the steps of the assistant's turn,
each followed by a tag, two classes read at every tag. The number of scores is the number of steps,
and a step's score does not depend on later steps, so that the engine can remember it. Of a text
with a thought only the solution after it is read, which is all that such models have seen. Models
that read another format get it from the engine: Skywork-o1-Open-PRM the bare problem and a newline
token after every line, of which a step's last one counts (`tts.engine.reward_format`).
"""

import math
from collections.abc import Sequence

from pydantic import Field

from tts import prompts
from tts.parts.parameters import Parameters
from tts.protocols import Context, Engine, VerifierSpec
from tts.tasks.splits import split_solution, split_steps
from tts.types import Score, ScoreRequest, Trajectory
from tts.verifiers._reward import RewardVerifier
from tts.verifiers._step_reduce import Reduction, reduce_steps

DEFAULT_MODEL = "bundled:prm"


class Config(Parameters):
    """Options of the process reward model."""

    reduction: Reduction = Field("min", description="how step scores become the trajectory's score")


class PRM(RewardVerifier):
    """Scores every step with a reward model.

    Args:
        engine: Serves the reward model.
        config: Its options.
    """

    def __init__(self, engine: Engine, config: Config) -> None:
        super().__init__(engine)
        self._reduction = config.reduction

    @property
    def spec(self) -> VerifierSpec:
        """Probabilities, one per step."""
        return VerifierSpec(steps=True, unit_interval=True, model=self._engine.info, by_text=True)

    async def _score(self, context: Context, trajectory: Trajectory) -> Score:
        text = prompts.solution_part(trajectory.text)
        steps = split_steps(text) if trajectory.steps else split_solution(text)
        if not steps:
            return Score(None, error="the trajectory has no steps")
        if any(prompts.STEP_TAG in step for step in steps):
            return Score(None, error=f"a step holds the step tag {prompts.STEP_TAG!r} itself")
        request = ScoreRequest(prompts.reward(context.problem, steps), prompts.STEP_TAG)
        values = (await context.score(self._engine, request)).values
        if problem := self._problem_with(values, len(steps)):
            return Score(None, error=problem)
        return Score(reduce_steps(values, self._reduction), steps=values)

    def _problem_with(self, values: Sequence[float], num_steps: int) -> str:
        name = self._engine.info.name
        if len(values) != num_steps:
            return (
                f"{name} gave {len(values)} scores for {num_steps} steps; its step tag may not "
                f"be {prompts.STEP_TAG!r}, or it splits tokens differently"
            )
        if not all(math.isfinite(v) and 0.0 <= v <= 1.0 for v in values):
            return f"{name} gave scores outside [0, 1]; it may not be a process reward model"
        return ""


def build(config: Config, reward_model: Engine) -> PRM:
    """Return the verifier; it closes the engine that serves the reward model."""
    return PRM(reward_model, config)
