"""Whatever a Python function knows: a look-up table, a search engine, a knowledge graph.

In Python the function itself is given (`memory={"name": "function", "function": recall}`); a preset
names it by its dotted path, `memory: {name: function, function: package.module.recall}`, and the
module must have been loaded as a plug-in (`tts.parts.plugins`).
"""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer

from tts.errors import InputError
from tts.parts import plugins
from tts.parts.parameters import Parameters
from tts.protocols import Context
from tts.search.memories.base import AssociativeMemory, Cue

Recall = Callable[[Cue], Awaitable[Any]]


def _find(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return plugins.named_function(value)
    except InputError as error:
        raise ValueError(str(error)) from error


def _path(function: Any) -> str:
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return f"{function.__module__}.{name}"


class Config(Parameters):
    """Parameters of a function's memory."""

    function: Annotated[Recall, BeforeValidator(_find), PlainSerializer(_path)] = Field(
        description="async function of a `tts.search.memories.base.Cue`, or its dotted path"
    )


class Function(AssociativeMemory):
    """Asks an async function of a `Cue`."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._function = config.function

    async def recall(self, context: Context, cue: Cue) -> str:
        """Return what the function returns.

        Raises:
            TypeError: That is no text.
        """
        text = await self._function(cue)
        if not isinstance(text, str):
            raise TypeError(f"{_path(self._function)} returned no text but {text!r}")
        return text


def build(config: Config) -> Function:
    """Return the memory."""
    return Function(config)
