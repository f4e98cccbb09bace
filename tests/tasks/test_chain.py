import hashlib
import random
import re

import pytest

from tts.errors import ProblemError
from tts.tasks import chain
from tts.tasks.chain import LEVEL_TABLE, Chain, Operation
from tts.tasks.splits import split_of, split_steps
from tts.types import Problem

# 45 + 23 = 68, 68 * 3 = 204, 500 - 204 = 296, 296 / 8 = 37, 37 - 30 = 7
HAND = Chain(
    45,
    (
        Operation("add", 23),
        Operation("mul", 3),
        Operation("from", 500),
        Operation("div", 8),
        Operation("sub", 30),
    ),
    0,
    1,
)
STEPS = ["45 + 23 = 68", "68 * 3 = 204", "500 - 204 = 296", "296 / 8 = 37", "37 - 30 = 7"]


@pytest.fixture(scope="module")
def problem() -> Problem:
    return chain.to_problem(HAND, "hand", 3)


@pytest.fixture(scope="module")
def test_split() -> list[Problem]:
    return list(chain.problems("test"))


def test_solution_of_a_chain_worked_out_by_hand() -> None:
    assert HAND.steps == [*STEPS, r"\boxed{7}"]


def test_statement_holds_every_operand(problem: Problem) -> None:
    assert set(re.findall(r"\d+", problem.statement)) == {"45", "23", "3", "500", "8", "30"}


@pytest.mark.parametrize(
    ("steps", "labels"),
    [
        ([*STEPS, r"\boxed{7}"], [True] * 6),
        (STEPS[:2], [True, True]),  # unfinished
        ([], []),
        (["23 + 45 = 68", "3 * 68 = 204"], [True, True]),  # turned round
        (["45+23=68"], [True]),  # no spaces
        (["45 + 23 = 67", "67 * 3 = 201"], [False, False]),  # 68; the rest hangs on it
        (["45 + 23 = 67", "68 * 3 = 204"], [False, False]),  # never right again
        (["45 + 23 = 68", "500 - 68 = 432"], [True, False]),  # leaves out times 3
        (["45 + 23 = 68", "68 * 3 = 204", "204 - 500 = 296"], [True, True, False]),
        ([*STEPS, r"\boxed{8}"], [True] * 5 + [False]),
        ([*STEPS[:4], r"\boxed{7}"], [True] * 4 + [False]),  # the answer before the last step
        ([*STEPS, "7 + 1 = 8"], [True] * 5 + [False]),  # one step too many
        (["Some words."], [False]),
        ([r"The answer is \boxed{7}"], [False]),
    ],
)
def test_step_labels(problem: Problem, steps: list[str], labels: list[bool]) -> None:
    assert chain.label_steps(problem, steps) == labels


@pytest.mark.parametrize(
    ("answer", "right"),
    [("7", True), (" 7. ", True), ("007", True), ("8", False), ("-7", False), ("seven", False)],
)
def test_answer_check(problem: Problem, answer: str, right: bool) -> None:
    assert chain.check_answer(problem, answer) is right


def test_two_hundred_of_each_level_in_turn(test_split: list[Problem]) -> None:
    assert [p.metadata["level"] for p in test_split[:10]] == [1, 2, 3, 4, 5] * 2
    assert len(test_split) == 1000
    assert len({p.id for p in test_split}) == 1000
    assert len({p.statement for p in test_split}) == 1000
    assert test_split[2].id == "chain-test-3-000"


def test_answers_and_solutions_are_right(test_split: list[Problem]) -> None:
    for problem in test_split:
        assert problem.reference is not None and 0 <= int(problem.reference) <= 999
        assert all(chain.label_steps(problem, split_steps(problem.metadata["solution"])))
        assert all(0 < value <= 999 for value in chain.chain_of(problem).values)


def test_levels_have_their_numbers_of_steps(test_split: list[Problem]) -> None:
    for problem in test_split:
        low, high = LEVEL_TABLE[problem.metadata["level"]].steps
        assert low <= len(problem.metadata["operations"]) <= high


def test_splits_are_disjoint_by_calculation_and_statement(test_split: list[Problem]) -> None:
    rng = random.Random(5)
    train = [
        chain.draw_training_chain(rng, LEVEL_TABLE[level])
        for level in (1, 2, 3)
        for _ in range(300)
    ]
    assert {split_of(c.key) for c in train} == {"train"}
    hashes = {hashlib.sha256(p.statement.encode()).digest() for p in test_split}
    statements = [chain.state_chain(c) for c in train]
    statements += [p.statement for p in chain.problems("calibration", per_level=50)]
    assert not hashes & {hashlib.sha256(s.encode()).digest() for s in statements}


def test_one_problem_is_the_same_as_in_the_list(test_split: list[Problem]) -> None:
    assert chain.generate_problem("test", 4, 17) == test_split[17 * 5 + 3]


def test_unknown_split_level_and_foreign_problem_are_named() -> None:
    with pytest.raises(ProblemError, match="no split 'dev'; there are train, calibration, test"):
        chain.generate_problem("dev", 1, 0)
    with pytest.raises(ProblemError, match="no level 6"):
        chain.generate_problem("test", 6, 0)
    with pytest.raises(ProblemError, match="x1: not a chain problem"):
        chain.label_steps(Problem("x1", "What?"), ["1 + 1 = 2"])
