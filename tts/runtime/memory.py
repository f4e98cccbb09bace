"""What the problems of a run keep for those that come after them.

A problem reads what was kept by problems of earlier batches, which have all ended before it begins
(`runtime.RunMany`), in their order: so it reads the same at every concurrency, and after a kill.
"""

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from tts.runtime.job import Job
from tts.storage.sealed_lines import LineWriter, encode_line, read_lines
from tts.types import Kept


class Memory:
    """What problems kept, for as long as the process lives; `MemoryFile` keeps it on disk."""

    def __init__(self, kept: Iterable[Kept] = ()) -> None:
        self._kept = {_key(one): one for one in kept}

    def before(self, job: Job, node: str, batch: int) -> list[Kept]:
        """Return what a node kept of the problems of earlier batches, in the run's order.

        Args:
            job: Which problem reads; it reads what ran with the same seed.
            node: Which node.
            batch: Problems that begin together, and so do not read each other's.
        """
        first = job.priority // batch * batch
        known = (one for one in self._kept.values() if one.seed == job.seed and one.node == node)
        return sorted((one for one in known if one.place < first), key=lambda one: one.place)

    def add(self, kept: Kept) -> None:
        """Keep; what a problem kept before it was interrupted stays as it is.

        Raises:
            StoreError: It cannot be written.
        """
        if _key(kept) not in self._kept:
            self._kept[_key(kept)] = kept
            self._write(kept)

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
