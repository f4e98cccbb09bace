"""Scores of code that is run: the share of the tests that it passes."""

from typing import Any

import pytest

from tests.support.solving import solve
from tts.engine.scripted import Line, ScriptedEngine
from tts.operators.sample import sample
from tts.operators.score import score
from tts.operators.select import select
from tts.types import Problem, Score


def attempt(code: str, tests: Any) -> Score:
    """Return the score of one attempt."""
    problem = Problem("p", "Square it.", answer_type="code", metadata={"tests": tests})
    name = "execution(seconds=10, disk_mb=4)"
    engine = ScriptedEngine(lambda ask: Line(f"```python\n{code}\n```"))
    (scored,) = solve(engine, sample() >> score(verifier=name), problem=problem).trajectories
    return scored.scores[name]


def test_the_score_is_the_share_of_tests_passed() -> None:
    tests = ["assert f(2) == 4", "assert f(3) == 9", "assert f(3) == 8", "g()"]
    result = attempt("def f(x):\n    return x * x", tests)
    assert result.value == 0.5
    assert result.steps == (1.0, 1.0, 0.0, 0.0)


def test_programs_are_judged_by_what_they_print() -> None:
    tests = [{"input": "2\n", "output": "4"}, {"input": "3\n", "output": "10\n"}]
    assert attempt("print(int(input()) ** 2, ' ')", tests).steps == (1.0, 0.0)


@pytest.mark.parametrize("code", ["import os; os._exit(0)", "raise SystemExit", "print('ok')\nx ="])
def test_leaving_early_passes_no_test(code: str) -> None:
    assert attempt(code, ["assert True", {"output": "4"}]).value == 0.0


def test_a_program_that_prints_the_right_thing_and_fails_does_not_pass() -> None:
    assert attempt("print(4)\nraise SystemExit(1)", [{"output": "4"}]).value == 0.0


def test_a_score_is_of_the_attempt_alone_however_many_are_run_at_once() -> None:
    problem = Problem("p", "?", answer_type="code", metadata={"tests": ["assert f(2) == 4"]})
    codes = [f"def f(x): return x * {n}" for n in range(4)]
    engine = ScriptedEngine(lambda ask: Line(f"```python\n{codes[ask.index]}\n```"))
    result = solve(engine, sample(n=4) >> score(verifier="execution(parallel=2)"), problem=problem)
    values = {t.answer: t.scores["execution(parallel=2)"].value for t in result.trajectories}
    assert values == dict(zip(codes, [0.0, 0.0, 1.0, 0.0], strict=True))


@pytest.mark.parametrize(
    ("tests", "message"),
    [(None, "no list of tests"), ([], "no list of tests"), ([3], "a test is code")],
)
def test_problems_without_tests_are_an_error(tests: Any, message: str) -> None:
    assert message in str(attempt("x = 1", tests).error)


def test_an_attempt_without_code_is_an_error_and_the_rest_goes_on() -> None:
    problem = Problem("p", "?", answer_type="code", metadata={"tests": ["assert x == 1"]})
    texts = ["no code", "```python\nx = 1\n```"]
    engine = ScriptedEngine(lambda ask: Line(texts[ask.index]))
    pipeline = sample(n=2) >> score(verifier="execution") >> select(by="execution")
    result = solve(engine, pipeline, problem=problem)
    assert result.answer is not None and result.answer.text == "x = 1"
    assert "the trajectory has no code" in result.reason
