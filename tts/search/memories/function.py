"""Whatever a Python function knows: a look-up table, a search engine, a knowledge graph.

In Python the function itself stands for this memory (`mcts.Config(memory=recall)`); a preset names
it as `memory: {name: function, function: package.module.recall}`.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from pydantic import Field, ImportString

from tts.protocols import Context
from tts.search.memories.base import AssociativeMemory, Cue


class Memory(AssociativeMemory):
    """Asks an async function of a `Cue`."""

    function: ImportString[Callable[[Cue], Awaitable[Any]]] = Field(
        description="async function of a `tts.search.memories.base.Cue`, or its dotted path"
    )

    async def recall(self, context: Context, cue: Cue) -> str:
        """Return what the function returns.

        Raises:
            TypeError: That is no text.
        """
        text = await self.function(cue)
        if not isinstance(text, str):
            raise TypeError(f"{self.function.__name__} returned no text but {text!r}")
        return text
