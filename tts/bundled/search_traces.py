"""Training texts of the two models that `tts bench crossover` compares.

Both are asked the same and box the same answers. "direct" writes the answer at once, "dfs" walks
through a search, depth first, with its dead ends:

- sudoku: the cells are letters, A the first of the first row. A line with the clues; then a line
  for each way down, every empty cell in order with its smallest legal digit, and a "+" where a
  larger one would be legal too. "Fx" says that F has no legal digit, and the letter after it which
  cell has the last "+": the next line repeats the way up to there and takes its next digit.
- countdown: a line for each legal move with the numbers that it leaves, the line ends in all moves
  on the last two numbers. Moves beyond `MAX_INTERMEDIATE` and to 0 are left out, as in the puzzles.
"""

import random
from collections.abc import Iterator, Sequence
from itertools import combinations
from string import ascii_uppercase
from typing import Literal, get_args

from tts import prompts
from tts.bundled.corpus import TURN_END, Example, render
from tts.tasks import countdown, sudoku
from tts.tasks.countdown import MAX_INTERMEDIATE, Move
from tts.types import Problem

Traces = Literal["direct", "dfs"]
KINDS: tuple[Traces, ...] = get_args(Traces)

# Numbers are whole where they are less than 1000, digits of rows alone; so are names of cells.
ALONE = r"\n\n|\n|(?<!\d)\d{1,3}(?!\d)(?: (?=\d))?|\d|[-+*/=|]|[A-P](?=[\dx\n])"
VOCABULARY = 680

# Relative numbers of examples, by task and level: 4x4 cells, 3 and 4 numbers.
LEVELS: dict[Traces, dict[tuple[str, int], int]] = {
    "direct": {("sudoku", 1): 3, ("sudoku", 2): 5, ("countdown", 1): 5, ("countdown", 2): 10},
    "dfs": {("sudoku", 1): 5, ("sudoku", 2): 10, ("countdown", 1): 4, ("countdown", 2): 5},
}


def examples(kind: Traces, seed: int, *, start: int = 0) -> Iterator[Example]:
    """Yield the stream of a seed from position `start` on."""
    weights = LEVELS[kind]
    while True:
        rng = random.Random(f"{kind}/{seed}/{start}")
        (task, level), *_ = rng.choices(list(weights), list(weights.values()))
        problem, boxed, trace = (_sudoku if task == "sudoku" else _countdown)(rng, level)
        text = boxed if kind == "direct" else f"{trace}\n\n{boxed}"
        yield Example(render(prompts.solve(problem)), text + TURN_END)
        start += 1


def tokenizer_texts() -> Iterator[str]:
    """Yield what the tokenizer of both models is trained on; its seed is fixed."""
    for one, other in zip(examples("direct", 0), examples("dfs", 0), strict=True):
        yield one.prompt + one.response
        yield other.prompt + other.response


def _sudoku(rng: random.Random, level: int) -> tuple[Problem, str, str]:
    puzzle = sudoku.draw_training_puzzle(rng, *sudoku.SHAPE_BY_LEVEL[level])
    problem = sudoku.to_problem(puzzle, "train", level)
    return problem, sudoku.format_answer(puzzle.solution), sudoku_trace(puzzle.clues)


def _countdown(rng: random.Random, level: int) -> tuple[Problem, str, str]:
    puzzle = countdown.draw_training_puzzle(rng, countdown.NUMBERS_BY_LEVEL[level])
    problem = countdown.to_problem(puzzle, "train", level)
    trace, moves = countdown_trace(puzzle.numbers, puzzle.target)
    return problem, countdown.format_answer(moves), trace


def sudoku_trace(clues: Sequence[int]) -> str:
    """Return a depth-first search through a 4x4 grid, up to its solution."""
    cells = list(clues)
    empty = [cell for cell, digit in enumerate(cells) if not digit]
    names = ascii_uppercase
    lines = ["".join(f"{names[i]}{digit}" for i, digit in enumerate(clues) if digit)]
    way: list[tuple[int, ...]] = []  # of each cell filled: its digit and the larger legal ones
    while len(way) < len(empty):
        cell = empty[len(way)]
        options = sudoku.legal_digits(cells, cell)
        if options:
            way.append(options)
            cells[cell] = options[0]
            continue
        line = _way(way, empty)
        while len(way[-1]) == 1:
            way.pop()
            cells[empty[len(way)]] = 0
        way[-1] = way[-1][1:]
        cells[empty[len(way) - 1]] = way[-1][0]
        lines.append(f"{line}{names[cell]}x{names[empty[len(way) - 1]]}")
    return "\n".join([*lines, _way(way, empty)])


def _way(way: Sequence[tuple[int, ...]], empty: Sequence[int]) -> str:
    pairs = zip(way, empty, strict=False)
    return "".join(
        f"{ascii_uppercase[cell]}{options[0]}{'+' if options[1:] else ''}"
        for options, cell in pairs
    )


def countdown_trace(numbers: Sequence[int], target: int) -> tuple[str, list[Move]]:
    """Return a depth-first search for a target, and the moves that it found."""
    lines: list[str] = []
    moves = _search(list(numbers), target, lines)
    assert moves is not None, "a drawn puzzle has a solution"
    return "\n".join(lines), moves


def _search(numbers: list[int], target: int, lines: list[str]) -> list[Move] | None:
    for first, second in combinations(numbers, 2):
        for move in _moves(first, second):
            left = countdown.take(numbers, move)
            assert left is not None, "the numbers are there"
            lines.append(",".join([_equation(move), *map(str, left[:-1])]))
            found = _last(left, target, lines) if len(left) == 2 else _search(left, target, lines)
            if found is not None:
                return [move, *found]
    return None


def _last(numbers: list[int], target: int, lines: list[str]) -> list[Move] | None:
    """Add all moves on the last two numbers to the line, up to one that meets the target."""
    lines[-1] += "|"
    for move in _moves(*numbers):
        lines[-1] += f"{move.sign}{move.result}"
        if move.result == target:
            return [move]
    return None


def _moves(first: int, second: int) -> Iterator[Move]:
    for move in countdown.moves_between(first, second):
        if 0 < move.result <= MAX_INTERMEDIATE:
            yield move


def _equation(move: Move) -> str:
    return move.text.replace(" ", "")
