"""Answers against references."""

from collections.abc import Iterator

import pytest

from tts.answers.groups import AnswerChecker
from tts.evals.grading import grade
from tts.types import Answer, AnswerType, Grade, Problem, Support


@pytest.fixture(scope="module")
def checker() -> Iterator[AnswerChecker]:
    with AnswerChecker() as checker:
        yield checker


def answer(text: str) -> Answer:
    return Answer(text, text, Support(votes=1, voters=1, weight=1.0, probability=1.0))


JUDGED = "a free answer is judged, not compared with a reference"
TOO_SLOW = Grade(False, "comparing with the reference took too long")


@pytest.mark.parametrize(
    ("reference", "answer_type", "text", "expected"),
    [
        ("42", "integer", "042", Grade(True)),
        ("42", "integer", "41", Grade(False)),
        ("\\frac{1}{2}", "math", "0.5", Grade(True)),
        ("B", "choice", "(b)", Grade(True)),
        pytest.param(
            *("999999999^{9^{9^9}}", "math", "x^{9^{9^9}}+1", TOO_SLOW), marks=pytest.mark.slow
        ),
        (None, "math", "5", Grade(None, "the problem has no reference answer")),
        (" ", "math", "5", Grade(None, "the problem has no reference answer")),
        ("An essay.", "free", "An essay.", Grade(None, JUDGED)),
    ],
)
def test_grade(
    checker: AnswerChecker,
    reference: str | None,
    answer_type: AnswerType,
    text: str,
    expected: Grade,
) -> None:
    problem = Problem("p", "?", reference=reference, answer_type=answer_type)
    assert grade(problem, answer(text), checker) == expected


def test_a_missing_answer_is_wrong(checker: AnswerChecker) -> None:
    problem = Problem("p", "?", reference="1")
    assert grade(problem, None, checker) == Grade(False, "no answer")


def test_code_is_not_graded_here(checker: AnswerChecker) -> None:
    problem = Problem("p", "?", reference="print(1)", answer_type="code")
    assert grade(problem, answer("print(1)"), checker).correct is None


@pytest.mark.parametrize(
    ("text", "correct"),
    [
        ("(1 + 2) * 4", True),
        ("4*(2+1)", True),  # another expression, as good
        ("1 + 2 + 4", False),  # 7
        ("3 * 4", False),  # 3 is not given
        ("the answer", False),
    ],
)
def test_countdown_is_calculated(checker: AnswerChecker, text: str, correct: bool) -> None:
    problem = Problem(
        "p", "?", answer_type="countdown", metadata={"numbers": [1, 2, 4], "target": 12}
    )
    assert grade(problem, answer(text), checker) == Grade(correct)


def test_countdown_without_numbers_cannot_be_graded(checker: AnswerChecker) -> None:
    problem = Problem("p", "?", reference="1+2", answer_type="countdown")
    graded = grade(problem, answer("1+2"), checker)
    assert graded.correct is None
    assert "numbers and target" in graded.reason
