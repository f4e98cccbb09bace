"""Evaluators: what they may return, their stages, and that code cannot reach its own score."""

import asyncio
import json
from pathlib import Path

import pytest

from tests.support.sandboxes import open_sandbox
from tts.errors import InputError
from tts.verifiers._sandbox.sandbox import Limits
from tts.verifiers.evaluator import Config, Evaluated, Evaluator, build, load

HONEST = """
def evaluate(program):
    total = sum(program.f(x) == x * x for x in range(4))
    return {"score": total, "largest": max(program.f(x) for x in range(4)), "hint": "squares"}
"""
SQUARE = "def f(x):\n    return x * x\n"


def ask(code: str, text: str = HONEST, **options: float) -> Evaluated:
    open_sandbox(Limits())  # skips where there is none

    async def main() -> Evaluated:
        verifier = build(Config(parallel=1, **options))  # type: ignore[arg-type]
        try:
            return await verifier.evaluate(Evaluator(text, "evaluator.py"), code)
        finally:
            await verifier.aclose()

    return asyncio.run(main())


def test_numbers_are_metrics_and_texts_are_notes() -> None:
    assert ask(SQUARE) == Evaluated(4.0, metrics={"largest": 9.0}, notes="hint: squares")
    assert ask("def f(x): return 2 * x").score == 2.0  # right of 0 and 2 alone


@pytest.mark.parametrize(
    ("returned", "score", "error"),
    [
        ("3", 3.0, ""),
        ("float('nan')", None, "no finite number `score`"),
        ("{'speed': 2}", None, "no finite number `score`"),
        ("None", None, "no finite number `score`"),
        ("1 / 0", None, "line 2: return 1 / 0\nZeroDivisionError"),
        ("program.g(1)", None, "the program defines no 'g'"),
        ("object()", None, "not JSON serializable"),
    ],
)
def test_what_an_evaluator_returns(returned: str, score: float | None, error: str) -> None:
    said = ask(SQUARE, f"def evaluate(program):\n    return {returned}")
    assert said.score == score
    assert error in said.error


def test_a_stage_that_is_not_reached_costs_nothing() -> None:
    stages = """
THRESHOLDS = [1, 3]
def evaluate_stage2(program): return program.f(2)
def evaluate_stage1(program): return program.f(1)
def evaluate(program): return program.f(3)
"""
    assert ask(SQUARE, stages).score == 9.0
    first = ask("def f(x):\n    assert x == 1\n    return 0", stages)
    assert first.score is None and first.error.startswith("evaluate_stage1 gave 0, and less than 1")
    second = ask("def f(x):\n    assert x != 3\n    return x", stages)
    assert second.error.startswith("evaluate_stage2 gave 2, and less than 3")


def test_notes_of_stages_stand_on_lines_of_their_own() -> None:
    stages = """
def evaluate_stage1(program): return {"score": 1, "first": "one", "second": "two"}
def evaluate_stage2(program): return {"score": 1, "third": "three"}
def evaluate(program): return {SCORE, "fourth": "four"}
"""
    said = "first: one\nsecond: two\nthird: three\nfourth: four"
    assert ask(SQUARE, stages.replace("SCORE", '"score": 2')).notes == said
    # Also where the last one fails to give a score, or fails altogether.
    assert ask(SQUARE, stages.replace("SCORE", '"speed": 2')).notes == said
    failed = ask(SQUARE, stages.replace("{SCORE, ", "{1: 1 / 0, "))
    assert failed.score is None and failed.notes == "first: one\nsecond: two\nthird: three"


ATTACKS = {
    "a sum of its own": "import builtins\nbuiltins.sum = sum = lambda _: 99\n",
    "a number that equals all": """
class Any(int):
    def __eq__(self, other): return True
    def __hash__(self): return 0
def f(x): return Any(7)
""",
    "the frames above it": """
import sys
def f(x):
    frame = sys._getframe()
    while frame:
        frame.f_locals.update(total=99)
        frame.f_globals.update(evaluate=lambda program: 99, score=99)
        frame = frame.f_back
    return 7
""",
    "a verdict of its own": """
import os
def f(x):
    for number in range(3, 64):
        try: os.write(number, b'P99')
        except OSError: pass
    return 7
""",
    "the evaluator's process": """
import os, signal
def f(x):
    for number in os.listdir('/proc') if os.path.isdir('/proc') else ['1']:
        if number.isdigit() and int(number) != os.getpid():
            try: os.kill(int(number), signal.SIGKILL)
            except OSError: pass
    return 7
""",
    "an early end": "import os\ndef f(x):\n    os._exit(0)\n",
    "the file": """
for name in ('evaluator.py', '../evaluator.py', '/tmp/evaluator.py'):
    try: open(name, 'w').write('def evaluate(program): return 99')
    except OSError: pass
def f(x): return 7
""",
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_code_cannot_reach_its_own_score(attack: str) -> None:
    code = attack if "def f" in attack else attack + "def f(x): return 7"
    assert ask(code, seconds=5).score in (None, 0.0)  # 7 is no square


def test_what_code_prints_to_standard_error_is_a_note() -> None:
    code = "import sys\ndef f(x):\n    print('slow', x, file=sys.stderr)\n    return x * x\n"
    assert "slow 3" in ask(code).notes


def test_faults_of_an_evaluator_are_named(tmp_path: Path) -> None:
    path = tmp_path / "evaluator.py"
    with pytest.raises(InputError, match="cannot be read"):
        load(path)
    for text, message in (
        ("def measure(program): ...", "needs a function evaluate"),
        ("def evaluate(:", "not valid Python"),
        ("THRESHOLDS = 'no'\ndef evaluate(program): ...", r"evaluator\.py:1: THRESHOLDS is a list"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=message):
            load(path)
    path.write_text(json.dumps(1) + "\n" + HONEST)
    assert load(path).stages == ("evaluate",)
