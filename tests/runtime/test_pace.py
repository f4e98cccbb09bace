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
from tts.runtime.ledger import Ledger
from tts.runtime.log import GenerationLog
from tts.runtime.pace import Account, ProblemPace
from tts.runtime.replay import Clock
from tts.runtime.runtime import Runtime
from tts.types import Budget, Problem, Sampling


def test_the_first_problem_gets_the_mean() -> None:
    assert Account(100.0).share("a", 0.0) == 100.0


def test_what_is_left_over_goes_to_those_that_follow() -> None:
    account = Account(100.0)
    account.share("a", 50.0)
    account.close("a", 60.0)
    # 40 left over, shared among four problems at least: e ** (40 / 400) times the mean.
    assert account.share("b", 0.0) == pytest.approx(100 * math.exp(0.1))
    account.close("b", 180.0)
    assert account.share("c", 0.0) == pytest.approx(100 * math.exp(-0.1))


def test_what_runs_beyond_the_mean_counts_at_once_and_once() -> None:
    account = Account(100.0)
    account.share("a", 300.0)
    assert account.share("b", 0.0) == pytest.approx(100 * math.exp(-0.5))
    account.share("a", 300.0)
    account.close("a", 300.0)
    account.close("a", 300.0)
    assert account.share("b", 0.0) == pytest.approx(100 * math.exp(-0.5))


@pytest.mark.parametrize("bias", [0.6, 1.0, 1.5])
def test_a_wrong_forecast_is_made_up_for(bias: float) -> None:
    """Problems cost `bias` times their share, with much noise; two hundred come one by one."""
    rng, account, spent = random.Random(0), Account(100.0), 0.0
    for place in range(200):
        cost = bias * account.share(place, 0.0) * rng.expovariate(1.0)
        account.close(place, cost)
        spent += cost
    assert spent / 200 == pytest.approx(100.0, rel=0.03)  # noise alone: 7 % without a pace


def test_a_resumed_problem_is_told_what_it_was_told() -> None:
    log = GenerationLog()

    async def shares(account: Account, number: int) -> list[float]:
        own = log.of("p", 0)
        past = own.arrivals("pace", 1, node="sample", clock=Clock(own.past))
        pace = ProblemPace(account, Ledger(Budget()), "tokens", past)
        return [pace.share() for _ in range(number)]

    assert asyncio.run(shares(Account(100.0), 2)) == [100.0, 100.0]
    richer = Account(100.0)
    richer.share("before", 0.0)
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
