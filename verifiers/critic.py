"""What is strong and what is weak in an attempt, in words that travel with it, and a grade.

Source: Saad-Falcon et al. 2024, "Archon: An Architecture Search Framework for Inference-Time
Techniques", arXiv:2409.15254: a critic writes strengths and weaknesses of each candidate, which the
rankers and fusers behind it read.

The words are the score's report: `fuse(critic="critic")` and `list_rank(critic=critic)` show them
below the attempt, and `refine(verifier="critic")` to whoever revises it. Departure: the critic also
gives a grade from 0 to 10, a tenth of which is the value, so that it may select by itself. Where no
grade can be read the words still travel. With `engine` another engine of the run criticises.
"""

import asyncio
from collections.abc import Sequence

from tts import prompts
from tts.parts.parameters import Parameters
from tts.protocols import Context, VerifierSpec
from tts.trajectories import ask
from tts.types import Score, Trajectory
from tts.verifiers._base import EngineName


class Config(Parameters):
    """Options of the critic."""

    engine: EngineName = ""


class Critic:
    """Asks a model for strengths, weaknesses and a grade."""

    def __init__(self, config: Config) -> None:
        self._config = config

    @property
    def spec(self) -> VerifierSpec:
        """Asks once for each attempt."""
        needs = frozenset({"own_prompts"})
        return VerifierSpec(needs=needs, unit_interval=True, engine=self._config.engine)

    async def score(self, context: Context, trajectories: Sequence[Trajectory]) -> list[Score]:
        """Criticise each trajectory."""
        context = context.asking(self._config.engine)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_criticise(context, each)) for each in trajectories]
        return [task.result() for task in tasks]

    async def aclose(self) -> None:
        """Owns nothing."""


async def _criticise(context: Context, trajectory: Trajectory) -> Score:
    attempt = prompts.solution_part(trajectory.text)
    seed = context.seed(f"critic\x1f{trajectory.id}")
    said = await ask(context, prompts.criticise(context.problem, attempt), seed=seed)
    if said is None:
        return Score(None, error="the budget or the context left nothing for a criticism")
    grade, words = prompts.parse_grade(prompts.without_thought(said.text))
    context.emit("criticism", id=trajectory.id, grade=grade, words=words)
    error = None if grade is not None else "the criticism has no readable grade"
    return Score(grade, error=error, report=words)


def build(config: Config) -> Critic:
    """Return the verifier; it asks engines of the run."""
    return Critic(config)
