"""Samples of several engines in one vote, under one budget."""

from dataclasses import replace

import pytest

from tests.support.scripts import says
from tests.support.solving import solve
from tests.support.verifiers import ByText
from tts.engine.scripted import ScriptedEngine
from tts.errors import BudgetError, CapabilityError
from tts.parts import catalog
from tts.pipeline import Pipeline
from tts.types import Budget


def mixture(**parameters: object) -> Pipeline:
    module = catalog.load("strategy", "mixture")
    pipeline: Pipeline = module.build(module.Config(**parameters))
    return pipeline


def asked(engine: ScriptedEngine) -> int:
    return sum(request.n for request in engine.requests)


@pytest.mark.parametrize(
    ("n", "engines", "expected"),
    [
        (8, ("a", "b"), (0, 4, 4)),
        (7, ("a", "b"), (0, 4, 3)),
        (8, ("a", "a", "b", ""), (2, 4, 2)),  # two turns in four
        (1, ("b", "a"), (0, 0, 1)),
    ],
)
def test_engines_take_turns(n: int, engines: tuple[str, ...], expected: tuple[int, ...]) -> None:
    own, a, b = (ScriptedEngine(says(12)) for _ in range(3))
    result = solve(own, mixture(n=n, engines=engines), engines={"a": a, "b": b})
    assert (asked(own), asked(a), asked(b)) == expected
    assert result.usage.calls == n
    assert result.answer is not None and result.answer.support.votes == n


def test_all_vote_together() -> None:
    # 13, 13 | 12, 14 | 12, 12: three votes for 12 against two for 13.
    engines = {"a": ScriptedEngine(says(12, 14)), "b": ScriptedEngine(says(12, 12))}
    pipeline = mixture(n=6, engines=("", "a", "b"))
    result = solve(ScriptedEngine(says(13)), pipeline, engines=engines)
    assert result.answer is not None and result.answer.text == "12"
    assert result.answer.support.votes == 3 and result.answer.support.voters == 6


def test_a_verifier_chooses_among_all() -> None:
    # It likes the shortest best.
    engines = {"a": ScriptedEngine(says(7)), "b": ScriptedEngine(says(1234))}
    pipeline = mixture(n=6, engines=("b", "b", "a"), verifier="length")
    shortest = {"length": ByText(lambda text: 1 / len(text))}
    result = solve(ScriptedEngine(says(0)), pipeline, engines=engines, verifiers=shortest)
    assert result.answer is not None and result.answer.text == "7"


def test_each_engine_costs_what_its_own_model_costs() -> None:
    # Without a prefix cache each sample costs the same on an engine, so that parts add up.
    def sized(parameters: int) -> ScriptedEngine:
        engine = ScriptedEngine(says(12))
        engine.info = replace(engine.info, parameters=parameters)
        engine.capabilities = replace(engine.capabilities, prefix_cache=False)
        return engine

    def flops(*engines: str) -> float:
        others = {"a": sized(10_000), "b": sized(100_000)}
        result = solve(sized(1_000), mixture(n=4, engines=engines), engines=others)
        assert result.usage.flops is not None
        return result.usage.flops

    assert flops("a", "b") == pytest.approx((flops("a") + flops("b")) / 2)
    assert flops("a", "a", "", "b") == pytest.approx((2 * flops("a") + flops("") + flops("b")) / 4)


@pytest.mark.parametrize("calls", [2, 5])
def test_one_budget_holds_over_all_engines(calls: int) -> None:
    own, a = ScriptedEngine(says(12)), ScriptedEngine(says(12))
    budget = Budget(calls=calls)
    result = solve(own, mixture(engines=("", "a")), engines={"a": a}, budget=budget)
    assert result.usage.calls == calls == asked(own) + asked(a)


def test_a_budget_that_any_engine_cannot_count_is_refused() -> None:
    own, a = ScriptedEngine(says(12)), ScriptedEngine(says(12))
    a.capabilities = replace(a.capabilities, token_counts=False)
    with pytest.raises(BudgetError, match="reports no token counts"):
        solve(own, mixture(engines=("", "a")), engines={"a": a}, budget=Budget(tokens=500))
    assert not own.requests


def test_a_missing_engine_is_refused_before_a_sample() -> None:
    engine = ScriptedEngine(says(12))
    with pytest.raises(CapabilityError, match="needs the engine 'a'; this run has no other"):
        solve(engine, mixture(engines=("", "a")))
    assert not engine.requests


def test_an_engine_that_fails_leaves_the_others() -> None:
    a = ScriptedEngine(says(12), fail_at={0: CapabilityError("it cannot")})
    result = solve(ScriptedEngine(says(12)), mixture(engines=("", "a")), engines={"a": a})
    assert result.answer is not None and result.answer.support.voters == 4
    assert "it cannot" in result.reason
