"""A model of the run: the policy itself, or another engine, which may know more.

It is asked for one fact. A model that does not follow such a request goes on with the solution
instead, and what it says is then no knowledge from outside: the bundled policy is such a one.
"""

from contextlib import aclosing
from dataclasses import replace

from pydantic import Field

from tts import prompts
from tts.errors import TTSError
from tts.protocols import Context
from tts.search.memories.base import AssociativeMemory, Cue
from tts.types import GenerationRequest


class Memory(AssociativeMemory):
    """Asks a model for a fact that helps with the next step."""

    engine: str = Field("", description="engine of the run that is asked; the policy if empty")
    temperature: float = Field(0.0, ge=0, description="of the answer")
    max_tokens: int | None = Field(
        None, ge=1, description="of a thought and the answer; those left for the answer if none"
    )

    @property
    def engines(self) -> tuple[str, ...]:
        """The one that is asked, unless it is the policy."""
        return (self.engine,) if self.engine else ()

    async def recall(self, context: Context, cue: Cue) -> str:
        """Return the model's answer; empty for "none", or when the budget leaves nothing.

        Raises:
            TTSError: The engine refused or failed, or the prompt is too long.
        """
        asked = context.asking(self.engine)
        request = GenerationRequest(
            prompts.recall(cue.problem, cue.steps, cue.recalled),
            replace(
                context.sampling,
                temperature=self.temperature,
                max_tokens=self.max_tokens or cue.max_tokens,
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
