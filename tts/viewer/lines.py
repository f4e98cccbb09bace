"""Where the lines of each problem lie in a growing file of JSON Lines."""

import json
import mmap
import re
from pathlib import Path
from typing import Any

from tts.storage.sealed_lines import decode_line

_LONGEST_HEAD = 4096  # bytes that may stand before a line's repeat
Place = tuple[str, int]  # a problem's id, and its repeat
# A line says at its beginning whose it is, so that finding it needs no decoding.
_HEAD = re.compile(rb'\{(?:"kind":"\w+",)?"problem":("(?:[^"\\]|\\.)*"),"repeat":(\d+)')


class LineIndex:
    """Finds the lines of one problem in a file that may be gigabytes and may still grow.

    Args:
        path: The file; a missing one has no lines.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0
        self._found: dict[Place, list[tuple[int, int]]] = {}
        self._names: dict[bytes, str] = {}

    def refresh(self) -> None:
        """Read what was added since the last time; all again if the file has become shorter."""
        size = self._path.stat().st_size if self._path.exists() else 0
        if size < self._read:
            self._read, self._found = 0, {}
        if size == self._read:
            return
        with (
            self._path.open("rb") as file,
            mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as data,
        ):
            start = self._read
            while end := data.find(b"\n", start) + 1:  # a line without one is being written
                if found := _HEAD.match(data, start, min(end, start + _LONGEST_HEAD)):
                    name, repeat = found.groups()
                    if name not in self._names:
                        self._names[name] = json.loads(name)
                    place = self._names[name], int(repeat)
                    self._found.setdefault(place, []).append((start, end - start))
                start = end
            self._read = start

    def lines(self, place: Place) -> list[dict[str, Any]]:
        """Return a problem's whole lines, in order; one that is damaged is passed over."""
        if place not in self._found:
            return []
        with self._path.open("rb") as file:
            return [values for span in self._found[place] if (values := _decoded(file, *span))]

    def places(self) -> set[Place]:
        """Return the problems that have lines."""
        return set(self._found)


def _decoded(file: Any, start: int, size: int) -> dict[str, Any] | None:
    file.seek(start)
    return decode_line(file.read(size))
