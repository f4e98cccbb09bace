"""All attempts in one list, which a model orders from the best to the worst.

Source: the ranker of Saad-Falcon et al. 2024, "Archon", arXiv:2409.15254; its five best go on, here
by `select(by=list_rank, keep=5)`. The best of n attempts scores 1, the next 1 - 1/n, and so on;
those that the model leaves out score 0. Attempts are shown in a shuffled order, against position
bias. An order that cannot be read is a warning and gives all 0, so that the first attempts go on
(the published code keeps the order of the input, too; its last selection, which sorts the wrong way
round, is not followed).

With `critic` each attempt is shown with what that verifier said of it; it is asked where the
attempt does not carry its score yet. With `engine` another engine of the run ranks.
"""

import random
from collections.abc import Sequence

from pydantic import Field

from tts import prompts
from tts.parts.parameters import Parameters
from tts.protocols import Context, VerifierSpec
from tts.scoring import ask_verifier
from tts.trajectories import ask
from tts.types import Score, Trajectory
from tts.verifiers._base import EngineName


class Config(Parameters):
    """Options of the ranker."""

    critic: str | None = Field(
        None, description="verifier whose words are shown below each attempt; nobody's if none"
    )
    engine: EngineName = ""


class ListRank:
    """Lets a model order all attempts at once."""

    def __init__(self, config: Config) -> None:
        self._config = config

    @property
    def spec(self) -> VerifierSpec:
        """Sees all attempts at once; its values rank, they are no probabilities."""
        needs = frozenset({"own_prompts"})
        config = self._config
        critics = () if config.critic is None else (config.critic,)
        return VerifierSpec(needs=needs, compares=True, engine=config.engine, verifiers=critics)

    async def score(self, context: Context, trajectories: Sequence[Trajectory]) -> list[Score]:
        """Ask once; attempts without an answer are not shown and have an error."""
        shown = [t for t in trajectories if t.answer is not None]
        random.Random(context.seed("list_rank")).shuffle(shown)
        ranks = {t.id: rank for rank, t in enumerate(await self._ranked(context, shown))}
        missing = Score(None, error="the attempt has no answer")
        return [
            missing if t.answer is None else _score(ranks.get(t.id), len(shown))
            for t in trajectories
        ]

    async def aclose(self) -> None:
        """Owns nothing."""

    async def _ranked(self, context: Context, shown: Sequence[Trajectory]) -> Sequence[Trajectory]:
        """Return those that the model names, best first."""
        if len({t.answer for t in shown}) < 2:
            return shown[:1]
        said_of = await self._criticisms(context, shown)
        texts = [
            prompts.criticised(prompts.solution_part(t.text), words)
            for t, words in zip(shown, said_of, strict=True)
        ]
        asked = context.asking(self._config.engine)
        prompt = prompts.grade(context.problem, texts, len(shown))
        said = await ask(asked, prompt, seed=context.seed("list_rank"))
        named = [] if said is None else prompts.parse_ranking(prompts.without_thought(said.text))
        ranked = [shown[number - 1] for number in named if 1 <= number <= len(shown)]
        context.emit("list_rank", ranked=[t.id for t in ranked])
        if not ranked:
            context.warn("a ranking of attempts could not be read; the first ones go on")
        return ranked

    async def _criticisms(self, context: Context, shown: Sequence[Trajectory]) -> list[str]:
        """Return what the critic says of each attempt; it is asked where it has not spoken."""
        name = self._config.critic
        if name is None:
            return [""] * len(shown)
        missing = [t for t in shown if name not in t.scores]
        made = await ask_verifier(context, name, missing) if missing else []
        said = dict(zip((t.id for t in missing), made, strict=True))
        return [said[t.id].report if t.id in said else t.scores[name].report for t in shown]


def _score(rank: int | None, count: int) -> Score:
    return Score(0.0 if rank is None else 1.0 - rank / count)


def build(config: Config) -> ListRank:
    """Return the verifier; it asks engines of the run."""
    return ListRank(config)
