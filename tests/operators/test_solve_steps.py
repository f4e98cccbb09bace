"""Outlines worked off step by step: which steps think, what each sees, what is asked again."""

import json

import pytest

from tests.support.results import noted, prompts_of
from tests.support.scripts import boxed
from tests.support.solving import solve
from tts.engine.scripted import Ask, Line, ScriptedEngine
from tts.graph_prompts import parse_outline, parse_share, parse_split
from tts.operators.solve_steps import solve_steps
from tts.protocols import Capabilities
from tts.strategies import scale
from tts.types import Budget

STEPS = ["Find the first product", "Find the second product", "Add them"]
LONG = json.dumps({f"step{i}": step for i, step in enumerate(STEPS, 1)})
SHORT = json.dumps({"step1": "Guess", "step2": "Check"})
PARTS = json.dumps({"conditions": "There are 3 bags of 4.", "question": "How many are there?"})
GRADES: dict[str, float | None] = {STEPS[0]: 0.3, STEPS[1]: 0.6}
DONE = "Step: Find the first product\nResult: found it"


class Model:
    """Outlines, grades and solves; keeps which prompts thought.

    Args:
        versions: Outlines, in order.
        choice: What it says is the best of them.
        parts: Conditions and question.
        grades: Difficulty by step; None is no number.
    """

    def __init__(
        self,
        versions: tuple[str, ...] = (LONG,),
        choice: str = "version1",
        parts: str = PARTS,
        grades: dict[str, float | None] | None = None,
    ) -> None:
        self.versions, self.choice, self.parts = versions, choice, parts
        self.grades = {**GRADES, **(grades or {})}

    def __call__(self, ask: Ask) -> Line:
        prompt = ask.prompt
        if "Outline how" in prompt:
            return Line(self.versions[ask.index % len(self.versions)])
        if "Which outline" in prompt:
            return Line(self.choice)
        if "Split the problem" in prompt:
            return Line(self.parts)
        if "How difficult" in prompt:
            step = prompt.rpartition("Next step: ")[2].partition("\n")[0]
            return Line(str(self.grades[step]))
        if "Question: How many" in prompt or "What is 3 * 4?\n\nReason step" in prompt:
            return Line("hm</think>" + boxed(12))
        return Line("hm</think>found it" if prompt.endswith("<think>\n") else "found it")


def solved(engine: ScriptedEngine) -> dict[str, str]:
    """Return the prompts by which steps were solved, by step."""
    found = [prompt for prompt in prompts_of(engine) if "\nQuestion: " in prompt]
    return {p.rpartition("Question: ")[2].partition("\n")[0]: p for p in found}


def thoughts(engine: ScriptedEngine) -> list[bool]:
    return [prompt.endswith("<think>\n") for prompt in solved(engine).values()]


def test_difficult_steps_think_and_each_sees_what_was_found() -> None:
    engine = ScriptedEngine(Model())
    result = solve(engine, solve_steps(outlines=2))
    assert result.answer is not None and result.answer.text == "12"
    assert noted(result, "mode") == [
        {"index": 0, "step": 1, "difficulty": 0.3, "thinks": False},
        {"index": 0, "step": 2, "difficulty": 0.6, "thinks": True},
        {"index": 0, "step": 3, "difficulty": 1.0, "thinks": True},
    ]
    steps = solved(engine)
    assert list(steps) == [*STEPS[:2], "How many are there?"], "the last step is the question"
    assert thoughts(engine) == [False, True, True]
    assert all("Given: There are 3 bags of 4." in prompt for prompt in steps.values())
    assert DONE not in steps[STEPS[0]] and DONE in steps[STEPS[1]]
    assert f"{DONE}\nStep: Find the second product\nResult: found it\n" in list(steps.values())[2]
    # Two outlines and their choice, the split, two grades, three steps.
    assert result.usage.calls == 2 + 1 + 1 + 2 + 3
    assert result.usage.wasted_tokens == 0
    # All in a row but one of the two outlines.
    (figures,) = result.facts.graphs
    assert figures.sequential_tokens == (result.usage.generated_tokens or 0) - len(LONG)


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [(-1.0, [True, True, True]), (0.5, [False, True, True]), (0.95, [False, False, True])],
)
def test_fewer_steps_think_at_a_higher_threshold(threshold: float, expected: list[bool]) -> None:
    engine = ScriptedEngine(Model())
    solve(engine, scale(threshold=threshold, outlines=1))
    assert thoughts(engine) == expected


def test_each_mode_has_its_sampling() -> None:
    engine = ScriptedEngine(Model())
    solve(engine, "scale")
    used = {(request.sampling.temperature, request.sampling.top_p) for request in engine.requests}
    assert used == {(0.8, 1.0), (0.7, 0.8)}  # the test's own profile where it thinks
    grades = [r for r, p in zip(engine.requests, prompts_of(engine), strict=True) if "diffic" in p]
    assert {request.sampling.max_tokens for request in grades} == {64}


@pytest.mark.parametrize(
    ("versions", "choice", "first", "asked"),
    [
        ((LONG, SHORT), "version2", "Guess", 1),
        ((LONG, SHORT, SHORT), "I like them all", "Guess", 3),  # two of three have two steps
        ((SHORT, LONG), "version7", "Guess", 3),  # one of each: the first
        (("nonsense", LONG), "", STEPS[0], 0),
    ],
)
def test_an_outline_is_chosen(
    versions: tuple[str, ...], choice: str, first: str, asked: int
) -> None:
    model = Model(versions, choice, grades={"Guess": 0.1})
    engine = ScriptedEngine(model)
    solve(engine, solve_steps(outlines=len(versions)))
    assert next(iter(solved(engine))) == first
    assert sum("Which outline" in prompt for prompt in prompts_of(engine)) == asked


def test_what_cannot_be_read_has_an_end() -> None:
    engine = ScriptedEngine(Model(("no", "{}"), parts="no"))
    result = solve(engine, solve_steps(outlines=2))
    assert result.answer is not None and "no outline could be read" in result.reason
    assert not solved(engine), "the problem is asked as it stands"
    assert "<user>What is 3 * 4?\n\nReason step by step" in prompts_of(engine)[-1]
    assert result.usage.calls == 2 + 3 + 1, "outlines, three tries to split, one step"
    model = Model(grades={STEPS[0]: None, STEPS[1]: None})
    result = solve(model, solve_steps(outlines=1))
    assert [mode["difficulty"] for mode in noted(result, "mode")] == [1.0, 1.0, 1.0]
    assert result.usage.calls == 1 + 1 + 2 * 3 + 3


def test_a_grade_may_see_the_plan_alone_and_later_steps_a_summary() -> None:
    def line(ask: Ask) -> Line:
        return Line("in short: it") if "State what this step" in ask.prompt else Model()(ask)

    engine = ScriptedEngine(line)
    solve(engine, solve_steps(outlines=1, context="plan", distil=True))
    grades = [prompt for prompt in prompts_of(engine) if "How difficult" in prompt]
    assert "Steps so far:\nStep: Find the first product\n\n" in grades[1]
    assert "Result: in short: it" in list(solved(engine).values())[-1]


def test_two_engines_take_the_place_of_two_modes() -> None:
    own, big = ScriptedEngine(Model()), ScriptedEngine(Model())
    result = solve(own, scale(outlines=1, hard="big"), engines={"big": big})
    assert result.answer is not None
    assert list(solved(own)) == STEPS[:1] and list(solved(big)) == [STEPS[1], "How many are there?"]


@pytest.mark.parametrize("name", ["", "big"])
def test_one_engine_serves_as_both_and_says_where_modes_cannot_differ(name: str) -> None:
    plain = ScriptedEngine(Model(), capabilities=Capabilities())
    settings = {"outlines": 1, "easy": name, "hard": name}
    engines = {"big": plain} if name else None
    result = solve(ScriptedEngine(Model()) if name else plain, scale(**settings), engines=engines)
    assert result.answer is not None and list(solved(plain)) == [*STEPS[:2], "How many are there?"]
    assert thoughts(plain) == [False] * 3
    assert sum("are solved alike" in warning for warning in result.facts.warnings) == 1
    assert not solve(Model(), scale(outlines=1)).facts.warnings, (
        "it thinks or does not, as it is told"
    )


@pytest.mark.parametrize("tokens", [20, 150, 300])
def test_it_keeps_to_its_budget_and_says_what_is_missing(tokens: int) -> None:
    result = solve(Model(), scale(n=2, outlines=2), budget=Budget(tokens=tokens))
    assert (result.usage.generated_tokens or 0) <= tokens
    assert result.answer is not None or result.reason


def test_an_outline_may_hold_formulas() -> None:
    text = r'Here: {"step1": "Find $\frac{1}{2}$", "step2": "a \"b\" \\alpha"}.'
    assert parse_outline(text) == [r"Find $\frac{1}{2}$", r'a "b" \alpha']
    assert parse_outline('{"step1": "a", "step3": "b"}') == parse_outline('{"step1": 3}') == []


# What Qwen2.5-Coder-0.5B wrote instead of an outline, parts or a grade: solutions.
SOLVED = r"""Mark the number of quarters. The number of iron nickels she has is:

\[ \text{Number of iron nickels} = 0.20 \times 20 = 4 \]

Thus, the total value is:

{"step1": "The number of iron nickels is 4", "Step 2": "The total value is 12", "result": 12}"""
RECKONED = r"""1. **Exchange for nickels**: Each quarter is worth $0.25, so the number is
\(20 \times 0.25 = 5\).

2. **Determine the"""


def test_an_object_is_found_behind_a_solution() -> None:
    assert parse_outline(SOLVED) == ["The number of iron nickels is 4", "The total value is 12"]
    parts = r'So \(\frac{1}{2}\). {"conditions": "It is {x}.", "question": "Which?"} \boxed{2}'
    assert parse_split(parts) == ("It is {x}.", "Which?")
    assert parse_split('{"conditions": "", "question": "Which?"} {"conditions": 3}') is None
    assert parse_outline("{" * 100_000) == []


@pytest.mark.parametrize(
    ("text", "grade"),
    [
        ("0.7", 0.7),
        ("1", 1.0),
        ("0.3, since step 1 is easy", 0.3),
        ("**Difficulty:** 0.6. It has 20 quarters.", 0.6),
        ("It is a matter of one step, so 0.2", 0.2),
        ("80%", None),
        ("1.5", None),
        (RECKONED, None),
        ("$0.25 times 20", None),
    ],
)
def test_a_grade_is_a_number_from_0_to_1(text: str, grade: float | None) -> None:
    assert parse_share(text) == grade
