"""Strategies for programs, on scripts: who is chosen, what is repaired, and what votes."""

from tests.support.results import noted
from tests.support.solving import PROBLEM, solve
from tts.engine.scripted import Ask, Line, ScriptedEngine
from tts.operators.execute import execute
from tts.operators.sample import sample
from tts.pipeline import Pipeline
from tts.strategies import codemonkeys, codet, hybrid_verifier, program_vote, self_repair
from tts.types import Problem, Result

CODE = Problem(
    "p",
    "Square it.",
    answer_type="code",
    metadata={"entry_point": "f", "tests": ["assert f(0) == 0", "assert f(2) == 4"]},
)
DOUBLE, SQUARE, CUBE = (f"def f(x):\n    return {body}" for body in ("x * 2", "x * x", "x ** 3"))
SQUARE_TOO = "def f(x):\n    return x ** 2"


def fenced(code: str) -> Line:
    return Line(f"```python\n{code}\n```")


def run(pipeline: Pipeline, *codes: str, others: dict[str, str]) -> tuple[Result, list[str]]:
    """Solve on a script: further requests are known by their words."""
    prompts: list[str] = []

    def say(ask: Ask) -> Line:
        for words, text in others.items():
            if words in ask.prompt:
                prompts.append(ask.prompt)
                return Line(text)
        return fenced(codes[ask.index])

    return solve(ScriptedEngine(say), pipeline, problem=CODE), prompts


def chosen(result: Result) -> str:
    assert result.answer is not None, result.reason
    return result.answer.text


TESTS = {"short tests": "3) == 9\nassert f(1) == 1"}


def test_codet_takes_a_program_of_the_set_that_agrees_on_most() -> None:
    # The cube passes one test, the two squares two: 2 x 2 against 1 x 1.
    result, _ = run(codet(n=4, tests=1), CUBE, DOUBLE, SQUARE, SQUARE_TOO, others=TESTS)
    assert chosen(result) == SQUARE


def test_the_hybrid_leaves_out_what_fails_more_of_the_problems_own_tests() -> None:
    wrong = {"short tests": "3) == 27\nassert f(1) == 1\nassert f(2) == 8"}  # of a cube
    others = {**wrong, "Verdict": "Verdict: correct"}
    result, _ = run(hybrid_verifier(n=2, tests=1, keep=2), CUBE, SQUARE, others=others)
    assert chosen(result) == SQUARE
    without, _ = run(codet(n=2, tests=1), CUBE, SQUARE, others=wrong)
    assert chosen(without) == CUBE


def test_codemonkeys_lets_the_model_tell_the_best_apart() -> None:
    others = {**TESTS, "The attempts above differ": "Best: 2"}
    result, prompts = run(codemonkeys(n=3, keep=2), DOUBLE, SQUARE_TOO, SQUARE, others=others)
    # Both squares pass both tests; the shorter text is attempt 1, and the double is not shown.
    assert chosen(result) == SQUARE_TOO
    assert DOUBLE not in prompts[-1]


def test_self_repair_shows_what_the_tests_say_and_leaves_what_passes() -> None:
    mended = {"Check:": f"```python\n{SQUARE}\n```"}
    result, prompts = run(self_repair(n=2), DOUBLE, CUBE, others=mended)
    # Twice 2 is 4, so the double passes the tests that are shown; only the cube is repaired.
    assert len(prompts) == 1 and CUBE in prompts[0]
    assert "This test failed:\nassert f(2) == 4" in prompts[0]
    assert chosen(result) == DOUBLE
    assert [t.answer for t in result.samples if t.parents] == [SQUARE]


def test_self_repair_runs_every_program_once() -> None:
    mended = {"Check:": f"```python\n{SQUARE}\n```"}
    result, _ = run(self_repair(n=3), DOUBLE, CUBE, DOUBLE, others=mended)
    # Three programs and one repair are scored; the equal two are run as one.
    scored = noted(result, "score")
    assert len(scored) == len({event["id"] for event in scored}) == 4
    assert all(t.scores["execution"].value is not None for t in result.samples)


def test_what_programs_print_votes_and_words_beside_it() -> None:
    programs = ["print(3 * 4)", "x = 12\nprint('so')\nprint(x)", "1 / 0", "print(13)"]

    def say(ask: Ask) -> Line:
        if "Write a Python program" in ask.prompt:
            return fenced(programs[ask.index])
        return Line(r"it is \boxed{13}")

    result = solve(ScriptedEngine(say), program_vote(n=4), problem=PROBLEM)
    assert result.answer is not None and result.answer.text == "12"
    assert (result.answer.support.votes, result.answer.support.voters) == (2, 3)
    mixed = solve(ScriptedEngine(say), program_vote(n=4, texts=2), problem=PROBLEM)
    assert mixed.answer is not None and mixed.answer.text == "13"
    assert (mixed.answer.support.votes, mixed.answer.support.voters) == (3, 5)


def test_a_verifier_that_runs_no_code_is_named() -> None:
    engine = ScriptedEngine(lambda ask: fenced("print(12)"))
    result = solve(engine, sample(mode="program") >> execute(verifier="rule"), problem=PROBLEM)
    assert result.answer is None
    assert "'rule' runs no code; name execution" in result.reason
