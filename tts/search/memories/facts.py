"""A file of facts: the passages that are nearest to a step, by TF-IDF over character n-grams.

English sentences that have nothing to do with each other mostly have cosines below 0.4, those that
share a name or a subject above 0.5; hence the default of `least`. Meaning is not compared.
"""

from pathlib import Path

from pydantic import Field

from tts.parts.parameters import Parameters
from tts.passages import Passages
from tts.protocols import Context
from tts.search.memories.base import AssociativeMemory, Cue


class Config(Parameters):
    """Parameters of a file of facts."""

    file: str = Field(
        description="text file with a passage on each line; of a .jsonl file, the key `text`"
    )
    passages: int = Field(
        1, ge=1, description="most passages that a step calls to mind, nearest first"
    )
    least: float = Field(0.45, ge=0, le=1, description="least cosine that a passage must reach")


class Facts(AssociativeMemory):
    """Recalls passages that are like the newest step, and that no earlier step has recalled."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._number, self._least = config.passages, config.least
        self._passages = Passages(Path(config.file))

    async def recall(self, context: Context, cue: Cue) -> str:
        """Return the nearest passages, one after the other; empty if none is near enough."""
        near = self._passages.nearest(cue.steps[-1], least=self._least)
        fresh = [text for text in near if not any(_stands_in(note, text) for note in cue.recalled)]
        return " ".join(fresh[: self._number])


def build(config: Config) -> Facts:
    """Read the file.

    Raises:
        InputError: It cannot be read, has a line that is none, or holds no passage.
    """
    return Facts(config)


def _stands_in(note: str, passage: str) -> bool:
    """Return whether a note holds a passage, or is the beginning to which it was cut."""
    return passage in note or passage.startswith(note)
