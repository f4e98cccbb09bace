"""Countdown: combine all the given numbers, each once, with + - * / to make a target.

Rules as in Stream of Search (Gandhi et al. 2024, arXiv:2404.03683): differences are written larger
minus smaller, divisions are exact. Numbers here go to `MAX_NUMBER` instead of 99, and targets are
drawn through ways that mostly add and subtract, so that a small model gets somewhere; levels have
3, 4 or 5 numbers.
"""

import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import combinations

from tts.errors import ProblemError
from tts.tasks.countdown_answer import check_expression
from tts.tasks.splits import Levels, check_split, distinct, draw_in_split, find_boxed
from tts.types import Problem

MAX_NUMBER = 20
SMALL_NUMBER = 10  # the largest of small puzzles
MAX_INTERMEDIATE = 200  # of the generated solutions; other solutions may go beyond
MIN_TARGET, MAX_TARGET = 10, 100
SIGN_WEIGHTS = {"+": 6, "-": 6, "*": 1, "/": 1}  # of the generated solutions' moves
NUMBERS_BY_LEVEL = {1: 3, 2: 4, 3: 5}
_EQUATION = re.compile(r"(\d+) ?([-+*/]) ?(\d+) ?= ?(\d+)")
_STEP = re.compile(_EQUATION.pattern + r"(?:, left ((?:\d+ ?)+))?")

_STATEMENTS = (
    "Use the numbers {numbers}, each exactly once, with + - * / to make {target}.",
    "Make {target} from {numbers}: use every number exactly once, with + - * /.",
)


@dataclass(frozen=True, slots=True)
class Move:
    """One equation: two of the numbers at hand become their result."""

    left: int
    sign: str
    right: int

    @property
    def result(self) -> int:
        """The value of the right-hand side."""
        match self.sign:
            case "+":
                return self.left + self.right
            case "-":
                return self.left - self.right
            case "*":
                return self.left * self.right
            case _:
                return self.left // self.right

    @property
    def text(self) -> str:
        """The equation as steps write it."""
        return f"{self.left} {self.sign} {self.right} = {self.result}"


@dataclass(frozen=True, slots=True)
class Puzzle:
    """Numbers in the order asked, a target, and one way to it."""

    numbers: tuple[int, ...]
    target: int
    moves: tuple[Move, ...]
    wording: int

    @property
    def key(self) -> str:
        """Numbers in order of size, and the target."""
        return f"countdown {sorted(self.numbers)} {self.target}"


def moves_between(first: int, second: int) -> Iterator[Move]:
    """Yield the legal moves on two numbers; turned-round sums and products count once."""
    high, low = max(first, second), min(first, second)
    yield Move(first, "+", second)
    yield Move(high, "-", low)
    yield Move(first, "*", second)
    if low and high % low == 0:
        yield Move(high, "/", low)


@lru_cache(maxsize=1 << 18)
def _reachable(numbers: tuple[int, ...], target: int) -> bool:
    if len(numbers) == 1:
        return numbers[0] == target
    for first, second in combinations(range(len(numbers)), 2):
        rest = [n for i, n in enumerate(numbers) if i not in (first, second)]
        for move in moves_between(numbers[first], numbers[second]):
            if _reachable(tuple(sorted([*rest, move.result])), target):
                return True
    return False


def is_reachable(numbers: Sequence[int], target: int) -> bool:
    """Say whether all the numbers can be combined into the target, by exhaustive search."""
    return _reachable(tuple(sorted(numbers)), target)


def take(numbers: Sequence[int], move: Move) -> list[int] | None:
    """Return the numbers after a move, its result last; None if it uses what is not there."""
    rest = list(numbers)
    for used in (move.left, move.right):
        if used not in rest:
            return None
        rest.remove(used)
    return [*rest, move.result]


def format_steps(numbers: Sequence[int], moves: Sequence[Move]) -> list[str]:
    """Return moves as steps; each but the last names the numbers left."""
    steps: list[str] = []
    left: list[int] | None = list(numbers)
    for move in moves:
        left = take(left or (), move)
        if left is None:
            raise ValueError(f"{move.text} uses a number that is not there")
        steps.append(format_step(move.text, left))
    return steps


def format_step(equation: str, left: Sequence[int]) -> str:
    """Return an equation as a step: it names the numbers left, unless only its result is."""
    return equation + (f", left {' '.join(map(str, left))}" if len(left) > 1 else "")


def format_answer(moves: Sequence[Move]) -> str:
    """Return the boxed answer: the chain of equations."""
    return f"\\boxed{{{', '.join(m.text.replace(' ', '') for m in moves)}}}"


def draw_moves(rng: random.Random, numbers: Sequence[int]) -> list[Move]:
    """Draw a random chain of moves that uses every number."""
    left: list[int] = list(numbers)
    moves: list[Move] = []
    while len(left) > 1:
        first, second = rng.sample(left, 2)
        options = [m for m in moves_between(first, second) if 0 < m.result <= MAX_INTERMEDIATE]
        if not options:
            left, moves = list(numbers), []
            continue
        move = rng.choices(options, [SIGN_WEIGHTS[m.sign] for m in options])[0]
        moves.append(move)
        left = take(left, move) or left
    return moves


def draw_puzzle(rng: random.Random, num_numbers: int, *, max_number: int = MAX_NUMBER) -> Puzzle:
    """Draw numbers and a way through them whose end is a legal target."""
    while True:
        numbers = tuple(rng.randint(1, max_number) for _ in range(num_numbers))
        moves = tuple(draw_moves(rng, numbers))
        target = moves[-1].result
        if MIN_TARGET <= target <= MAX_TARGET:
            return Puzzle(numbers, target, moves, rng.randrange(len(_STATEMENTS)))


def draw_training_puzzle(
    rng: random.Random, num_numbers: int, *, max_number: int = MAX_NUMBER
) -> Puzzle:
    """Draw a puzzle that belongs to the training split."""
    draw = partial(draw_puzzle, num_numbers=num_numbers, max_number=max_number)
    return draw_in_split(draw, "train", rng)


def state_puzzle(puzzle: Puzzle) -> str:
    """Return the problem's text."""
    shown = ", ".join(map(str, puzzle.numbers[:-1])) + f" and {puzzle.numbers[-1]}"
    return _STATEMENTS[puzzle.wording].format(numbers=shown, target=puzzle.target)


def to_problem(puzzle: Puzzle, problem_id: str, level: int) -> Problem:
    """Return the puzzle as a problem that carries what its checks need."""
    steps = [*format_steps(puzzle.numbers, puzzle.moves), format_answer(puzzle.moves)]
    return Problem(
        id=problem_id,
        statement=state_puzzle(puzzle),
        reference=", ".join(m.text.replace(" ", "") for m in puzzle.moves),
        answer_type="countdown",
        metadata={
            "task": "countdown",
            "level": level,
            "numbers": list(puzzle.numbers),
            "target": puzzle.target,
            "solution": "\n\n".join(steps),
        },
    )


_LEVELS = Levels(
    task="countdown",
    draws={
        level: partial(draw_puzzle, num_numbers=count) for level, count in NUMBERS_BY_LEVEL.items()
    },
    to_problem=to_problem,
)
generate_problem = _LEVELS.problem


def problems(split: str, *, count: int = 1000) -> Iterator[Problem]:
    """Return `count` problems, the levels in turn, so that any beginning is balanced."""
    return _LEVELS.in_turn(split, count)


def small_problems(split: str, num_numbers: int) -> Iterator[Problem]:
    """Yield problems of so many numbers up to `SMALL_NUMBER`, none twice.

    Raises:
        ProblemError: No such split.
    """
    draw = partial(draw_puzzle, num_numbers=num_numbers, max_number=SMALL_NUMBER)
    levels = {count: level for level, count in NUMBERS_BY_LEVEL.items()}
    name = f"countdown-small-{split}-{num_numbers}"
    for index, puzzle in enumerate(distinct(draw, check_split(split), name)):
        yield to_problem(puzzle, f"{name}-{index:03d}", levels[num_numbers])


def puzzle_of(problem: Problem) -> tuple[list[int], int]:
    """Return numbers and target of a problem of this task.

    Raises:
        ProblemError: The problem does not carry them.
    """
    try:
        return [int(n) for n in problem.metadata["numbers"]], int(problem.metadata["target"])
    except (KeyError, TypeError, ValueError) as error:
        raise ProblemError(
            f"{problem.id}: not a countdown problem (metadata lacks numbers and target)"
        ) from error


def parse_move(text: str) -> Move | None:
    """Parse an equation; None if it is none, illegal or wrong."""
    found = _EQUATION.fullmatch(text.strip())
    if found is None:
        return None
    move = Move(int(found[1]), found[2], int(found[3]))
    return move if _is_legal(move) and move.result == int(found[4]) else None


def check_answer(problem: Problem, answer: str) -> bool:
    """Say whether an answer, an expression or a chain of equations, makes the target."""
    numbers, target = puzzle_of(problem)
    if "," not in answer and not _EQUATION.fullmatch(answer.strip()):
        return check_expression(answer, numbers, target)
    left: list[int] | None = numbers
    for part in answer.split(","):
        move = parse_move(part)
        left = take(left, move) if move is not None and left is not None else None
    return left == [target]


def label_steps(problem: Problem, steps: Sequence[str]) -> list[bool]:
    """Say of each step whether it is right and the target is still in reach.

    A step is right if its arithmetic is, it uses numbers that are there, and the numbers left
    that it names are those left. A boxed answer must solve the problem. Works on partial solutions.
    """
    numbers, target = puzzle_of(problem)
    left: list[int] | None = numbers
    labels: list[bool] = []
    for step in steps:
        good = left is not None
        if left is not None and (boxed := find_boxed(step)) is not None:
            good = len(left) == 1 and check_answer(problem, boxed)
        elif left is not None:
            left = numbers_after(step, left)
            good = left is not None and is_reachable(left, target)
        left = left if good else None
        labels.append(good)
    return labels


def numbers_after(step: str, numbers: Sequence[int]) -> list[int] | None:
    """Return the numbers left after a step; None if it is wrong."""
    found = _STEP.fullmatch(step.strip())
    move = parse_move(step.split(", left")[0])
    if found is None or move is None:
        return None
    after = take(numbers, move)
    named = found[5]
    if after is None or (named and Counter(map(int, named.split())) != Counter(after)):
        return None
    return after


def work_out(step: str, numbers: Sequence[int]) -> tuple[str, list[int]] | None:
    """Return the step as it should be and the numbers left; None if no legal move begins it."""
    found = _EQUATION.match(step.strip())
    if found is None:
        return None
    move = Move(int(found[1]), found[2], int(found[3]))
    after = take(numbers, move) if _is_legal(move) else None
    return None if after is None else (format_steps(numbers, [move])[0], after)


def _is_legal(move: Move) -> bool:
    """Say whether a move stays in the natural numbers."""
    if move.sign in "+*":
        return True
    return move.left >= move.right and (
        move.sign == "-" or (move.right > 0 and move.left % move.right == 0)
    )
