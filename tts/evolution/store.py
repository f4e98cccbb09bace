"""The folder of an evolution, from which a killed run goes on.

- evolution.json: what is evolved, and with what;
- generations.jsonl: every answer of the model;
- programs.jsonl: every child, where it comes from, its score, or why there is none; of two lines
  with one number the later one counts;
- best.py: the best program so far.
"""

import contextlib
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from tts.errors import InputError
from tts.evolution.population import Program
from tts.storage.folder_lock import lock_folder
from tts.storage.sealed_lines import (
    LineWriter,
    encode_line,
    read_json,
    read_lines,
    write_json,
    write_text,
)
from tts.verifiers.evaluator import Evaluated

GENERATIONS = "generations.jsonl"
BEST = "best.py"
_PROGRAMS, _HEAD = "programs.jsonl", "evolution.json"


@dataclass(frozen=True, slots=True)
class Child:
    """What became of one answer.

    Attributes:
        number: From 1; 0 is the program that all began with.
        island: Where it belongs.
        parent: Number of the program that it was made of.
        code: All of it; empty where the answer made none.
        rejected: Why it was not evaluated; empty if it was.
        evaluated: What the evaluator said.
    """

    number: int
    island: int
    parent: int | None
    code: str = ""
    rejected: str = ""
    evaluated: Evaluated | None = None


@dataclass(slots=True)
class Store:
    """The folder's lines: what is known of children, and where new ones are written."""

    folder: Path
    lock: int
    writer: LineWriter
    written: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    known: dict[str, Evaluated] = field(default_factory=dict)

    @classmethod
    def open(cls, folder: Path, head: Mapping[str, Any]) -> Self:
        """Open a folder, made if missing.

        Raises:
            InputError: It holds another evolution.
            StoreError: It cannot be read or written.
        """
        with contextlib.ExitStack() as opened:
            lock = lock_folder(folder)
            opened.callback(os.close, lock)
            _check_head(folder, head)
            path, end = folder / _PROGRAMS, 0
            written: dict[int, Mapping[str, Any]] = {}
            known: dict[str, Evaluated] = {}
            for line in read_lines(path):
                end, values = line.end, line.values
                written[values["number"]] = values
                if values["evaluated"] is not None:
                    known[values["code"]] = Evaluated(**values["evaluated"])
            store = cls(folder, lock, LineWriter(path, end), written, known)
            opened.pop_all()
        return store

    def close(self) -> None:
        """Close the file, and let others work in the folder."""
        self.writer.close()
        os.close(self.lock)

    def add(self, child: Child) -> None:
        """Write a child, unless it stands there."""
        if child.evaluated is not None:
            self.known[child.code] = child.evaluated
        values = asdict(child)
        if self.written.get(child.number) != values:
            self.written[child.number] = values
            self.writer.append(encode_line(values))

    def save_best(self, program: Program) -> None:
        """Write the best program by itself."""
        write_text(self.folder / BEST, program.code)


def _check_head(folder: Path, head: Mapping[str, Any]) -> None:
    there = read_json(folder / _HEAD)
    if there is None:
        write_json(folder / _HEAD, head)
    elif there != head:
        differs = sorted(name for name in head if there.get(name) != head[name])
        raise InputError(
            f"{folder}: holds an evolution with another {', '.join(differs) or 'form'}; choose "
            "another --out"
        )
