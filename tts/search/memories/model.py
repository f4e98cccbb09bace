"""A model of the run: the policy itself, or another engine, which may know more.

It is asked for one fact. A model that does not follow such a request goes on with the solution
instead, and what it says is then no knowledge from outside: the bundled policy is such a one.
"""

from contextlib import aclosing
from dataclasses import replace

from pydantic import Field

from tts import prompts
from tts.errors import TTSError
from tts.parts.parameters import Parameters
from tts.protocols import Context
from tts.search.memories.base import AssociativeMemory, Cue
from tts.types import GenerationRequest


class Config(Parameters):
    """Parameters of a model's memory."""

    engine: str = Field("", description="engine of the run that is asked; the policy if empty")
    temperature: float = Field(0.0, ge=0, description="temperature at which the answer is drawn")
    max_tokens: int | None = Field(
        None,
        ge=1,
        description="most tokens of a thought and the answer; those left for the answer if none",
    )


class Model(AssociativeMemory):
    """Asks a model for a fact that helps with the next step."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._engine = config.engine
        self._temperature = config.temperature
        self._max_tokens = config.max_tokens

    @property
    def engines(self) -> tuple[str, ...]:
        """The one that is asked, unless it is the policy."""
        return (self._engine,) if self._engine else ()

    async def recall(self, context: Context, cue: Cue) -> str:
        """Return the model's answer; empty for "none", or when the budget leaves nothing.

        Raises:
            TTSError: The engine refused or failed, or the prompt is too long.
        """
        asked = context.asking(self._engine)
        request = GenerationRequest(
            prompts.recall(cue.problem, cue.steps, cue.recalled),
            replace(
                context.sampling,
                temperature=self._temperature,
                max_tokens=self._max_tokens or cue.max_tokens,
                stop=(),
                logprobs=None,
            ),
            seed=asked.seed("\x1f".join(("recall", *cue.steps))),
        )
        async with aclosing(asked.generate(request)) as stream:
            async for completion in stream:
                if completion.error is not None:
                    raise TTSError(completion.error)
                return prompts.parse_recalled(completion.text)
        return ""


def build(config: Config) -> Model:
    """Return the memory."""
    return Model(config)
