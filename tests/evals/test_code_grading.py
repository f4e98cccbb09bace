"""Grades of programs: what passes every hidden test is right."""

import pytest

from tts.evals.code_grading import CodeGrader
from tts.types import Answer, Problem, Support

VOTE = Support(votes=1, voters=1, weight=1.0, probability=1.0)


@pytest.fixture(scope="module")
def grader() -> CodeGrader:
    return CodeGrader(unsafe=True)


def answer(code: str) -> Answer:
    return Answer(code, code, VOTE)


def test_hidden_tests_grade_and_shown_ones_do_not(grader: CodeGrader) -> None:
    problem = Problem(
        "p",
        answer_type="code",
        metadata={"tests": ["assert f(2) == 4"], "hidden_tests": ["assert f(3) == 9"]},
    )
    double = grader.grade(problem, answer("def f(x):\n    return 2 * x"))  # passes what is shown
    assert (double.correct, double.reason) == (False, "0 of 1 tests pass")
    assert grader.grade(problem, answer("def f(x):\n    return x * x")).correct is True


def test_what_cannot_be_graded_or_is_missing(grader: CodeGrader) -> None:
    problem = Problem("q", answer_type="code", metadata={"tests": ["assert True"]})
    assert grader.grade(problem, None).correct is False
    bare = grader.grade(Problem("r", answer_type="code"), answer("x = 1"))
    assert bare.correct is None and "no list of tests" in bare.reason


def test_a_starter_completes_a_body(grader: CodeGrader) -> None:
    metadata = {"starter": "def f(x):\n", "entry_point": "f", "hidden_tests": ["assert f(1) == 2"]}
    problem = Problem("s", answer_type="code", metadata=metadata)
    assert grader.grade(problem, answer("    return x + 1\nprint(f(2) / 0)")).correct is True
