"""Train, calibration and test kept apart by a hash of what is asked."""

import hashlib
import random
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Generic, Literal, Protocol, TypeVar, get_args

from tts.errors import ProblemError
from tts.types import Problem

Split = Literal["train", "calibration", "test"]
_NUMBERED = re.compile(r"^[ \t]*(?:[#*]+[ \t]*)*(?:step[ \t]+\d+\b|\d{1,2}[.)][ \t])", re.I | re.M)


class Keyed(Protocol):
    """A drawn puzzle; puzzles with one key ask the same thing, however they are worded."""

    @property
    def key(self) -> str:
        """What is asked, without the wording."""
        ...


P = TypeVar("P", bound=Keyed)


def split_of(key: str) -> Split:
    """Return the only split that may hold `key`: a tenth test, a tenth calibration, rest train."""
    bucket = int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big") % 10
    return "test" if bucket == 0 else "calibration" if bucket == 1 else "train"


def check_split(split: str) -> Split:
    """Return `split`, or raise ProblemError naming the splits that exist."""
    for known in get_args(Split):
        if split == known:
            return known  # type: ignore[no-any-return]
    raise ProblemError(f"no split '{split}'; there are {', '.join(get_args(Split))}")


def draw_in_split(draw: Callable[[random.Random], P], split: Split, rng: random.Random) -> P:
    """Draw until the puzzle belongs to `split`."""
    while True:
        puzzle = draw(rng)
        if split_of(puzzle.key) == split:
            return puzzle


def distinct(draw: Callable[[random.Random], P], split: Split, seed: str) -> Iterator[P]:
    """Yield puzzles of `split`, no key twice; the same sequence for the same seed."""
    rng = random.Random(seed)
    seen: set[str] = set()
    while True:
        puzzle = draw_in_split(draw, split, rng)
        if puzzle.key not in seen:
            seen.add(puzzle.key)
            yield puzzle


@dataclass(frozen=True, slots=True)
class Levels(Generic[P]):
    """A task's problems by split and level, in an order that depends on these alone.

    Attributes:
        task: Its name; ids begin with it.
        draws: By level, numbered from 1: draws a puzzle.
        to_problem: Makes a problem of a puzzle, an id and a level.
    """

    task: str
    draws: Mapping[int, Callable[[random.Random], P]]
    to_problem: Callable[[P, str, int], Problem]

    def problems(self, split: Split, level: int) -> Iterator[Problem]:
        """Yield the problems of one level, none twice."""
        puzzles = distinct(self.draws[level], split, f"{self.task}/{split}/{level}")
        for index, puzzle in enumerate(puzzles):
            yield self.to_problem(puzzle, f"{self.task}-{split}-{level}-{index:03d}", level)

    def in_turn(self, split: str, count: int) -> Iterator[Problem]:
        """Yield `count` problems, the levels in turn, so that any beginning is balanced.

        Raises:
            ProblemError: No such split.
        """
        name = check_split(split)
        columns = [self.problems(name, level) for level in self.draws]
        for column in islice(cycle(columns), count):
            yield next(column)

    def problem(self, split: str, level: int, index: int) -> Problem:
        """Return one problem; the same arguments give the same one, at a cost linear in `index`.

        Raises:
            ProblemError: No such split or level.
        """
        if level not in self.draws:
            raise ProblemError(f"no level {level}; there are 1 to {max(self.draws)}")
        return next(islice(self.problems(check_split(split), level), index, None))


def split_steps(text: str) -> list[str]:
    """Return the steps of a text that a search cuts at blank lines: its non-empty paragraphs."""
    return [part.strip() for part in text.split("\n\n") if part.strip()]


def split_solution(text: str) -> list[str]:
    """Return the steps of a solution that nobody has cut: its paragraphs.

    Where it is a single one, the steps are those that it numbers: "Step 2: ...", "## Step 2", "2.".
    """
    steps = split_steps(text)
    if len(steps) != 1:
        return steps
    starts = [found.start() for found in _NUMBERED.finditer(steps[0])]
    if len(starts) < 2:
        return steps
    ends = [*starts[1:], len(steps[0])]
    starts[0] = 0  # what stands before the first number belongs to it
    return [steps[0][start:end].strip() for start, end in zip(starts, ends, strict=True)]


def find_boxed(text: str) -> str | None:
    r"""Return what the last closed `\boxed{...}` without inner braces holds."""
    found = re.findall(r"\\boxed\{([^{}]*)\}", text)
    return found[-1].strip() if found else None
