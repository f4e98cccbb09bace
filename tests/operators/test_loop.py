"""Loops: rounds, conditions, and no barrier between rounds."""

import re
from collections.abc import Sequence
from dataclasses import replace

import pytest
from pydantic import ValidationError

from tests.support.results import answers, noted
from tests.support.scripts import boxed
from tests.support.solving import solve
from tts.engine.scripted import ALL, Ask, Line, ScriptedEngine
from tts.errors import CapabilityError, EngineError, ParameterError, PipelineError
from tts.operators._condition import Condition
from tts.operators.base import OperatorModel
from tts.operators.loop import Loop, loop
from tts.operators.refine import refine
from tts.operators.route import route
from tts.operators.sample import sample
from tts.operators.score import score
from tts.operators.select import select
from tts.operators.think import Think
from tts.operators.vote import vote
from tts.pipeline import Pipeline
from tts.protocols import Context, Inlet, Outlet, Spec, VerifierSpec
from tts.types import Score, Trajectory


class Value:
    """The score is the answer."""

    spec = VerifierSpec()

    async def score(self, context: Context, trajectories: Sequence[Trajectory]) -> list[Score]:
        return [Score(float(t.answer or 0)) for t in trajectories]

    async def aclose(self) -> None:
        pass


class Halve(OperatorModel):
    """Passes on every other trajectory."""

    @property
    def spec(self) -> Spec:
        return Spec()

    async def run(self, context: Context, inputs: Sequence[Inlet], outlet: Outlet) -> None:
        number = 0
        async for trajectory in context.merge(inputs):
            if number % 2 == 0:
                outlet.send(trajectory)
            number += 1


def count_up(ask: Ask) -> Line:
    """Draft i says i; a revision says one more than the attempt shown."""
    shown = re.findall(r"boxed\{(\d+)\}", ask.prompt)
    return Line(boxed(int(shown[-1]) + 1 if shown else ask.index))


STEP = refine() >> score(verifier="value")
VERIFIERS = {"value": Value()}


def test_each_leaves_when_its_condition_holds() -> None:
    body = loop(body=STEP, rounds=9, until=Condition(measure="value", at_least=3))
    result = solve(count_up, sample(n=3) >> body, verifiers=VERIFIERS)
    # 0 needs three rounds, 1 two, 2 one: six revisions and three drafts.
    assert answers(result)[:3] == ["3", "3", "3"]
    assert result.usage.calls == 9
    assert "loop/3/refine" in {e.node for e in result.trace}
    assert "loop/4/refine" not in {e.node for e in result.trace}


def test_the_last_round_lets_all_out() -> None:
    body = loop(body=STEP, rounds=2, until=Condition(measure="value", at_least=99))
    result = solve(count_up, sample(n=1) >> body, verifiers=VERIFIERS)
    assert result.answer is not None and result.answer.text == "2"
    assert result.usage.calls == 3


def test_what_comes_in_may_leave_at_once() -> None:
    until = Condition(measure="value", at_least=1)
    body = loop(body=STEP, until=until, check_first=True)
    result = solve(count_up, sample(n=2) >> score(verifier="value") >> body, verifiers=VERIFIERS)
    assert sorted(str(a) for a in answers(result)[:2]) == ["1", "1"]
    assert result.usage.calls == 3  # two drafts, and one revision of the 0


def test_a_round_that_leaves_one_trajectory_is_the_last() -> None:
    result = solve(
        count_up, sample(n=8) >> loop(body=Pipeline.of(Halve()), until_single=True, rounds=9)
    )
    # 8, 4, 2, 1
    assert len(result.trajectories) == 1
    rounds = {e.node for e in result.trace if e.node.startswith("loop/")}
    assert rounds == {f"loop/{number}/test_loop" for number in (1, 2, 3)}


def test_no_round_waits_for_the_slowest() -> None:
    def line(ask: Ask) -> Line:
        said = count_up(ask)
        return Line(said.text, hangs="Attempt" not in ask.prompt and ask.index == 1)

    body = loop(body=refine(), rounds=2)
    result = solve(line, sample(n=2) >> body >> vote(stop_at=0.7))
    assert result.answer is not None and result.answer.text == "2"


def test_a_body_that_has_enough_stops_what_feeds_the_loop() -> None:
    def line(ask: Ask) -> Line:
        return Line(boxed(7), hangs=ask.index == 3, ticks=1)

    result = solve(line, sample(n=4) >> loop(body=vote(stop_at=0.8), rounds=1))
    # Three equal votes: 1 - 0.5^4 = 0.94 >= 0.8 after two already; the fourth never ends.
    assert result.answer is not None and result.answer.text == "7"
    assert any(e.kind == "abort" for e in result.trace)


def test_a_decided_reader_cancels_the_rounds() -> None:
    def line(ask: Ask) -> Line:
        hangs = "Attempt" in ask.prompt and "boxed{0}" in ask.prompt
        return Line(count_up(ask).text, hangs=hangs, ticks=1)

    result = solve(line, sample(n=3) >> loop(body=refine(), rounds=1) >> vote(stop_at=0.7))
    assert result.answer is not None
    assert any(e.kind == "abort" for e in result.trace)


def test_loops_nest() -> None:
    inner = loop(body=refine(), rounds=2)
    result = solve(count_up, sample(n=1) >> loop(body=inner, rounds=3))
    assert result.answer is not None and result.answer.text == "6"
    assert "loop/3/loop/2/refine" in {e.node for e in result.trace}


def test_the_loop_asks_for_what_its_body_needs() -> None:
    spec = Loop(body=STEP, until=Condition(measure="value", at_least=1)).spec
    assert (spec.accepts, spec.emits, spec.verifiers, spec.scores) == (
        "finished",
        "finished",
        ("value",),
        (),
    )
    first = Loop(body=STEP, until=Condition(measure="value", at_least=1), check_first=True)
    assert first.spec.scores == ("value",)
    with pytest.raises(PipelineError, match="needs the score 'value'"):
        (sample(n=2) >> loop(body=select(by="value") >> refine())).check()


def test_nonsense_is_refused() -> None:
    with pytest.raises(ParameterError, match="loop: the body reads no trajectories"):
        loop(body=sample(n=2))
    with pytest.raises(ParameterError, match="which is not given"):
        loop(body=refine(), check_first=True)
    with pytest.raises(ValidationError, match="needs at_least or at_most"):
        Condition(measure="answer")
    with pytest.raises(PipelineError, match="cannot know how many"):
        loop(body=vote(stop="settled"))


def test_a_body_that_the_engine_cannot_run_is_refused_before_a_token_is_spent() -> None:
    plain = replace(ALL, token_ids=False)
    engine = ScriptedEngine(count_up, capabilities=plain)
    more = Pipeline.of(Think(slice_tokens=8, max_repeats=2))
    way = route(when=Condition(measure="support", at_least=0.9), otherwise=more)
    with pytest.raises(CapabilityError, match="'route' needs prompts as token ids"):
        solve(engine, sample(n=2) >> vote() >> way)
    assert engine.requests == []


def test_a_dead_engine_ends_the_run_from_within_a_body() -> None:
    engine = ScriptedEngine(count_up, die_at=30)
    with pytest.raises(EngineError, match="the engine died"):
        solve(engine, sample(n=2) >> loop(body=refine(), rounds=9))


def test_what_a_loop_drops_is_no_answer() -> None:
    result = solve(
        lambda ask: Line("nothing"),
        sample(n=2) >> loop(body=score(verifier="value") >> select(by="value"), rounds=2),
        verifiers=VERIFIERS,
    )
    assert result.answer is None
    assert noted(result, "warning")
