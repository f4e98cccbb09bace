"""Plans, and sub-problems solved on their own."""

import pytest

from tests.support.results import prompts_of
from tests.support.scripts import boxed, replies
from tests.support.solving import solve
from tts.engine.scripted import Ask, Line, ScriptedEngine
from tts.errors import ParameterError, PipelineError
from tts.operators.follow import follow
from tts.operators.map_parts import map_parts
from tts.operators.plan import plan
from tts.operators.refine import refine
from tts.operators.sample import sample
from tts.operators.vote import vote

PARTS = "First this:\n1. What is 3 + 3?\n2) What is 6 + 6?\nThen done."


def test_parts_are_solved_and_joined() -> None:
    engine = ScriptedEngine(
        replies(
            ("Split the problem", PARTS),
            ("Use the notes", boxed(12)),
            ("3 + 3", boxed(6)),
            ("6 + 6", "I do not know how to do that."),
        )
    )
    pipeline = plan(ask="decompose") >> map_parts(body=sample(n=3) >> vote()) >> follow()
    result = solve(engine, pipeline)
    assert result.answer is not None and result.answer.text == "12"
    assert result.usage.calls == 1 + 2 * 3 + 1
    last = prompts_of(engine)[-1]
    assert f"1. What is 3 + 3?\n{boxed(6)}\nAnswer: 6\n\n2. What is 6 + 6?\nAnswer: unknown" in last
    parts = [prompt for prompt in prompts_of(engine) if "Solve this part" in prompt]
    assert len(parts) == 2 and all("What is 3 * 4?\n\nSolve this part" in p for p in parts)
    nodes = {e.node for e in result.trace}
    assert "map_parts/plan:0.1/sample" in nodes and "map_parts/plan:0.2/vote" in nodes
    # The three samples without an answer reached nobody.
    assert result.usage.wasted_tokens == 3 * len("I do not know how to do that.")


def test_parts_that_are_set_as_titles_lose_their_marks() -> None:
    """As Qwen2.5-Coder-1.5B writes them."""
    titles = (
        "1. **Determine Michael's current age:**\n2. **Age**: find 2**3 + 4**2\n3. Finally, divide:"
    )
    engine = ScriptedEngine(
        replies(("Solve this part", boxed(6)), ("Use the", boxed(1)), otherwise=titles)
    )
    solve(engine, plan(ask="decompose") >> map_parts(body=sample(n=1)) >> follow())
    parts = [p.partition("no other: ")[2].partition("\n")[0] for p in prompts_of(engine)[1:-1]]
    assert parts == ["Determine Michael's current age", "Age: find 2**3 + 4**2", "Finally, divide"]


def test_a_part_may_be_shown_alone_and_its_answer_passed_on_alone() -> None:
    engine = ScriptedEngine(
        replies(("Split the problem", PARTS), ("Use the notes", boxed(12)), otherwise=boxed(6))
    )
    body = map_parts(body=sample(n=1), context="none", reduce="answer")
    solve(engine, plan(ask="decompose") >> body >> follow())
    asked = prompts_of(engine)
    assert "<user>What is 3 + 3?" in asked[1] and "3 * 4" not in asked[1]
    assert "1. What is 3 + 3?\nAnswer: 6\n\n2. What is 6 + 6?\nAnswer: 6" in asked[-1]


def test_the_bound_holds_and_notes_without_a_list_pass() -> None:
    many = "\n".join(f"{i}. part {i}" for i in range(1, 9))
    script = replies(("Split", many), ("Use the notes", boxed(1)), otherwise=boxed(2))
    result = solve(
        script, plan(ask="decompose") >> map_parts(body=sample(n=1), limit=3) >> follow()
    )
    assert result.usage.calls == 1 + 3 + 1
    plain = replies(("Split", "just do it"), ("just do it", boxed(3)))
    result = solve(plain, plan(ask="decompose") >> map_parts(body=sample(n=1)) >> follow())
    assert result.answer is not None and result.answer.text == "3"


def test_parts_end_with_whoever_wanted_them() -> None:
    def line(ask: Ask) -> Line:
        if "Split" in ask.prompt:
            return Line("Just add." if ask.index else PARTS, ticks=20 if ask.index else 1)
        is_part = "Solve this part" in ask.prompt
        return Line(boxed(12), hangs=is_part)

    # The second plan has no list, so its solution needs no part; the parts of the first never end.
    pipeline = (
        plan(ask="decompose", n=2) >> map_parts(body=sample(n=2)) >> follow() >> vote(stop_at=0.7)
    )
    result = solve(line, pipeline)
    assert result.answer is not None and result.answer.support.votes == 1
    assert result.usage.calls == 2 + 2 * 2 + 1


def test_plans_build_on_each_other() -> None:
    engine = ScriptedEngine(
        replies(
            ("Name the ways", "cases"),
            ("Rephrase each", "cases of 3"),
            ("Write a step-by-step plan", "1. add"),
            ("Use the notes", boxed(12)),
        )
    )
    result = solve(engine, plan(ask="select") >> plan(ask="adapt") >> plan(ask="plan") >> follow())
    assert result.answer is not None and result.answer.text == "12"
    assert result.usage.calls == 4
    asked = prompts_of(engine)
    assert "Ways of reasoning:\n- " in asked[0]
    assert "cases\n\nRephrase" in asked[1]
    assert "cases of 3\n\nWrite a step" in asked[2]
    assert "Notes:\n1. add" in asked[3]
    assert result.usage.wasted_tokens == 0


def test_plans_are_no_answers() -> None:
    with pytest.raises(PipelineError, match="reads finished trajectories, 'plan' sends partial"):
        (plan(ask="decompose") >> vote()).check()
    with pytest.raises(ParameterError, match="must begin with a source"):
        map_parts(body=refine())
