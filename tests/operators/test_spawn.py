"""Texts that spawn children: the published format to the letter, what each sees, and the costs."""

from dataclasses import replace
from typing import Any

import pytest

from tests.support.results import prompts_of
from tests.support.solving import PROBLEM, solve
from tts.engine.scripted import Ask, Line, ScriptedEngine
from tts.operators.spawn import spawn
from tts.types import Budget, Completion, Problem, Result, Sampling, Usage

PUZZLE = Problem(
    "c", "Make 24.", answer_type="countdown", metadata={"numbers": [4, 9, 3], "target": 24}
)
# A trace by the authors' generator (beam 2): apr(24, [4, 9, 3]), random.seed(0).
ROOT = "Moving to Node #0\nCurrent State: 24:[4, 9, 3], Operations: []"
OPENED = """
Exploring Operation: 9+3=12, Resulting Numbers: [4, 12]
Generated Node #0,0: 24:[4, 12] Operation: 9+3=12
Exploring Operation: 9-3=6, Resulting Numbers: [4, 6]
Generated Node #0,1: 24:[4, 6] Operation: 9-3=6
"""
CALLS = """\
<Calling Sub Searches>
<Start Sub Search 0 at level 1> Moving to Node #0,0
<Start Sub Search 1 at level 1> Moving to Node #0,1
<End Calling Sub Searches>"""
FIRST = "Moving to Node #0,0\nCurrent State: 24:[4, 12], Operations: ['9+3=12']"
FIRST_SAYS = "\nExploring Operation: 12-4=8, Resulting Numbers: [8]\n8,24 unequal: No Solution\n"
SECOND = "Moving to Node #0,1\nCurrent State: 24:[4, 6], Operations: ['9-3=6']"
WAY = (
    SECOND
    + """
Exploring Operation: 4*6=24, Resulting Numbers: [24]
24,24 equal: Goal Reached"""
)
SECOND_SAYS = f"""
Exploring Operation: 6-4=2, Resulting Numbers: [2]
2,24 unequal: No Solution
Exploring Operation: 4*6=24, Resulting Numbers: [24]
24,24 equal: Goal Reached
{WAY}
"""
JOINED = f"""\
<Sub Searches>
<No Solution in Sub Search 0 at level 1 at Node #0,0>
<Goal Reached in Sub Search 1 at level 1 at Node #0,1>
{WAY}
<End Sub Searches>
"""
LAST = f"""\
24,24 equal: Goal Reached
{ROOT}
Exploring Operation: 9-3=6, Resulting Numbers: [4, 6]
Generated Node #0,1: 24:[4, 6] Operation: 9-3=6
{WAY}
"""


def search(ask: Ask) -> Line:
    """Write the authors' trace."""
    prompt = ask.prompt.removeprefix("Sub Call Budget: 3 ")
    told = {
        ROOT: OPENED + CALLS + "\n",
        FIRST: FIRST_SAYS,
        SECOND: SECOND_SAYS,
        ROOT + OPENED + JOINED: LAST,
    }
    return Line(told[prompt])


def run(engine: ScriptedEngine, max_tokens: int = 4_000, **settings: int) -> Result:
    pipeline = spawn(wire="search", **settings)
    return solve(engine, pipeline, problem=PUZZLE, sampling=Sampling(max_tokens=max_tokens))


def test_calls_are_replaced_by_results_to_the_letter_and_the_way_is_boxed() -> None:
    engine = ScriptedEngine(search)
    result = run(engine)
    (made,) = result.trajectories
    assert made.text == OPENED + JOINED + LAST + "\n\n\\boxed{9-3=6, 4*6=24}"
    assert made.answer == "9-3=6, 4*6=24"


def test_a_child_sees_its_nodes_state_and_nothing_else() -> None:
    engine = ScriptedEngine(search)
    run(engine)
    assert prompts_of(engine) == [ROOT, FIRST, SECOND, ROOT + OPENED + JOINED]


def test_the_chain_is_the_parent_and_the_slowest_child_of_each_call() -> None:
    result = run(ScriptedEngine(search))
    parent = len(OPENED + CALLS) + len(LAST)
    (figures,) = result.facts.graphs
    assert figures.sequential_tokens == parent + len(SECOND_SAYS)
    assert (figures.tasks, figures.failed) == (2, 1)
    assert figures.context_tokens == len(ROOT + OPENED + JOINED + LAST)
    assert result.usage.generated_tokens == parent + len(FIRST_SAYS) + len(SECOND_SAYS)


def test_the_number_of_calls_is_told_before_the_puzzle_and_none_are_made_beyond_it() -> None:
    engine = ScriptedEngine(search)
    assert run(engine, calls=3).answer is not None
    assert prompts_of(engine)[0] == f"Sub Call Budget: 3 {ROOT}"
    engine = ScriptedEngine(lambda ask: Line(OPENED + CALLS))
    result = run(engine, calls=0)
    assert len(engine.requests) == 1 and result.answer is None
    assert any("once more than the 0 times" in warning for warning in result.facts.warnings)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (CALLS, "node #0,0 is called and was not generated"),
        (OPENED + "<Calling Sub Searches>\n<End Calling Sub Searches>", "names no node"),
        (OPENED + CALLS, "it calls 2 children; at most 1"),
    ],
)
def test_a_call_that_cannot_be_read_ends_the_text(text: str, why: str) -> None:
    result = run(ScriptedEngine(lambda ask: Line(text)), max_children=1)
    assert any(why in warning for warning in result.facts.warnings)
    assert len(result.trajectories) == 1 and result.answer is None


class Uncounted(ScriptedEngine):
    """A server that tells neither how many tokens it generated nor which."""

    def _complete(self, *asked: Any) -> Completion:
        made = super()._complete(*asked)
        return replace(made, usage=Usage.unknown(), token_ids=(), prompt_token_ids=())


def test_a_text_ends_at_its_limit_where_nobody_counts_tokens() -> None:
    engine = Uncounted(lambda ask: Line("hm " * 10 + "<Sub Searches>"))
    # A part of 30 characters and a stop string of 14 counts as 15 tokens; the last is cut at 30.
    sampling = Sampling(max_tokens=150)
    solve(engine, spawn(wire="search"), problem=PUZZLE, sampling=sampling, budget=Budget(calls=30))
    assert [r.sampling.max_tokens for r in engine.requests] == list(range(150, 29, -15))


def test_results_that_a_parent_begins_to_write_itself_become_a_call() -> None:
    def script(ask: Ask) -> Line:
        if ask.prompt == ROOT:
            return Line(OPENED + "<Sub Searches>\n<No Solution in Sub Search 0")
        if ask.prompt == ROOT + OPENED + "<Calling Sub Searches>":
            return Line(CALLS.removeprefix("<Calling Sub Searches>"))
        return search(ask)

    assert run(ScriptedEngine(script)).answer is not None


def test_a_child_that_fails_or_calls_has_no_result() -> None:
    def script(ask: Ask) -> Line:
        if ask.prompt == FIRST:
            return Line("\nExploring", error="the server fell over")
        if ask.prompt == SECOND:
            return Line(OPENED + CALLS)
        return Line(OPENED + CALLS) if ask.prompt == ROOT else Line("No solution found.")

    engine = ScriptedEngine(script)
    result = run(engine)
    assert prompts_of(engine)[-1].count("<No Solution in Sub Search") == 2
    assert len(engine.requests) == 4 and result.answer is None


def test_a_parent_draws_no_more_than_its_limit_in_all_its_parts() -> None:
    engine = ScriptedEngine(search)
    result = run(engine, max_tokens=len(OPENED + CALLS) + 10)
    assert engine.requests[-1].sampling.max_tokens == 10
    assert result.trajectories[0].finish_reason == "length"


def test_sub_searches_are_refused_for_other_problems_with_what_to_set() -> None:
    result = solve(search, spawn(wire="search"))
    assert any("set wire=tasks" in warning for warning in result.facts.warnings)


def test_tasks_in_words_have_answers_in_their_place() -> None:
    def script(ask: Ask) -> Line:
        if "Solve this part of the problem" in ask.prompt:
            is_first = "a dozen" in ask.prompt.rpartition("Solve this part")[2]
            return Line("A dozen is \\boxed{12}." if is_first else "Nothing to be\n\nfound there.")
        if ask.prompt.endswith("</results>\n"):
            return Line("So it is \\boxed{12}.")
        return Line("Two parts.\n<spawn>\n1. What is a dozen?\n2) What else?\n</spawn>\n")

    engine = ScriptedEngine(script)
    result = solve(engine, spawn(wire="tasks", n=2))
    (made, _) = result.trajectories
    assert made.text == (
        "Two parts.\n<results>\n1. 12\n2. found there.\n</results>\nSo it is \\boxed{12}."
    )
    assert made.answer == "12" and len(engine.requests) == 8
    first, child = prompts_of(engine)[0], prompts_of(engine)[2]
    assert PROBLEM.statement in child and "Two parts" not in child and "What else" not in child
    assert "numbered list between <spawn>" in first


def test_a_list_that_nobody_opened_ends_the_text_as_it_is() -> None:
    written = "1. First, 3 * 4.\n2. That is \\boxed{12}.\n</spawn>"
    engine = ScriptedEngine(lambda ask: Line(written))
    result = solve(engine, spawn(wire="tasks"))
    (made,) = result.trajectories
    assert (made.text, made.answer, len(engine.requests)) == (written, "12", 1)
    assert any("that no <spawn> opened" in warning for warning in result.facts.warnings)


def test_each_child_counts_for_the_time_that_it_took() -> None:
    def script(ask: Ask) -> Line:
        if "Solve this part" in ask.prompt:
            is_long = "Long" in ask.prompt.rpartition("Solve this part")[2]
            return Line("x" * 100 if is_long else "y")
        if ask.prompt.endswith("</results>\n"):
            return Line("\\boxed{12}")
        return Line("<spawn>\n1. Short?\n2. Long?\n</spawn>")

    result = solve(ScriptedEngine(script, tick_seconds=0.002), spawn(wire="tasks"))
    (figures,) = result.facts.graphs
    assert 1.0 < figures.width < 1.3  # one was done as the other had just begun


def test_no_calls_are_spoken_of_where_none_are_allowed() -> None:
    engine = ScriptedEngine(lambda ask: Line("\\boxed{12}"))
    assert solve(engine, spawn(wire="tasks", calls=0)).answer is not None
    assert "spawn" not in prompts_of(engine)[0]


def test_several_texts_vote_by_the_preset() -> None:
    result = solve(search, "apr", overrides=["n=3"], problem=PUZZLE)
    assert result.answer is not None and result.answer.support.votes == 3
