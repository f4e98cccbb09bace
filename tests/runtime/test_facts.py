"""What a result says of what happened: rules, limits, warnings, failures, figures of searches."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import pytest

from tests.support.scripts import says
from tests.support.searching import digits, search
from tests.support.solving import solve
from tests.support.verifiers import ByText
from tts.engine.scripted import Ask, Line, ScriptedEngine
from tts.errors import ContextError
from tts.operators.base import OperatorModel
from tts.operators.prune import prune
from tts.operators.sample import sample
from tts.operators.score import score
from tts.operators.think import think
from tts.operators.tree_search import tree_search
from tts.operators.vote import vote
from tts.pipeline import Pipeline
from tts.protocols import Context, Inlet, Outlet, Spec
from tts.strategies.rebase import Policy
from tts.types import (
    Answer,
    Budget,
    Failure,
    Problem,
    Result,
    RunFacts,
    SearchFigures,
    Stop,
    Support,
    Usage,
)


def hanging_after(count: int) -> ScriptedEngine:
    """The first samples say 12 at once, the others never end."""

    def line(ask: Ask) -> Line:
        return Line(r"it is \boxed{12}", ticks=1, hangs=ask.index >= count)

    return ScriptedEngine(line)


def test_an_undisturbed_run_has_no_facts_but_its_requests() -> None:
    result = solve(ScriptedEngine(says(12)), sample(n=3) >> vote())
    assert result.facts == RunFacts(asked=3, granted=3)
    assert not result.facts.is_cut and result.reason == ""


@pytest.mark.parametrize(
    ("options", "rule", "needed"),
    [
        ({"stop": "settled"}, "settled", 4),  # 4 of 6 cannot be passed
        ({"stop_at": 0.95}, "stop_at 0.95", 4),  # 1 - (1/2)^5 = 0.969
        ({"window": 3}, "window 3", 3),
    ],
)
def test_a_vote_says_which_rule_ended_it(options: dict[str, Any], rule: str, needed: int) -> None:
    result = solve(hanging_after(needed), sample(n=6) >> vote(**options))
    facts = result.facts
    assert facts.stopped_by == (Stop("vote", rule),)
    assert (facts.asked, facts.granted, facts.aborted) == (6, 6, 6 - needed)
    assert facts.is_cut and result.reason == ""


def test_a_rule_cuts_also_where_nothing_was_left_to_abort() -> None:
    # The second batch is never asked for.
    result = solve(ScriptedEngine(says(12)), sample(n=6, batch=3) >> vote(window=3))
    assert (result.facts.asked, result.facts.aborted) == (3, 0)
    assert result.facts.is_cut


def test_enough_that_passed_is_a_rule() -> None:
    graph = (
        sample(n=4) >> score(verifier="sure") >> prune(by="sure", at_least=0.5, enough=1) >> vote()
    )
    result = solve(ScriptedEngine(says(12)), graph, verifiers={"sure": ByText(lambda _: 1.0)})
    assert result.facts.stopped_by == (Stop("prune", "enough 1"),)


def test_a_thought_that_is_ended_leaves_the_number_of_samples_alone() -> None:
    repeating = ScriptedEngine(lambda ask: Line("again\n\n" * 40 if ask.index == 0 else "x"))
    result = solve(repeating, think(max_thinking=200, slice_tokens=30, max_repeats=2))
    assert "thought_end" in {event.kind for event in result.trace}
    assert result.facts.stopped_by == () and not result.facts.is_cut


def test_what_the_budget_refused_is_a_shortfall() -> None:
    engine = ScriptedEngine(lambda ask: Line("x" * 90))
    result = solve(engine, sample(n=8) >> vote(), budget=Budget(tokens=40))
    # 40 tokens are two shares of 20, and not three of 16.
    assert (result.facts.asked, result.facts.granted) == (8, 2)
    assert result.facts.shortfall == "the budget of 40tokens is spent"
    assert result.facts.is_cut and not result.facts.is_expired


def test_room_that_could_not_be_kept_is_a_shortfall_too() -> None:
    # Eight parts are wanted, of four thoughts and four answers; 80 tokens are five parts of 16, and
    # so two thoughts and two answers. All that is asked for then is granted.
    engine = ScriptedEngine(lambda ask: Line("x" * 90))
    result = solve(engine, think(n=4), budget=Budget(tokens=80))
    assert (result.facts.asked, result.facts.granted, len(result.samples)) == (4, 4, 2)
    assert result.facts.shortfall and result.facts.is_cut


def test_a_deadline_is_said() -> None:
    result = solve(hanging_after(2), sample(n=3) >> vote(), budget=Budget(seconds=0.05))
    assert result.facts.is_expired and result.facts.is_cut
    assert result.facts.shortfall == "the deadline of 0.05 s passed"


def test_a_failed_node_is_named_with_its_error() -> None:
    error = ContextError("the prompt of 9 tokens does not fit")
    engine = ScriptedEngine(says(12), fail_at={0: error})
    result = solve(engine, sample(n=1) >> vote())
    assert result.facts.failures == (Failure("sample", "ContextError", str(error)),)
    assert str(result.facts.failures[0]) == f"sample: {error}"
    assert str(Failure("sample", "KeyError", "")) == "sample: KeyError"


class Grumbler(OperatorModel):
    """Warns twice of one thing and passes on what comes in."""

    @property
    def spec(self) -> Spec:
        return Spec()

    async def run(self, context: Context, inputs: Sequence[Inlet], outlet: Outlet) -> None:
        async for trajectory in context.merge(inputs):
            context.warn("it rains")
            outlet.send(trajectory)


def test_a_warning_is_a_fact_once_and_an_event_each_time() -> None:
    result = solve(ScriptedEngine(says(12)), sample(n=2) >> Pipeline.of(Grumbler()) >> vote())
    assert result.facts.warnings == ("it rains",) and result.reason == "it rains"
    assert [event.kind for event in result.trace].count("warning") == 2


def test_a_verifiers_failure_is_a_warning_wherever_it_is_asked() -> None:
    def fail(_: str) -> float:
        raise ValueError("cannot read it")

    said = "verifier 'prm' failed: ValueError: cannot read it"
    broken = {"prm": ByText(fail)}
    scored = solve(ScriptedEngine(says(12)), sample(n=1) >> score(verifier="prm"), verifiers=broken)
    assert scored.facts.warnings == (said,)
    searched = search(ScriptedEngine(digits()), Policy(width=2), verifier=ByText(fail))
    assert searched.facts.warnings == (said,)


def test_a_search_reports_its_figures_as_a_value() -> None:
    result = search(ScriptedEngine(digits(depth=3)), tree_search(policy=Policy(width=4)))
    (figures,) = result.facts.searches
    assert isinstance(figures, SearchFigures)
    # Four levels of four nodes, three of digits and the last of solutions.
    assert (figures.steps, figures.finished) == (16, 4)
    (event,) = [event for event in result.trace if event.kind == "search"]
    assert {k: v for k, v in event.fields.items() if k != "tree"} == asdict(figures)


def test_facts_come_back_from_json() -> None:
    facts = RunFacts(
        asked=4,
        granted=3,
        aborted=1,
        shortfall="the budget of 40tokens is spent",
        stopped_by=(Stop("vote", "settled"),),
        warnings=("it rains",),
        failures=(Failure("a", "KeyError", "k"),),
        errors=("busy",),
        searches=(SearchFigures(1, 1, 2, 2.0, 1.0, 8.0, 4.0, 8.0, 4.0, 8, 0, 0, 4.0),),
    )
    assert RunFacts.from_values(json.loads(json.dumps(asdict(facts)))) == facts
    assert facts.reason(has_answer=True) == (
        "a: k; the budget of 40tokens is spent; it rains; busy"
    )


def test_without_any_fact_there_still_is_a_reason_for_no_answer() -> None:
    assert RunFacts().reason(has_answer=True) == ""
    assert RunFacts().reason(has_answer=False) == "no trajectory gave an answer"


def result_of(answer: str) -> Result:
    support = Support(votes=3, voters=4, weight=3.0, probability=0.9)
    usage = Usage(generated_tokens=1234, seconds=2.0)
    found = Answer(answer, answer, support)
    return Result(Problem("p<1>"), found, "", (), usage, (), 7, "vote", "engine")


def test_a_result_is_shown_as_a_card_and_not_as_a_whole() -> None:
    whole = solve(ScriptedEngine(says(12)), sample(n=8) >> vote())
    assert len(repr(whole)) < 300
    assert repr(result_of("56")) == (
        "Result(problem='p<1>', answer='56', votes='3 of 4', samples=0, tokens=1234, "
        "seconds=2.0, preset='vote', seed=7, engine='engine')"
    )


def test_the_card_of_a_notebook_is_safe_html() -> None:
    page = result_of("<b>" + "x" * 500)._repr_html_()
    assert "p&lt;1&gt;" in page and "&lt;b&gt;xxx" in page and "<b>" not in page
    assert len(page) < 2_000 and "…" in page
