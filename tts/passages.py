"""A file of passages, and those of them that are nearest to a text."""

from pathlib import Path

import numpy as np
from pydantic import BaseModel, ValidationError

from tts.errors import InputError
from tts.ngrams import NgramIndex


class _Line(BaseModel):
    text: str


class Passages:
    """The passages of a file, found by the cosine of TF-IDF vectors over character n-grams.

    Args:
        path: Text file with a passage on each line; of a .jsonl file, the key `text`.

    Raises:
        InputError: It cannot be read, has a line that is none, or holds no passage.
    """

    def __init__(self, path: Path) -> None:
        self.texts = read_passages(path)
        self._index = NgramIndex(self.texts)

    def nearest(self, text: str, *, least: float, most: int | None = None) -> list[str]:
        """Return `most` passages whose cosine with a text is at least `least`, nearest first."""
        cosines = self._index.cosines(text)
        order = np.argsort(-cosines, kind="stable")
        return [self.texts[place] for place in order[cosines[order] >= least][:most].tolist()]


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
