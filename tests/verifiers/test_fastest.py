"""The fastest of those that pass is chosen; what fails more tests never is, however fast."""

from tests.support.sandboxes import open_sandbox
from tests.support.solving import solve
from tts.engine.scripted import Ask, Line, ScriptedEngine
from tts.operators.sample import sample
from tts.operators.score import score
from tts.operators.select import select
from tts.types import Problem
from tts.verifiers._sandbox.sandbox import Limits

SLOW = "def f(n):\n    return sum(sum(1 for _ in range(9)) * i // 9 for i in range(n))"
QUICK = "def f(n):\n    return sum(range(n))"
WRONG = "def f(n):\n    return 0"
PROBLEM = Problem(
    "p",
    "Add up the numbers below n.",
    answer_type="code",
    metadata={
        "entry_point": "f",
        "tests": ["assert f(3) == 3", "assert f(1) == 0"],
        "timed_tests": ["f(60_000)"],
    },
)


def test_it_chooses_by_time_among_those_that_pass() -> None:
    open_sandbox(Limits())  # skips where there is none
    codes = [WRONG, SLOW, QUICK, "def g():\n    pass"]

    def say(ask: Ask) -> Line:
        return Line(f"```python\n{codes[ask.index]}\n```")

    graph = sample(n=4) >> score(verifier="fastest(repeats=2)") >> select(by="fastest(repeats=2)")
    result = solve(ScriptedEngine(say), graph, problem=PROBLEM)
    assert result.answer is not None and result.answer.text == QUICK
    values = [t.scores["fastest(repeats=2)"].value for t in result.samples]
    assert values[0] == values[3] == 0.0 and values[2] == 1.0
    assert values[1] is not None and 0.0 < values[1] < 0.5
