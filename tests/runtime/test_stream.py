"""Requests: when they are charged, and when a resumed run asks the engine again."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing

import pytest

from tests.support.solving import PROBLEM, SAMPLING, solve
from tts import prompts
from tts.engine.scripted import Ask, Line, ScriptedEngine
from tts.errors import EngineError
from tts.operators.base import OperatorModel
from tts.operators.sample import sample
from tts.operators.vote import vote
from tts.pipeline import Pipeline
from tts.protocols import Context, Inlet, Outlet, Spec
from tts.runtime import stream
from tts.runtime.job import Job
from tts.runtime.log import GenerationLog
from tts.runtime.runtime import Runtime
from tts.seeds import derive_seed
from tts.trajectories import to_trajectory
from tts.types import Budget, GenerationRequest, Result, Usage

RIGHT = r"it is \boxed{12}"
FOREVER = 60.0


def first_say_it(count: int) -> ScriptedEngine:
    """The first seeds say 12 at once, the others never end."""
    first = derive_seed(0, PROBLEM.id, "sample")
    return ScriptedEngine(lambda ask: Line(RIGHT, ticks=1, hangs=ask.seed - first >= count))


class Hoarder(OperatorModel):
    """Asks for two completions and reads one of them."""

    @property
    def spec(self) -> Spec:
        return Spec(accepts=None, emits="finished", fan_out=1)

    async def run(self, context: Context, inputs: Sequence[Inlet], outlet: Outlet) -> None:
        request = GenerationRequest(prompts.solve(context.problem), context.sampling)
        unread = context.generate(request)
        async with aclosing(context.generate(request)) as read:
            async for completion in read:
                outlet.send(to_trajectory(context, completion, seed=0))
        assert await unread.aclose() == Usage()


def test_a_request_that_is_never_read_costs_nothing_and_keeps_nothing() -> None:
    engine = ScriptedEngine(lambda ask: Line("x" * 90))
    result = solve(engine, Pipeline.of(Hoarder()), budget=Budget(tokens=40))
    # With half of the budget reserved for the other request, this one would end at 20 tokens.
    assert result.usage.generated_tokens == 40 and len(engine.requests) == 1
    assert (result.facts.asked, result.facts.granted, result.facts.shortfall) == (1, 1, "")
    assert [event.kind for event in result.trace].count("request") == 1


class Ponder(OperatorModel):
    """Wants no more than three, and takes its time to know."""

    @property
    def spec(self) -> Spec:
        return Spec(max_outputs=3)

    async def run(self, context: Context, inputs: Sequence[Inlet], outlet: Outlet) -> None:
        read = 0
        async for trajectory in context.merge(inputs):
            outlet.send(trajectory)
            read += 1
            if read == 3:
                await asyncio.sleep(0.1)  # such as a verifier that runs code
                return


def test_a_slow_decision_is_waited_for_when_it_is_replayed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "_DECISION_SECONDS", FOREVER)
    graph, log = sample(n=5) >> Pipeline.of(Ponder()) >> vote(), GenerationLog()
    first = solve(first_say_it(3), graph, log=log)
    assert first.facts.aborted == 2
    again = first_say_it(5)
    second = solve(again, graph, log=log)
    assert again.requests == []
    assert (second.answer, second.facts.aborted) == (first.answer, 2)
    assert second.usage.generated_tokens == first.usage.generated_tokens


def test_a_reader_that_decides_otherwise_gets_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stream, "_DECISION_SECONDS", 0.01)
    log = GenerationLog()
    solve(first_say_it(3), sample(n=5) >> Pipeline.of(Ponder()) >> vote(), log=log)
    engine = first_say_it(5)
    result = solve(engine, sample(n=5) >> vote(), log=log)
    assert sum(request.n for request in engine.requests) == 2
    assert result.answer is not None and result.answer.support.votes == 5


def run(engine: ScriptedEngine, log: GenerationLog, *, ticks: int | None = None) -> Result | None:
    """Draw and vote; with `ticks`, the run is cancelled after so many."""

    async def main() -> Result | None:
        async with Runtime(engine, log=log) as runtime:
            job = Job(sample(n=5) >> vote(), PROBLEM, SAMPLING)
            task = asyncio.create_task(runtime.run(job))
            if ticks is None:
                return await asyncio.wait_for(task, 10)
            for _ in range(ticks):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            return None

    return asyncio.run(main())


def test_what_a_cancelled_run_gave_up_is_no_decision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "_DECISION_SECONDS", FOREVER)
    log, cut = GenerationLog(), first_say_it(3)
    assert run(cut, log, ticks=30) is None
    assert cut.num_running == 0 and len(cut.requests) == 1
    engine = first_say_it(5)
    resumed = run(engine, log)
    assert resumed is not None and resumed.answer is not None
    assert resumed.answer.support.votes == 5
    assert sum(request.n for request in engine.requests) == 2


def test_what_the_deadline_ended_is_no_decision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "_DECISION_SECONDS", FOREVER)
    log = GenerationLog()
    short = solve(first_say_it(3), sample(n=5) >> vote(), budget=Budget(seconds=0.05), log=log)
    assert short.facts.is_expired and short.facts.aborted == 2
    resumed = run(first_say_it(5), log)
    assert resumed is not None and resumed.usage.calls == 5


def test_what_a_dead_engine_left_is_no_decision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "_DECISION_SECONDS", FOREVER)

    def other(ask: Ask) -> Line:
        return Line(RIGHT, ticks=1, hangs=ask.index > 0)

    log = GenerationLog()
    with pytest.raises(EngineError):
        run(ScriptedEngine(other, die_at=5), log)
    engine = first_say_it(5)
    resumed = run(engine, log)
    assert resumed is not None and resumed.usage.calls == 5
    assert sum(request.n for request in engine.requests) == 4
