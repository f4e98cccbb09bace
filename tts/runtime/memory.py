"""What the problems of a run keep for those that come after them.

A problem reads what was kept by problems of earlier batches, which have all ended before it begins
(`runtime.RunMany`), in their order: so it reads the same at every concurrency, and after a kill.
"""

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import TypeVar, cast

from tts.protocols import Reader
from tts.runtime.job import Job
from tts.storage.sealed_lines import LineWriter, encode_line, read_lines
from tts.types import Kept

_place = attrgetter("place")
_Reader = TypeVar("_Reader", bound=Reader)


@dataclass(slots=True)
class _Shelf:
    """What one node kept in one repeat.

    Attributes:
        kept: In the run's order.
        make: What made the reader.
        reader: It has read the first lines.
        num_read: How many.
    """

    kept: list[Kept] = field(default_factory=list)
    make: Callable[[], Reader] | None = None
    reader: Reader | None = None
    num_read: int = 0

    def end(self, job: Job, batch: int) -> int:
        """Return how many of the lines were kept before a job's batch."""
        return bisect_left(self.kept, job.priority // batch * batch, key=_place)


class Memory:
    """What problems kept, for as long as the process lives; `MemoryFile` keeps it on disk."""

    def __init__(self, kept: Iterable[Kept] = ()) -> None:
        self._keys: set[tuple[int, str, str]] = set()
        self._shelves: dict[tuple[int, str], _Shelf] = defaultdict(_Shelf)
        for one in kept:
            self._put(one)

    def read(self, job: Job, node: str, batch: int, make: Callable[[], _Reader]) -> _Reader:
        """Return what has read all that a node kept of earlier batches, in the run's order.

        As long as problems come in order, each line is read once.

        Args:
            job: Which problem reads; it reads what ran with the same seed.
            node: Which node.
            batch: Problems that begin together, and so do not read each other's.
            make: Makes what reads; another one begins anew.
        """
        shelf = self._shelves[job.seed, node]
        end = shelf.end(job, batch)
        if shelf.reader is None or shelf.make != make or shelf.num_read > end:
            shelf.make, shelf.reader, shelf.num_read = make, make(), 0
        for one in shelf.kept[shelf.num_read : end]:
            shelf.reader.read(one)
        shelf.num_read = end
        return cast("_Reader", shelf.reader)

    def add(self, kept: Kept) -> None:
        """Keep; what a problem kept before it was interrupted stays as it is.

        Raises:
            StoreError: It cannot be written.
        """
        if _key(kept) not in self._keys:
            self._put(kept)
            self._write(kept)

    def _put(self, kept: Kept) -> None:
        if _key(kept) in self._keys:
            return
        self._keys.add(_key(kept))
        shelf = self._shelves[kept.seed, kept.node]
        insort(shelf.kept, kept, key=_place)
        if bisect_left(shelf.kept, kept.place, key=_place) < shelf.num_read:
            shelf.reader = None  # it stands among what was read

    def _write(self, kept: Kept) -> None:
        """Do nothing: it is in memory."""


class MemoryFile(Memory):
    """The same in a file, a line for each; the file is made with the first of them.

    Args:
        path: The file.

    Raises:
        StoreError: It is damaged.
    """

    def __init__(self, path: Path) -> None:
        lines = list(read_lines(path))
        super().__init__(Kept(**line.values) for line in lines)
        self._path = path
        self._end = lines[-1].end if lines else 0
        self._writer: LineWriter | None = None

    def close(self) -> None:
        """Close the file; idempotent."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _write(self, kept: Kept) -> None:
        if self._writer is None:
            self._writer = LineWriter(self._path, self._end)
        self._writer.append(encode_line(asdict(kept)))


def _key(kept: Kept) -> tuple[int, str, str]:
    return kept.seed, kept.node, kept.problem
