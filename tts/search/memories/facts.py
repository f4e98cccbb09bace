"""A file of facts: the passages that are nearest to a step, by TF-IDF over character n-grams.

English sentences that have nothing to do with each other mostly have cosines below 0.4, those that
share a name or a subject above 0.5; hence the default of `least`. Meaning is not compared.
"""

from pathlib import Path

import numpy as np
from pydantic import BaseModel, Field, ValidationError

from tts.errors import InputError
from tts.ngrams import NgramIndex
from tts.parts.parameters import Parameters
from tts.protocols import Context
from tts.search.memories.base import AssociativeMemory, Cue


class _Line(BaseModel):
    text: str


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
        self._passages = config.passages
        self._least = config.least
        self._texts = read_passages(Path(config.file))
        self._index = NgramIndex(self._texts)

    async def recall(self, context: Context, cue: Cue) -> str:
        """Return the nearest passages, one after the other; empty if none is near enough."""
        cosines = self._index.cosines(cue.steps[-1])
        nearest = np.argsort(-cosines, kind="stable")
        near = [self._texts[place] for place in nearest[cosines[nearest] >= self._least].tolist()]
        fresh = [text for text in near if not any(_stands_in(note, text) for note in cue.recalled)]
        return " ".join(fresh[: self._passages])


def build(config: Config) -> Facts:
    """Read the file.

    Raises:
        InputError: It cannot be read, has a line that is none, or holds no passage.
    """
    return Facts(config)


def _stands_in(note: str, passage: str) -> bool:
    """Return whether a note holds a passage, or is the beginning to which it was cut."""
    return passage in note or passage.startswith(note)


def read_passages(path: Path) -> list[str]:
    """Return the passages of a file, white space normalised; empty ones are left out.

    Raises:
        InputError: It cannot be read, has a line that is none, or holds no passage.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    passages = []
    for number, line in enumerate(lines, start=1):
        if path.suffix == ".jsonl" and line.strip():
            try:
                line = _Line.model_validate_json(line).text
            except ValidationError as error:
                raise InputError(f'{path}:{number}: expected {{"text": "..."}}') from error
        passages.append(" ".join(line.split()))
    passages = list(dict.fromkeys(filter(None, passages)))
    if not passages:
        raise InputError(f"{path}: holds no passage; write one on each line")
    return passages
