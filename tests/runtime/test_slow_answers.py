"""Answers that take for ever to compare: a deadline ends the waiting, others go on."""

import asyncio
import time

import pytest

from tests.support.solving import events
from tests.support.towers import ENDLESS
from tts.answers.groups import AnswerChecker
from tts.engine.scripted import Ask, Line, ScriptedEngine
from tts.operators.sample import sample
from tts.operators.vote import vote
from tts.runtime.executor import Job
from tts.runtime.runtime import Runtime
from tts.types import Budget, Problem, Result, Sampling

SAMPLING = Sampling(max_tokens=100)


def towers(ask: Ask) -> Line:
    if "easy" in ask.prompt:
        return Line(rf"\boxed{{{('x+1', '1+x')[ask.index % 2]}}}")
    return Line(rf"\boxed{{{ENDLESS[ask.index % 2]}}}")


def test_a_deadline_ends_comparisons() -> None:
    async def run() -> tuple[Result, float]:
        runtime = Runtime(ScriptedEngine(towers))
        runtime.checker = AnswerChecker(timeout_seconds=60.0)
        try:
            problem = Problem("p", "Raise it.", answer_type="math")
            job = Job(sample(4) >> vote(), problem, SAMPLING, budget=Budget(seconds=3.0))
            started = time.monotonic()
            return await runtime.run(job), time.monotonic() - started
        finally:
            runtime.close()

    result, seconds = asyncio.run(run())
    assert events(result, "deadline")
    assert seconds < 5.0
    assert result.answer is not None  # by form: two votes for each tower
    assert (result.answer.support.votes, result.answer.support.voters) == (2, 4)


@pytest.mark.slow
def test_other_problems_do_not_wait_for_a_slow_one() -> None:
    async def run() -> list[str]:
        runtime = Runtime(ScriptedEngine(towers))
        runtime.checker = AnswerChecker(timeout_seconds=60.0, max_workers=2)
        order = []
        try:
            pairs = (("x+2", "2+x"), ("x+3", "3+x"))  # start both processes
            await asyncio.gather(*(runtime.checker.aequal(*pair, "math") for pair in pairs))
            problems = [Problem(n, n, answer_type="math") for n in ("slow", "easy 1", "easy 2")]
            running = runtime.run_many(
                sample(2) >> vote(), problems, sampling=SAMPLING, budget=Budget(seconds=8.0)
            )
            async with running as results:
                async for result in results:
                    assert result.answer is not None
                    order.append((result.problem.id, result.answer.support.votes))
        finally:
            runtime.close()
        return order

    assert asyncio.run(run())[:2] in (
        [("easy 1", 2), ("easy 2", 2)],
        [("easy 2", 2), ("easy 1", 2)],
    )
