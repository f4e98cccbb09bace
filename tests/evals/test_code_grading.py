"""Grades of programs: what passes every hidden test is right."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from tts.evals.code_grading import CodeGrader
from tts.types import Answer, Problem, Score, Support
from tts.verifiers.execution import Execution

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


def test_programs_run_at_the_same_time_and_each_of_them_once(
    grader: CodeGrader, monkeypatch: pytest.MonkeyPatch
) -> None:
    run: list[str] = []
    both = asyncio.Barrier(2)

    async def meet(_: Execution, problem: Problem, code: str, tests: list[str]) -> Score:
        run.append(code)
        await asyncio.wait_for(both.wait(), 30)  # ends once the other program has begun
        return Score(1.0 if code == "a" else 0.0, steps=(1.0 if code == "a" else 0.0,))

    monkeypatch.setattr(Execution, "run_tests", meet)
    problem = Problem("t", answer_type="code", metadata={"hidden_tests": ["assert f(2) == 4"]})
    with ThreadPoolExecutor(4) as pool:
        grades = list(pool.map(lambda code: grader.grade(problem, answer(code)), "abba"))
    assert [grade.correct for grade in grades] == [True, False, False, True]
    assert sorted(run) == ["a", "b"]
