"""The sudoku task: its solver against brute force, its checks on a grid solved by hand."""

import random
from itertools import islice, permutations, product

import pytest

from tts.errors import ProblemError
from tts.tasks import sudoku
from tts.tasks.splits import split_of
from tts.tasks.sudoku import Puzzle
from tts.types import Problem

# 1 0 | 0 4      1 2 | 3 4
# 0 4 | 1 0      3 4 | 1 2
# ----+----  ->  ----+----
# 2 0 | 4 0      2 1 | 4 3
# 0 3 | 0 1      4 3 | 2 1
CLUES = (1, 0, 0, 4, 0, 4, 1, 0, 2, 0, 4, 0, 0, 3, 0, 1)
SOLUTION = (1, 2, 3, 4, 3, 4, 1, 2, 2, 1, 4, 3, 4, 3, 2, 1)
HAND = Puzzle(CLUES, SOLUTION)


@pytest.fixture(scope="module")
def problem() -> Problem:
    return sudoku.to_problem(HAND, "hand", 1)


def brute_force() -> set[tuple[int, ...]]:
    """Put every four rows below each other and keep those that break no rule."""
    grids = set()
    for rows in product(permutations((1, 2, 3, 4)), repeat=4):
        columns = zip(*rows, strict=True)
        boxes = [rows[r][c : c + 2] + rows[r + 1][c : c + 2] for r in (0, 2) for c in (0, 2)]
        if all(len(set(house)) == 4 for house in (*columns, *boxes)):
            grids.add(sum(rows, ()))
    return grids


def test_solver_finds_every_grid() -> None:
    assert set(sudoku.solutions([0] * 16)) == brute_force()  # 288 of them


def test_solver_finds_the_only_solution_and_none() -> None:
    assert list(sudoku.solutions(CLUES)) == [SOLUTION]
    assert list(sudoku.solutions((1, 1, *CLUES[2:]))) == []


def test_statement_and_reference(problem: Problem) -> None:
    assert problem.statement.endswith("\n\n1 0 0 4\n0 4 1 0\n2 0 4 0\n0 3 0 1")
    assert "2x2 box" in problem.statement
    assert problem.reference == "1234 3412 2143 4321"
    assert sudoku.format_answer(SOLUTION) == r"\boxed{1234 3412 2143 4321}"


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("1234 3412 2143 4321", True),
        ("| 1 2 3 4 |\n| 3 4 1 2 |\n| 2 1 4 3 |\n| 4 3 2 1 |", True),
        ("1234 3412 2143 432", False),  # a cell is missing
        ("1234 3412 2143 4312", False),  # 1 and 2 twice in their columns
        ("1243 3412 2134 4321", False),  # a clue was changed
        ("2143 4321 1234 3412", False),  # a grid, of other clues
        ("1034 3412 2143 4321", False),
        ("", False),
    ],
)
def test_answers(problem: Problem, answer: str, right: bool) -> None:
    assert sudoku.check_answer(problem, answer) is right


@pytest.mark.parametrize(
    ("steps", "labels"),
    [
        (["r1c2 = 2", r"\boxed{1234 3412 2143 4321}"], [True, True]),
        (["Row 1 lacks 2 and 3.", "r1c2 = 3 and r1c3 = 2"], [True, False]),
        (["r1c2 = 3", "r1c3 = 3"], [False, False]),  # what follows a fault is no better
        (["r1c2=2, r5c1=1"], [False]),  # there is no fifth row
        ([r"\boxed{1234}"], [False]),
    ],
)
def test_step_labels(problem: Problem, steps: list[str], labels: list[bool]) -> None:
    assert sudoku.label_steps(problem, steps) == labels


def test_test_split_is_balanced_unique_and_right() -> None:
    problems = list(sudoku.problems("test", count=60))
    assert [p.metadata["level"] for p in problems[:6]] == [1, 2, 3, 1, 2, 3]
    assert len({p.statement for p in problems}) == 60
    for problem in problems:
        size, num_clues = sudoku.SHAPE_BY_LEVEL[problem.metadata["level"]]
        clues = sudoku.clues_of(problem)
        assert (len(clues), len(clues) - clues.count(0)) == (size**2, num_clues)
        assert len(list(islice(sudoku.solutions(clues), 2))) == 1
        assert sudoku.check_answer(problem, problem.reference or "")
    assert sudoku.generate_problem("test", 2, 3) == problems[10]


def test_training_draws_only_from_its_split() -> None:
    rng = random.Random(1)
    drawn = [sudoku.draw_training_puzzle(rng, 4, 5) for _ in range(50)]
    assert {split_of(p.key) for p in drawn} == {"train"}


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({}, "x1: not a sudoku problem"),
        ({"rows": ["12", "x1"]}, "x1: not a sudoku problem"),
        ({"rows": ["12", "21"]}, "x1: 4 cells; grids are 4x4 or 6x6"),
    ],
)
def test_foreign_problem_is_named(metadata: dict[str, object], message: str) -> None:
    with pytest.raises(ProblemError, match=message):
        sudoku.check_answer(Problem("x1", "What?", metadata=metadata), "1")
