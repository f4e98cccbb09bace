"""What a run's problems leave over is spent on those that follow, whatever was forecast."""

import asyncio
import math
import random

import pytest

from tests.support.scripts import in_order
from tts.allocation.pricing import PricedRule
from tts.engine.scripted import ScriptedEngine
from tts.operators.escalate import escalate
from tts.runtime.job import Job
from tts.runtime.log import GenerationLog
from tts.runtime.pace import Account, ProblemPace
from tts.runtime.replay import Clock
from tts.runtime.runtime import Runtime
from tts.types import Budget, Problem, Sampling


def account(*begun: str) -> Account:
    """An account of 100 a problem, with these problems under way."""
    made = Account(100.0)
    for name in begun:
        made.open(name)
    return made


def test_the_first_problem_gets_the_mean() -> None:
    assert account("a").share("a", 0.0) == 100.0


def test_what_is_left_over_goes_to_those_that_follow() -> None:
    shared = account("a")
    shared.close("a", 60.0)
    shared.open("b")
    # 40 left over, shared among four problems at least: e ** (40 / 400) times the mean.
    assert shared.share("b", 0.0) == pytest.approx(100 * math.exp(0.1))
    shared.close("b", 180.0)
    shared.open("c")
    assert shared.share("c", 0.0) == pytest.approx(100 * math.exp(-0.1))


def test_easy_problems_that_end_first_leave_nothing_to_hard_ones_that_began_before() -> None:
    shared = account("hard", "easy", "easier")
    shared.close("easy", 20.0)
    shared.close("easier", 10.0)
    assert shared.share("hard", 90.0) == 100.0
    shared.close("hard", 200.0)
    shared.open("next")
    # Now all three are known: 300 - 230.
    assert shared.share("next", 0.0) == pytest.approx(100 * math.exp(70 / 400))


def test_what_all_have_spent_beyond_their_means_counts_at_once() -> None:
    shared = account("a", "b")
    assert shared.share("a", 150.0) == 100.0  # b may yet be cheap
    assert shared.share("b", 130.0) == pytest.approx(100 * math.exp(-80 / 400))
    shared.close("b", 130.0)
    assert shared.share("a", 150.0) == pytest.approx(100 * math.exp(-80 / 400))
    shared.close("a", 150.0)
    shared.open("c")
    assert shared.share("c", 0.0) == pytest.approx(100 * math.exp(-80 / 400))


@pytest.mark.parametrize("bias", [0.6, 1.0, 1.5])
def test_a_wrong_forecast_is_made_up_for(bias: float) -> None:
    """Problems cost `bias` times their share, with much noise; two hundred come one by one."""
    rng, shared, spent = random.Random(0), account(), 0.0
    for place in range(200):
        shared.open(place)
        cost = bias * shared.share(place, 0.0) * rng.expovariate(1.0)
        shared.close(place, cost)
        spent += cost
    assert spent / 200 == pytest.approx(100.0, rel=0.03)  # noise alone: 7 % without a pace


def test_the_last_problems_get_what_the_first_ones_got() -> None:
    """Half of the problems cost 20 and end at once, half go on to thrice their share."""
    shared, under_way, told = account(), [], []
    for place in range(400):
        shared.open(place)
        under_way.append(place)
        told.append(shared.share(place, 20.0))
        if place % 2:
            shared.close(place, 20.0)
            under_way.remove(place)
        if len(under_way) > 32:
            first = under_way.pop(0)
            shared.close(first, 1.8 * shared.share(first, 150.0))
    assert 0.9 < sum(told[-80:]) / sum(told[80:160]) < 1.1
    assert min(told) > 70


def test_a_resumed_problem_is_told_what_it_was_told() -> None:
    log = GenerationLog()

    async def shares(shared: Account, number: int) -> list[float]:
        own = log.of("p", 0)
        past = own.arrivals("pace", 1, node="sample", clock=Clock(own.past))
        with ProblemPace(shared, lambda: 0.0, past) as pace:
            return [pace.share() for _ in range(number)]

    assert asyncio.run(shares(Account(100.0), 2)) == [100.0, 100.0]
    richer = account("before")
    richer.close("before", 0.0)
    told = asyncio.run(shares(richer, 3))
    assert told == [100.0, 100.0, pytest.approx(100 * math.exp(0.25), rel=1e-5)]


def test_a_run_spends_its_budget_and_no_more_though_the_rules_say_otherwise() -> None:
    """By its policy a share of four calls is four calls; in truth half of the problems want two."""
    often, seldom = (0.9, 0.0, 0.0, 0.0, 0.0, -1.0), (-1.0, *(0.0,) * 5)
    rules = (
        PricedRule(cost=1.0, price=0.1, weights=(seldom,) * 5),
        PricedRule(cost=4.0, price=0.01, weights=(often,) * 5),
        PricedRule(cost=16.0, price=0.0, weights=((1.0, *(0.0,) * 5),) * 5),
    )
    pipeline = escalate(sizes=(1, 2, 4, 8, 12, 16), rules=rules, share=4.0, unit="calls")

    async def run(number: int) -> int:
        problems = [Problem(f"p{i}", f"What is {i}?") for i in range(number)]
        jobs = (Job(pipeline.named("sample"), p, Sampling(max_tokens=16)) for p in problems)
        engine = ScriptedEngine(in_order(12))
        budget = Budget(calls=4 * number)
        async with (
            Runtime(engine, run_budget=budget, max_problems=4) as runtime,
            runtime.run_many(jobs) as results,
        ):
            return sum([result.usage.calls async for result in results])

    spent = asyncio.run(run(60))
    assert 0.9 * 240 <= spent <= 240
