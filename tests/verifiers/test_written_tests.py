"""Tests that a model writes: which are read, what they say of attempts, and who is shown to it."""

import pytest

from tests.support.results import noted
from tests.support.solving import solve
from tts.engine.scripted import Ask, Line, ScriptedEngine
from tts.operators.sample import sample
from tts.operators.score import score
from tts.types import Origin, Problem, Result, Score, Trajectory
from tts.verifiers._agreement import agreement, splitting, votes
from tts.verifiers.tell_apart import finalists
from tts.verifiers.written_tests import read_tests

T, F = True, False
# Two attempts pass tests 0 and 1, one passes all but the last, one nothing.
ROWS = [(T, T, F, F), (T, T, F, F), (T, T, T, F), (F, F, F, F)]
PROBLEM = Problem(
    "p",
    "Square it.",
    answer_type="code",
    metadata={"entry_point": "f", "tests": ["assert f(0) == 0", "assert f(2) == 4"]},
)
CODES = ["def f(x):\n    return x * x", "def f(x):\n    return x * 2", "def f(x):\n    return -1"]
TESTS = "3) == 9\nassert f(2) == 4\nassert g(1) == 1\nassert f(1) =\nassert f(1) == 2"


def test_agreement_is_the_size_of_the_set_times_its_tests() -> None:
    assert agreement(ROWS) == [4, 4, 3, 0]
    assert agreement([(), ()]) == [0, 0]


def test_votes_are_the_share_of_tests_passed_and_tests_split_where_rows_differ() -> None:
    assert votes(ROWS) == [0.5, 0.5, 0.75, 0.0]
    assert votes([()]) == [0.0]
    assert splitting(ROWS) == [0, 1, 2]
    assert splitting([]) == []


def test_tests_are_the_lines_that_call_the_function() -> None:
    lines = ["assert f(", "  assert f(1) == 1  # yes", "x = 2", "assert g(1)", "assert f(2), 'no'"]
    text = "\n".join([*lines, "```", "assert f(3)"])
    assert read_tests(text, "f") == ["assert f(1) == 1  # yes", "assert f(2), 'no'"]
    assert read_tests("assert a(1) == [\nassert b(2) == 1") == ["assert b(2) == 1"]


def say(ask: Ask) -> Line:
    if "Write" in ask.prompt and "short tests" in ask.prompt:
        return Line(TESTS)
    return Line(f"```python\n{CODES[ask.index]}\n```")


def scored(name: str, n: int = 3) -> Result:
    engine = ScriptedEngine(say)
    return solve(engine, sample(n=n) >> score(verifier=name), problem=PROBLEM)


@pytest.mark.parametrize(
    ("options", "values"),
    [
        # f(3) == 9 and f(2) == 4 are right, f(1) == 2 is wrong; x * 2 passes the last two.
        ("", [2.0, 2.0, 0.0]),
        ("by=votes", [2 / 3, 2 / 3, 0.0]),
        ("keep=1", [1.0, 0.0, 0.0]),
        ("by=votes, split=True", [2 / 3, 2 / 3, 0.0]),
        ("regression=True", [2.0, 2.0, 0.0]),
    ],
)
def test_all_attempts_meet_all_tests(options: str, values: list[float]) -> None:
    name = f"written_tests(n=2, {options})" if options else "written_tests(n=2)"
    scores = [t.scores[name] for t in scored(name).trajectories]
    assert [s.value for s in scores] == pytest.approx(values)
    if "keep" not in options:
        assert [s.steps for s in scores] == [(1.0, 1.0, 0.0), (0.0, 1.0, 1.0), (0.0, 0.0, 0.0)]


def test_a_program_that_never_ends_is_given_up_and_a_test_it_skipped_tells_nothing() -> None:
    """Of 8 tests on f(2) to f(9), the third program never ends on any, the fourth on one alone."""
    codes = [CODES[0], CODES[1], "def f(x):\n    while x > 1: pass\n    return x"]
    codes.append("def f(x):\n    while x == 3: pass\n    return x * x")
    wanted = "\n".join(f"assert f({x}) == {x * x}" for x in range(2, 10)).removeprefix("assert f(")

    def line(ask: Ask) -> Line:
        if "short tests" in ask.prompt:
            return Line(wanted)
        return Line(f"```python\n{codes[ask.index]}\n```")

    name = "written_tests(n=1, keep=8, by=votes, give_up=2, execution='execution(seconds=1)')"
    result = solve(ScriptedEngine(line), sample(n=4) >> score(verifier=name), problem=PROBLEM)
    scores = [t.scores[name] for t in sorted(result.trajectories, key=lambda t: t.id)]
    assert [s.value for s in scores] == [1.0, 1 / 8, 0.0, 7 / 8]
    (warning,) = result.facts.warnings
    # The shared run of its tests ends at f(2); f(2) and f(3), run alone, end in vain; six are left.
    assert "1 of 4 programs ran out of time on 2 tests in a row; they were not run on 6" in warning
    # x * x and x * 2 agree on f(2) alone, and there the third was run.
    assert noted(result, "tests")[0]["splitting"] == 8
    assert [s.not_run for s in scores] == [(), (), (2, 3, 4, 5, 6, 7), ()]
    told = {event["id"]: event["steps"] for event in noted(result, "score")}
    assert [told[t.id] for t in result.trajectories if t.scores[name].not_run] == [
        [0, 0, *[None] * 6]
    ]


def test_what_was_not_run_is_no_pass_and_splits_nothing() -> None:
    rows = [(T, F, T), (T, F, None), (T, F, None), (T, F, F)]
    assert agreement(rows) == [2, 2, 2, 1]  # the two in the middle are alike, as far as is known
    assert votes(rows) == pytest.approx([2 / 3, 1 / 3, 1 / 3, 1 / 3])
    assert splitting(rows) == [2] and splitting(rows[:3]) == []


def test_without_a_test_nobody_is_ahead() -> None:
    engine = ScriptedEngine(lambda ask: Line("```python\nx = 1\n```"))
    result = solve(engine, sample(n=2) >> score(verifier="written_tests"), problem=PROBLEM)
    assert [t.scores["written_tests"] for t in result.trajectories] == [Score(0.0), Score(0.0)]


def attempt(index: int, code: str, value: float) -> Trajectory:
    return Trajectory(
        str(index), Origin("s", index, 0), code, "stop", answer=code, scores={"v": Score(value)}
    )


def test_the_best_are_shown_ties_to_the_shorter_and_equal_ones_once() -> None:
    pairs = [("long", 1.0), ("ab", 1.0), ("ab ", 1.0), ("z", 0.5), ("best!", 2.0), ("y", 0.1)]
    attempts = [attempt(i, *pair) for i, pair in enumerate(pairs)]
    assert [t.answer for t in finalists(attempts, "v", 3)] == ["best!", "ab", "long"]
    assert [t.answer for t in finalists(attempts, "", 2)] == ["z", "y"]


@pytest.mark.parametrize(
    ("answers", "winner", "calls"),
    [
        (["Best: 2"], 1, 1),
        (["```python\nassert f(3) == 9\n```", "Best: 1"], 0, 2),
        (["```python\nassert f(3) == 9\n```\nBest: 2", "who knows", "Best: 2"], 1, 3),
        (["Best: 9"], 0, 1),
        (["who knows"], 0, 4),
    ],
)
def test_a_model_tells_attempts_apart(answers: list[str], winner: int, calls: int) -> None:
    asked: list[str] = []

    def talk(ask: Ask) -> Line:
        if "The attempts above differ" not in ask.prompt:
            return Line(f"```python\n{CODES[ask.index]}\n```")
        asked.append(ask.prompt)
        return Line(answers[min(len(asked), len(answers)) - 1])

    name = "tell_apart(attempts=4)"
    pipeline = sample(n=2) >> score(verifier=name)
    result = solve(ScriptedEngine(talk), pipeline, problem=PROBLEM)
    values = [t.scores[name].value for t in sorted(result.trajectories, key=lambda t: t.id)]
    assert values == [float(i == winner) for i in range(2)]
    assert len(asked) == calls
    if calls == 2:  # it has seen what its test does to each
        assert "Attempt 1: passes" in asked[1] and "AssertionError" in asked[1]
