"""Value head: the chance of a right answer, read from the policy's own hidden states.

Sources: Zhang et al. 2025, "Reasoning Models Know When They're Right", arXiv:2504.05419, probe the
state at an intermediate answer; Ni et al. 2025, "ReProbe", arXiv:2511.06209, at every step. Here a
head (`tts train-verifier` makes one) reads the state at the end of each paragraph and of the whole.
On an embedded engine the states come with the completions: no second model, no scoring request,
nothing is read again. Completions that a log holds without them are read by the policy. Texts from
elsewhere are read by `reader`, an embedded copy of the model:
"head(file='head/', reader='MODEL?pooling')".
"""

from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from tts.bundled import HEAD, PREFIX, resolve_head
from tts.errors import BudgetError, CapabilityError, ContextError
from tts.heads.head import Head, load_head
from tts.heads.read import text_ids
from tts.parts.parameters import Parameters
from tts.protocols import Context, VerifierSpec
from tts.types import Score, States, Trajectory
from tts.verifiers._step_reduce import Reduction, reduce_steps

MODEL_OPTION = "file"
DEFAULT = PREFIX + HEAD


class Config(Parameters):
    """Options of the value head."""

    file: str = Field(DEFAULT, description="the head's folder; the default is bundled:reasoner's")
    reader: str = Field(
        "",
        description="engine of the run that reads texts for their states; the policy, whose states "
        "come with its completions, if empty",
    )
    reduction: Reduction = Field("last", description="how step values become the trajectory's")


class HeadVerifier:
    """Scores every step by a head.

    Args:
        head: It.
        config: Its options.
    """

    def __init__(self, head: Head, config: Config) -> None:
        self._head = head
        self._config = config

    @property
    def spec(self) -> VerifierSpec:
        """Probabilities, one per paragraph."""
        reader = self._config.reader
        return VerifierSpec(
            needs=frozenset({"states"}),
            steps=True,
            unit_interval=True,
            engine=reader,
            states=None if reader else self._head.spec,
            weights=self._head.weights,
            bars=self._head.bars,
        )

    async def score(self, context: Context, trajectories: Sequence[Trajectory]) -> list[Score]:
        """Score one after the other; those whose states came with them at once."""
        return [await self._score(context, trajectory) for trajectory in trajectories]

    async def aclose(self) -> None:
        """Nothing is open."""

    async def _score(self, context: Context, trajectory: Trajectory) -> Score:
        try:
            states = trajectory.states
            if states is None or not set(self._head.spec.layers) <= set(states.layers):
                states = await self._read(context, trajectory)
            values = self._head.values(states)
        except (BudgetError, CapabilityError, ContextError, ValueError) as error:
            return Score(None, error=str(error))
        if not values:
            return Score(None, error="the trajectory has no tokens")
        return Score(reduce_steps(values, self._config.reduction), steps=values)

    async def _read(self, context: Context, trajectory: Trajectory) -> States:
        """Have a text read: by its own tokens, where they are known and the reader has the same."""
        asked = context.asking(self._config.reader)
        prompt, token_ids = await text_ids(
            asked.engine,
            context.problem,
            trajectory.text,
            prompt_token_ids=trajectory.prompt_token_ids,
            token_ids=trajectory.token_ids,
        )
        return (await asked.read_states(prompt, token_ids, self._head.spec)).states


def build(config: Config) -> HeadVerifier:
    """Return the verifier.

    Raises:
        InputError: There is no head, or it is damaged.
    """
    folder = resolve_head() if config.file == DEFAULT else Path(config.file)
    return HeadVerifier(load_head(folder), config)
