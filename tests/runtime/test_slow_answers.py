"""Answers that take for ever to compare: a deadline ends the waiting, others go on."""

import asyncio
import time

import pytest

from tests.support.results import events
from tests.support.scripts import boxed
from tests.support.towers import ENDLESS
from tts.answers.groups import AnswerChecker
from tts.engine.scripted import Ask, Line, ScriptedEngine
from tts.operators.sample import sample
from tts.operators.vote import vote
from tts.runtime.job import Job
from tts.runtime.runtime import Runtime
from tts.types import Budget, Problem, Result, Sampling

SAMPLING = Sampling(max_tokens=100)


def towers(ask: Ask) -> Line:
    answers = ("x+1", "1+x") if "easy" in ask.prompt else ENDLESS
    return Line(boxed(answers[ask.index % 2]))


def with_much_time(runtime: Runtime) -> Runtime:
    """Give comparisons so much time that only something else can end them."""
    runtime.checker = AnswerChecker(timeout_seconds=60.0, max_workers=2)
    return runtime


@pytest.mark.slow
def test_a_deadline_ends_comparisons() -> None:
    async def run() -> tuple[Result, float]:
        async with with_much_time(Runtime(ScriptedEngine(towers))) as runtime:
            problem = Problem("p", "Raise it.", answer_type="math")
            budget = Budget(seconds=3.0)
            pipeline = sample(n=4) >> vote()
            started = time.monotonic()
            result = await runtime.run(Job.of(pipeline, problem, sampling=SAMPLING, budget=budget))
            return result, time.monotonic() - started

    result, seconds = asyncio.run(run())
    assert events(result, "deadline")
    assert seconds < 5.0
    assert result.answer is not None  # by form: two votes for each tower
    assert (result.answer.support.votes, result.answer.support.voters) == (2, 4)


@pytest.mark.slow
def test_other_problems_do_not_wait_for_a_slow_one() -> None:
    async def run() -> list[tuple[str, int]]:
        order = []
        async with with_much_time(Runtime(ScriptedEngine(towers))) as runtime:
            pairs = (("x+2", "2+x"), ("x+3", "3+x"))  # start both processes
            await asyncio.gather(*(runtime.checker.aequal(*pair, "math") for pair in pairs))
            problems = [Problem(n, n, answer_type="math") for n in ("slow", "easy 1", "easy 2")]
            budget = Budget(seconds=8.0)
            jobs = Job.of_all(sample(n=2) >> vote(), problems, sampling=SAMPLING, budget=budget)
            async with runtime.run_many(jobs) as results:
                async for result in results:
                    assert result.answer is not None
                    order.append((result.problem.id, result.answer.support.votes))
        return order

    order = asyncio.run(run())
    assert set(order[:2]) == {("easy 1", 2), ("easy 2", 2)}
    assert order[2] == ("slow", 1)
