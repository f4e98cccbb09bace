"""From cheap samples to dear ones, and from a draft engine to a target engine."""

from dataclasses import replace

import pytest

from tests.support.scripts import in_order, says
from tests.support.solving import solve
from tts.engine.scripted import ALL, ScriptedEngine
from tts.errors import CapabilityError, InputError
from tts.operators.delegate import delegate
from tts.operators.fuse import fuse
from tts.operators.sample import sample
from tts.operators.vote import vote
from tts.parts import catalog
from tts.pipeline import Pipeline
from tts.types import Budget


def cascade(**parameters: object) -> Pipeline:
    module = catalog.load("strategy", "cascade")
    pipeline: Pipeline = module.build(module.Config(**parameters))
    return pipeline


def test_agreement_stands_and_disagreement_asks_further() -> None:
    # Four equal votes: 1 - 2 ** -5 = 0.97.
    assert solve(ScriptedEngine(in_order(12)), cascade()).usage.calls == 4
    torn = solve(ScriptedEngine(in_order(12, 13)), cascade(parameters={"n": 8}))
    assert torn.usage.calls == 4 + 8


def test_the_target_is_asked_only_where_the_draft_is_torn() -> None:
    asked = cascade(draft="draft", parameters={"n": 3})
    draft, target = ScriptedEngine(says(12)), ScriptedEngine(says(7))
    sure = solve(target, asked, engines={"draft": draft})
    assert sure.answer is not None and sure.answer.text == "12"
    assert not target.requests and sum(r.n for r in draft.requests) == 4
    torn_draft, target = ScriptedEngine(says(12, 13)), ScriptedEngine(says(7))
    torn = solve(target, asked, engines={"draft": torn_draft})
    assert torn.answer is not None and torn.answer.text == "7"
    assert sum(r.n for r in target.requests) == 3 and torn.usage.calls == 7


def test_each_engine_is_counted_as_its_own() -> None:
    small, large = ScriptedEngine(says(12)), ScriptedEngine(says(12))
    small.info = replace(small.info, parameters=10)
    large.info = replace(large.info, parameters=1_000)
    one = solve(
        large, delegate(body=sample(n=2) >> vote(), engine="draft"), engines={"draft": small}
    )
    other = solve(large, sample(n=2) >> vote(), engines={"draft": small})
    assert one.usage.flops is not None and other.usage.flops is not None
    assert one.usage.flops < other.usage.flops / 5  # attention is the same for both


def test_one_budget_holds_over_both_engines() -> None:
    asked = cascade(draft="draft", parameters={"n": 8})
    engines = {"draft": ScriptedEngine(says(12, 13))}
    result = solve(ScriptedEngine(says(7)), asked, engines=engines, budget=Budget(calls=6))
    assert result.usage.calls == 6


def test_a_missing_engine_is_refused_before_a_sample() -> None:
    engine = ScriptedEngine(says(12))
    with pytest.raises(CapabilityError, match="needs the engine 'draft'; this run has no other"):
        solve(engine, cascade(draft="draft"))
    assert not engine.requests
    with pytest.raises(InputError, match="unknown strategy 'nothing'"):
        cascade(then="nothing")


def test_a_body_without_an_engine_asks_the_runs_own() -> None:
    """So that a search may try the own model in the place of another."""
    own, other = ScriptedEngine(says(7)), ScriptedEngine(says(12))
    body = sample(n=2) >> vote()
    result = solve(own, delegate(body=body, engine=""), engines={"other": other})
    assert result.answer is not None and result.answer.text == "7"
    assert (len(own.requests), len(other.requests)) == (1, 0)
    mute = ScriptedEngine(says(7), capabilities=replace(ALL, own_prompts=False))
    fused = sample(n=2) >> fuse()
    with pytest.raises(CapabilityError, match="which ScriptedEngine"):
        solve(mute, delegate(body=fused, engine=""), engines={"other": other})
