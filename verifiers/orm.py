"""Outcome reward model: one probability that the whole solution is right.

Source: Cobbe et al. 2021, "Training Verifiers to Solve Math Word Problems", arXiv:2110.14168.
`last_step` reads a process reward model at the end of the solution only, which is how its last
value is used as an outcome score (Snell et al. 2024, arXiv:2408.03314); `sequence` runs a model
that classifies a whole sequence, and takes its last class. A thought before the solution is not
read: reward models know solutions.
"""

import math
from dataclasses import replace
from typing import Literal

from pydantic import Field

from tts import prompts
from tts.parts.parameters import Parameters
from tts.protocols import Context, Engine, VerifierSpec
from tts.tasks.splits import split_steps
from tts.types import Problem, Prompt, Score, ScoreRequest, Trajectory
from tts.verifiers._reward import RewardVerifier

DEFAULT_MODEL = "bundled:prm"


class Config(Parameters):
    """Options of the outcome reward model."""

    reads: Literal["last_step", "sequence"] = Field(
        "last_step",
        description="last_step: the last value of a process reward model; sequence: a "
        "classifier of the whole text",
    )


class ORM(RewardVerifier):
    """Scores a finished trajectory as a whole.

    Args:
        engine: Serves the reward model.
        config: Its options.
    """

    def __init__(self, engine: Engine, config: Config) -> None:
        super().__init__(engine)
        self._tag = prompts.STEP_TAG if config.reads == "last_step" else ""

    @property
    def spec(self) -> VerifierSpec:
        """One probability."""
        return VerifierSpec(unit_interval=True, model=self._engine.info, by_text=True)

    async def _score(self, context: Context, trajectory: Trajectory) -> Score:
        if not trajectory.text.strip():
            return Score(None, error="the trajectory is empty")
        solution = prompts.solution_part(trajectory.text)
        request = ScoreRequest(self._prompt(context.problem, solution), self._tag)
        scores = await context.score(self._engine, request)
        value = scores.values[-1] if scores.values else math.nan
        if not 0.0 <= value <= 1.0:
            return Score(
                None,
                error=f"{self._engine.info.name} gave {value}, which is no probability",
            )
        return Score(value)

    def _prompt(self, problem: Problem, text: str) -> Prompt:
        if self._tag:
            return prompts.reward(problem, split_steps(text))
        plain = prompts.solve(replace(problem, prompt=None))
        return Prompt(messages=plain.messages, prefill=text)


def build(config: Config, reward_model: Engine) -> ORM:
    """Return the verifier; it closes the engine that serves the reward model."""
    return ORM(reward_model, config)
