"""Tree searches of several problems take turns where KV blocks are scarce."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from tests.support.searching import PROBLEM, DigitVerifier, digits, solutions
from tts.engine.scripted import INFO, Ask, Line, ScriptedEngine
from tts.operators.delegate import delegate
from tts.operators.tree_search import tree_search
from tts.operators.vote import vote
from tts.pipeline import Pipeline
from tts.runtime.job import Job
from tts.runtime.runtime import Runtime
from tts.search.policy import Decision, SearchPolicy
from tts.search.tree import SearchTree
from tts.strategies.rebase import Policy as Rebase
from tts.types import Budget, Result, Sampling

REBASE = Rebase(width=6)
NO_BUDGET = Budget()


def test_searches_go_on_as_those_before_them_leave_room() -> None:
    def begun(max_live_kv: float | None) -> tuple[list[int], dict[str, str]]:
        engine = ScriptedEngine(digits(depth=3), info=replace(INFO, kv_blocks=40))
        problems = [replace(PROBLEM, id=f"p{number}") for number in range(4)]

        async def run() -> dict[str, str]:
            runtime = Runtime(engine, verifiers={"prm": DigitVerifier()}, max_live_kv=max_live_kv)
            pipeline = tree_search(policy=REBASE) >> vote(weights="prm")
            jobs = Job.of_all(pipeline, problems, sampling=Sampling(max_tokens=200))
            async with runtime, runtime.run_many(jobs) as results:
                return {r.problem.id: r.answer.text async for r in results if r.answer}

        answers = asyncio.run(run())
        return [request.priority for request in engine.requests], answers

    together, expected = begun(None)
    assert together[:4] == [0, 1, 2, 3]
    assert begun(1e6) == (together, expected)
    alone, answers = begun(0.01)
    assert alone == sorted(alone), "one after the other"
    assert answers == expected and len(answers) == 4


def first_beside_a_hanging_search(
    pipeline: Pipeline, *, budget: Budget = NO_BUDGET, engines: tuple[str, ...] = ()
) -> Result:
    """Return what comes of a pipeline while a search before it fills the KV cache and never ends.

    Args:
        pipeline: It and the search are to take turns.
        budget: Of the pipeline.
        engines: Further names of the one engine.
    """

    def say(ask: Ask) -> Line:
        return replace(digits(depth=3)(ask), hangs=not ask.request.priority)

    engine = ScriptedEngine(say, info=replace(INFO, kv_blocks=40))
    hanging, other = replace(PROBLEM, id="hangs"), replace(PROBLEM, id="other")
    jobs = [
        Job(tree_search(policy=REBASE), hanging, Sampling(max_tokens=200), priority=0),
        Job(pipeline, other, Sampling(max_tokens=200), budget=budget, priority=1),
    ]

    async def run() -> Result:
        runtime = Runtime(
            engine, verifiers={"prm": DigitVerifier()}, engines=dict.fromkeys(engines, engine)
        )
        async with runtime, runtime.run_many(jobs) as results:
            return await asyncio.wait_for(anext(results), 5)

    return asyncio.run(run())


@pytest.mark.parametrize("name", ["", "same"])
def test_a_search_that_waits_for_its_turn_ends_at_its_deadline(name: str) -> None:
    pipeline = (
        delegate(body=tree_search(policy=REBASE), engine=name)
        if name
        else tree_search(policy=REBASE)
    )
    result = first_beside_a_hanging_search(
        pipeline, budget=Budget(seconds=0.1), engines=("same",) if name else ()
    )
    assert result.problem.id == "other" and not solutions(result)
    assert "deadline" in result.reason


def test_a_search_that_wants_nothing_waits_for_nobody() -> None:
    class Idle(SearchPolicy):
        def decide(self, tree: SearchTree, rng: np.random.Generator) -> Decision:
            return Decision()

    assert first_beside_a_hanging_search(tree_search(policy=Idle())).problem.id == "other"
