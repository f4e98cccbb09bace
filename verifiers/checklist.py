"""One question about all attempts: what a right solution needs, and which attempt meets it best.

Source: CHOPS in Khairi et al. 2025, "When Life Gives You Samples", arXiv:2506.20544. The chosen
attempt scores 1, the others 0; the attempts are shown in a shuffled order, against position bias.
A choice that cannot be read is counted and chooses nobody: all score 0, so that a selection falls
back to the first attempt. With `engine` another engine of the run chooses.
"""

import random
from collections.abc import Sequence

from tts import prompts
from tts.parts.parameters import Parameters
from tts.protocols import Context, VerifierSpec
from tts.types import Score, Trajectory
from tts.verifiers._base import EngineName
from tts.verifiers._choice import ask_choice


class Config(Parameters):
    """Options of the choice."""

    engine: EngineName = ""


class Checklist:
    """Lets a model choose the best of all attempts by criteria of its own."""

    def __init__(self, config: Config) -> None:
        self._config = config

    @property
    def spec(self) -> VerifierSpec:
        """Sees all attempts at once; its values rank, they are no probabilities."""
        needs = frozenset({"own_prompts"})
        return VerifierSpec(needs=needs, compares=True, engine=self._config.engine)

    async def score(self, context: Context, trajectories: Sequence[Trajectory]) -> list[Score]:
        """Ask once; attempts without an answer are not shown and have an error."""
        context = context.asking(self._config.engine)
        shown = [t for t in trajectories if t.answer is not None]
        random.Random(context.seed("checklist")).shuffle(shown)
        chosen = await self._chosen(context, shown)
        missing = Score(None, error="the attempt has no answer")
        return [
            missing if t.answer is None else Score(1.0 if t.id == chosen else 0.0)
            for t in trajectories
        ]

    async def aclose(self) -> None:
        """Owns nothing."""

    async def _chosen(self, context: Context, shown: Sequence[Trajectory]) -> str:
        if len({t.answer for t in shown}) < 2:
            return shown[0].id if len(shown) == 1 else ""
        texts = [prompts.solution_part(t.text) for t in shown]
        prompt = prompts.choose_by_checklist(context.problem, texts)
        choice = await ask_choice(context, prompt, shown, "checklist")
        return "" if choice is None else shown[choice].id


def build(config: Config) -> Checklist:
    """Return the verifier; it asks engines of the run."""
    return Checklist(config)
