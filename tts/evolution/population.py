"""Islands of programs, each a grid of the best by what kind of program they are.

Sources: MAP-Elites (Mouret and Clune 2015, arXiv:1504.04909); islands with migration and the
features as OpenEvolve has them (github.com/codelion/openevolve, after AlphaEvolve,
arXiv:2506.13131). A cell of a grid is a range of length and a range of mean distance to the first
programs; it keeps the better of two. Departures: distance is the share of lines that differ and not
an edit distance of characters, and an island is its grid: what loses its cell is gone from it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from statistics import fmean

_NUM_REFERENCES = 20  # programs to which distances are taken, as there
Cell = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Program:
    """A program that an evaluator has scored.

    Attributes:
        number: Its place in the run; 0 is the one that it began with.
        code: All of it.
        score: Higher is better.
        metrics: Further numbers.
        notes: What the evaluator said to whoever improves it.
        parent: Number of the program that it was made of; None of the first.
    """

    number: int
    code: str
    score: float
    metrics: Mapping[str, float] = field(default_factory=dict)
    notes: str = ""
    parent: int | None = None


class Population:
    """Programs by island and cell, and the best of all.

    Args:
        islands: How many.
        bins: Ranges of each feature, between the smallest and the largest so far.
        archive: How many of the best are kept, whatever their island.
    """

    def __init__(self, islands: int, *, bins: int = 10, archive: int = 100) -> None:
        self._grids: list[dict[Cell, Program]] = [{} for _ in range(islands)]
        self._bins, self._archive_size = bins, archive
        self._references: list[str] = []
        self._ranges: list[tuple[float, float]] = []
        self._moved: set[int] = set()
        self.archive: list[Program] = []

    @property
    def best(self) -> Program:
        """The best program, the earliest among equals."""
        return self.archive[0]

    def island(self, number: int) -> list[Program]:
        """Return an island's programs, best first."""
        return ranked(self._grids[number].values())

    def add(self, program: Program, island: int) -> bool:
        """Put a program on an island; return whether its cell was free or held a worse one."""
        if len(self._references) < _NUM_REFERENCES:
            self._references.append(program.code)
        cell = self._cell(program.code)
        holder = self._grids[island].get(cell)
        if all(program.number != known.number for known in self.archive):
            self.archive = ranked([*self.archive, program])[: self._archive_size]
        if holder is not None and holder.score >= program.score:
            return False
        self._grids[island][cell] = program
        return True

    def migrate(self, share: float) -> None:
        """Copy the best of each island to both its neighbours; a program moves once.

        Args:
            share: Part of an island that moves, at least one program.
        """
        size = len(self._grids)
        if size < 2:
            return
        leaving = [self.island(i) for i in range(size)]
        leaving = [programs[: max(1, int(share * len(programs)))] for programs in leaving]
        for i, programs in enumerate(leaving):
            for program in programs:
                if program.number in self._moved:
                    continue
                self._moved.add(program.number)
                for neighbour in {(i - 1) % size, (i + 1) % size}:
                    if all(program.code != own.code for own in self._grids[neighbour].values()):
                        self.add(program, neighbour)

    def _cell(self, code: str) -> Cell:
        features = float(len(code)), fmean(distance(code, other) for other in self._references)
        if not self._ranges:
            self._ranges = [(value, value) for value in features]
        self._ranges = [
            (min(low, value), max(high, value))
            for (low, high), value in zip(self._ranges, features, strict=True)
        ]
        length, unlikeness = (
            min(self._bins - 1, int((value - low) / (high - low) * self._bins)) if high > low else 0
            for (low, high), value in zip(self._ranges, features, strict=True)
        )
        return length, unlikeness


def distance(code: str, other: str) -> float:
    """Return how unlike two programs are: from 0, the same lines, to 1, none in common."""
    return 1 - SequenceMatcher(None, code.splitlines(), other.splitlines(), autojunk=False).ratio()


def ranked(programs: Iterable[Program]) -> list[Program]:
    """Return programs, best first, the earliest among equals."""
    return sorted(programs, key=lambda program: (-program.score, program.number))
