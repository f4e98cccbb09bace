import random
from fractions import Fraction
from itertools import permutations

import pytest

from tts.errors import ProblemError
from tts.tasks import countdown
from tts.tasks.countdown import Move, Puzzle
from tts.tasks.splits import split_of, split_steps
from tts.types import Problem

# 39 - 8 = 31, 31 + 5 = 36
HAND = Puzzle((39, 8, 5), 36, (Move(39, "-", 8), Move(31, "+", 5)), 0)


@pytest.fixture(scope="module")
def problem() -> Problem:
    return countdown.to_problem(HAND, "hand", 1)


@pytest.fixture(scope="module")
def test_split() -> list[Problem]:
    return list(countdown.problems("test"))


def brute_force(numbers: tuple[int, ...], target: int) -> bool:
    """Fold every order of the numbers in every tree shape, without sharing code or memory."""
    if len(numbers) == 1:
        return numbers[0] == target
    for a, b, *rest in permutations(numbers):
        results = [a + b, a * b]
        if a >= b:
            results.append(a - b)
            quotient = Fraction(a, b) if b else Fraction(1, 2)
            if quotient.denominator == 1:
                results.append(int(quotient))
        if any(brute_force((*rest, r), target) for r in results):
            return True
    return False


def test_solver_agrees_with_brute_force() -> None:
    rng = random.Random(3)
    for _ in range(60):
        numbers = tuple(rng.randint(1, 20) for _ in range(rng.choice((2, 3, 3, 4))))
        target = rng.randint(1, 60)
        assert countdown.is_reachable(numbers, target) == brute_force(numbers, target)


@pytest.mark.parametrize(
    ("numbers", "target", "reachable"),
    [
        ((36,), 36, True),
        ((36,), 35, False),
        ((3, 8), 24, True),
        ((3, 8), 4, False),  # 11, 5, 24 and no exact quotient
        ((1, 5, 5, 5), 24, False),  # 5 * (5 - 1/5) needs a fraction on the way
        ((4, 4, 10, 10), 24, True),  # (10 * 10 - 4) / 4 = 96 / 4
    ],
)
def test_reachable_cases(numbers: tuple[int, ...], target: int, reachable: bool) -> None:
    assert countdown.is_reachable(numbers, target) is reachable


def test_solution_text(problem: Problem) -> None:
    steps = ["39 - 8 = 31, left 5 31", "31 + 5 = 36", r"\boxed{39-8=31, 31+5=36}"]
    assert split_steps(problem.metadata["solution"]) == steps


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("39-8=31, 31+5=36", True),
        ("39 - 8 = 31, 5 + 31 = 36", True),
        ("39 - 8 + 5", True),
        ("(39 - 8) + 5 = 36", True),
        (r"39 - (8 - 5) \times 1", False),  # a 1 that is not given
        ("5 - 8 + 39", True),  # negative on the way: each number once, value 36
        ("39 - 8", False),  # 5 unused
        ("39-8=31, 31+5=37", False),  # false equation
        ("39-8=31, 39+5=44", False),  # 39 twice
        ("36", False),
        ("39 ** 8 - 5", False),
        ("__import__('os')", False),
        ("39 - (8 / 0) + 5", False),
        ("", False),
    ],
)
def test_answer_check(problem: Problem, answer: str, right: bool) -> None:
    assert countdown.check_answer(problem, answer) is right


def test_exact_fractions_in_an_expression() -> None:
    puzzle = Problem("f", metadata={"task": "countdown", "numbers": [1, 5, 5, 5], "target": 24})
    assert countdown.check_answer(puzzle, r"5 \cdot (5 - 1 \div 5)")  # 5 * 24/5


@pytest.mark.parametrize(
    ("steps", "labels"),
    [
        (["39 - 8 = 31, left 5 31", "31 + 5 = 36", r"\boxed{39-8=31, 31+5=36}"], [True] * 3),
        (["39 - 8 = 31"], [True]),  # partial, numbers left not named
        (["39 - 8 = 31, left 31 5"], [True]),  # in any order
        (["39 - 8 = 31, left 8 31"], [False]),  # 8 is used
        (["39 - 8 = 32, left 5 32"], [False]),
        (["8 - 5 = 3, left 39 3"], [True]),  # 39 - 3
        (["8 - 39 = 31, left 5 31"], [False]),  # larger minus smaller
        (["39 * 8 = 312, left 5 312"], [False]),  # 317, 307, 1560: out of reach
        (["39 * 8 = 312, left 5 312", "39 - 8 = 31"], [False, False]),
        (["39 - 8 = 31, left 5 31", "31 + 5 = 36", r"\boxed{36}"], [True, True, False]),
        ([r"\boxed{39-8=31, 31+5=36}"], [False]),  # no way there
        (["Hm."], [False]),
    ],
)
def test_step_labels(problem: Problem, steps: list[str], labels: list[bool]) -> None:
    assert countdown.label_steps(problem, steps) == labels


def test_test_split_is_balanced_unique_and_right(test_split: list[Problem]) -> None:
    assert len(test_split) == 1000
    assert [p.metadata["level"] for p in test_split[:6]] == [1, 2, 3, 1, 2, 3]
    keys = {(tuple(sorted(p.metadata["numbers"])), p.metadata["target"]) for p in test_split}
    assert len(keys) == 1000
    for problem in test_split:
        assert len(problem.metadata["numbers"]) == problem.metadata["level"] + 2
        assert 10 <= problem.metadata["target"] <= 100
        assert countdown.check_answer(problem, problem.reference or "")
    for problem in test_split[::20]:
        assert all(countdown.label_steps(problem, split_steps(problem.metadata["solution"])))


def test_training_draws_only_from_its_split() -> None:
    rng = random.Random(1)
    drawn = [countdown.draw_training_puzzle(rng, 3) for _ in range(200)]
    assert {split_of(p.key) for p in drawn} == {"train"}


def test_order_of_the_numbers_does_not_move_a_puzzle_to_another_split() -> None:
    turned = Puzzle((5, 39, 8), 36, HAND.moves, 1)
    assert turned.key == HAND.key


def test_one_problem_is_the_same_as_in_the_list(test_split: list[Problem]) -> None:
    assert countdown.generate_problem("test", 2, 7) == test_split[7 * 3 + 1]


def test_foreign_problem_is_named() -> None:
    with pytest.raises(ProblemError, match="x1: not a countdown problem"):
        countdown.check_answer(Problem("x1", "What?"), "1 + 1")
