"""Sudoku of 4x4 and 6x6 cells with one solution: every row, column and box holds each digit once.

Levels 1 and 2 are 4x4 with 8 and 5 clues, level 3 is 6x6 with 16. What differs from `countdown` is
depth: one wrong cell ends an attempt, and a solution is a long chain of cells.

Where a text names cells, it does so as "r2c3 = 4", the third cell of the second row.
"""

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from math import isqrt
from operator import eq

from tts.errors import ProblemError
from tts.tasks.splits import Levels, draw_in_split, find_boxed
from tts.types import Problem

BOXES = {4: (2, 2), 6: (2, 3)}  # rows and columns of a box, by size
SHAPE_BY_LEVEL = {1: (4, 8), 2: (4, 5), 3: (6, 16)}  # size and clues
_CELL = re.compile(r"r(\d)c(\d) ?= ?(\d)")

Cells = tuple[int, ...]  # row by row, 0 where empty


@dataclass(frozen=True, slots=True)
class Puzzle:
    """Clues and the only way to complete them."""

    clues: Cells
    solution: Cells

    @property
    def size(self) -> int:
        """Cells of a row."""
        return isqrt(len(self.clues))

    @property
    def key(self) -> str:
        """The clues."""
        return "sudoku " + "".join(map(str, self.clues))


def _peers(size: int) -> list[list[int]]:
    """Return for each cell those that share its row, column or box."""
    high, wide = BOXES[size]
    houses = [(i // size, i % size, (i // size // high, i % size // wide)) for i in range(size**2)]
    return [
        [j for j, other in enumerate(houses) if j != i and any(map(eq, mine, other))]
        for i, mine in enumerate(houses)
    ]


def _beside(size: int) -> list[tuple[int, ...]]:
    """Return by the digits seen, one bit each, those that are not."""
    return [
        tuple(digit for digit in range(1, size + 1) if not seen >> (digit - 1) & 1)
        for seen in range(2**size)
    ]


# By the number of cells: a solver asks for them all the time.
_PEERS = {size**2: _peers(size) for size in BOXES}
_BESIDE = {size**2: _beside(size) for size in BOXES}


def legal_digits(cells: Sequence[int], cell: int) -> tuple[int, ...]:
    """Return the digits that no peer of a cell has, in order."""
    near = _PEERS[len(cells)]
    seen = 0
    for peer in near[cell]:
        seen |= 1 << cells[peer]
    return _BESIDE[len(cells)][seen >> 1]


def solutions(cells: Sequence[int], rng: random.Random | None = None) -> Iterator[Cells]:
    """Yield every way to complete a grid; in a random order if there is an `rng`."""
    yield from _complete(list(cells), [i for i, digit in enumerate(cells) if not digit], rng)


def _complete(cells: list[int], empty: list[int], rng: random.Random | None) -> Iterator[Cells]:
    if not empty:
        yield tuple(cells)
        return
    place, options = 0, legal_digits(cells, empty[0])
    for other, cell in enumerate(empty):
        if len(found := legal_digits(cells, cell)) < len(options):
            place, options = other, found
            if len(options) < 2:
                break
    cell = empty.pop(place)
    for digit in options if rng is None else rng.sample(options, len(options)):
        cells[cell] = digit
        yield from _complete(cells, empty, rng)
    cells[cell] = 0
    empty.insert(place, cell)


def draw_puzzle(rng: random.Random, size: int, num_clues: int) -> Puzzle:
    """Draw a full grid, then take clues away for as long as one solution is left."""
    while True:
        full = next(solutions([0] * size**2, rng))
        clues, left = list(full), len(full)
        for cell in rng.sample(range(len(full)), len(full)):
            clues[cell] = 0
            if len(list(islice(solutions(clues), 2))) == 1:
                left -= 1
            else:
                clues[cell] = full[cell]
            if left == num_clues:
                return Puzzle(tuple(clues), full)


def draw_training_puzzle(rng: random.Random, size: int, num_clues: int) -> Puzzle:
    """Draw a puzzle that belongs to the training split."""
    return draw_in_split(lambda r: draw_puzzle(r, size, num_clues), "train", rng)


def format_rows(cells: Sequence[int]) -> list[str]:
    """Return the rows of a grid, digits side by side."""
    size = isqrt(len(cells))
    return ["".join(map(str, cells[i : i + size])) for i in range(0, len(cells), size)]


def format_answer(cells: Sequence[int]) -> str:
    """Return the boxed answer: the rows."""
    return f"\\boxed{{{' '.join(format_rows(cells))}}}"


def to_problem(puzzle: Puzzle, problem_id: str, level: int) -> Problem:
    """Return the puzzle as a problem that carries what its checks need."""
    size = puzzle.size
    high, wide = BOXES[size]
    rows = "\n".join(" ".join(row) for row in format_rows(puzzle.clues))
    return Problem(
        id=problem_id,
        statement=f"Solve this {size}x{size} sudoku: every row, column and {high}x{wide} box holds "
        f"1 to {size} once, and 0 is an empty cell. Answer with the rows.\n\n{rows}",
        reference=" ".join(format_rows(puzzle.solution)),
        answer_type="grid",
        metadata={"task": "sudoku", "level": level, "rows": format_rows(puzzle.clues)},
    )


_LEVELS = Levels(
    task="sudoku",
    draws={
        level: partial(draw_puzzle, size=size, num_clues=num_clues)
        for level, (size, num_clues) in SHAPE_BY_LEVEL.items()
    },
    to_problem=to_problem,
)
generate_problem = _LEVELS.problem


def problems(split: str, *, count: int = 1000) -> Iterator[Problem]:
    """Return `count` problems, the levels in turn, so that any beginning is balanced."""
    return _LEVELS.in_turn(split, count)


def clues_of(problem: Problem) -> Cells:
    """Return the clues of a problem of this task.

    Raises:
        ProblemError: The problem does not carry them, or they are no such grid.
    """
    try:
        cells = tuple(int(digit) for row in problem.metadata["rows"] for digit in row)
    except (KeyError, TypeError, ValueError) as error:
        raise ProblemError(
            f"{problem.id}: not a sudoku problem (metadata lacks rows of digits)"
        ) from error
    if len(cells) not in _PEERS:
        raise ProblemError(f"{problem.id}: {len(cells)} cells; grids are 4x4 or 6x6")
    return cells


def check_answer(problem: Problem, answer: str) -> bool:
    """Say whether an answer, the digits of all rows, keeps the clues and breaks no rule."""
    clues = clues_of(problem)
    cells = [int(digit) for digit in re.findall(r"[0-9]", answer)]
    return len(cells) == len(clues) and all(
        digit in (clue or digit, 0) and (digit,) == legal_digits(cells, cell)
        for cell, (digit, clue) in enumerate(zip(cells, clues, strict=True))
    )


def label_steps(problem: Problem, steps: Sequence[str]) -> list[bool]:
    """Say of each step whether every cell that it names, and all before it, are right.

    Cells are named as "r2c3 = 4"; a boxed answer must solve the problem; a step that names nothing
    is as right as what stands before it. Works on partial solutions.
    """
    clues = clues_of(problem)
    solution = next(solutions(clues), clues)
    size, right = isqrt(len(clues)), True
    labels: list[bool] = []
    for step in steps:
        named = [tuple(map(int, found)) for found in _CELL.findall(step)]
        right = right and all(
            1 <= row <= size
            and 1 <= column <= size
            and solution[(row - 1) * size + column - 1] == digit
            for row, column, digit in named
        )
        if (boxed := find_boxed(step)) is not None:
            right = right and check_answer(problem, boxed)
        labels.append(right)
    return labels
