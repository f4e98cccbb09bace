"""What was in flight at a kill is charged, what was granted is granted again."""

import asyncio
from pathlib import Path

import pytest

from tests.support.logs import cut_log, num_completions
from tests.support.scripts import place
from tests.support.solving import PROBLEM, SAMPLING, solve
from tts.engine.scripted import Ask, Line, ScriptedEngine
from tts.operators.sample import sample
from tts.operators.vote import vote
from tts.runtime.job import Job
from tts.runtime.ledger import Ledger
from tts.runtime.log_file import LogFile
from tts.runtime.runtime import Runtime
from tts.types import Budget, Event, ModelInfo, Result, Usage

RIGHT = r"\boxed{12}"  # 10 tokens
GRAPH = sample(n=4) >> vote()


def first_ends(count: int) -> ScriptedEngine:
    """The first samples end after ten ticks, the others never do."""
    return ScriptedEngine(lambda ask: Line(RIGHT, hangs=ask.index >= count))


def cancelled_after(ticks: int, engine: ScriptedEngine, path: Path) -> None:
    """Run in a session that is interrupted after some turns of the event loop."""

    async def main() -> None:
        with LogFile(path) as log:
            async with Runtime(engine, log=log) as runtime:
                task = asyncio.create_task(runtime.run(Job(GRAPH, PROBLEM, SAMPLING)))
                for _ in range(ticks):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait([task])

    asyncio.run(main())


def lost(path: Path, *, finished: bool = False) -> Usage:
    with LogFile(path, finished=[(PROBLEM.id, 0)] if finished else []) as log:
        return log.lost


def killed(path: Path, kept: int) -> None:
    """Leave the log of a whole run as a kill after `kept` completions does."""
    with LogFile(path) as log:
        solve(ScriptedEngine(lambda ask: Line(RIGHT)), GRAPH, log=log)
    cut_log(path, kept)


@pytest.mark.parametrize("kept", range(5))
def test_calls_in_flight_at_a_kill_are_lost_at_their_full_length(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "log.jsonl"
    killed(path, kept)
    usage, calls = lost(path), 4 - kept
    assert (usage.calls, usage.estimated_calls) == (calls, calls)
    assert usage.generated_tokens == usage.estimated_tokens == calls * 500  # `max_tokens` of each


def test_what_an_interrupted_session_had_counted_is_lost_exactly(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    engine = first_ends(1)
    cancelled_after(60, engine, path)
    usage = lost(path)
    # Three samples had said all of their ten tokens and went on waiting; one had ended.
    assert (usage.calls, usage.generated_tokens, usage.estimated_tokens) == (3, 30, 0)


def test_several_kills_add_up_and_a_record_holds_its_own_session(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    killed(path, 1)
    with LogFile(path) as log:  # a second session, which is killed after one more
        solve(ScriptedEngine(lambda ask: Line(RIGHT)), GRAPH, log=log)
    cut_log(path, 2)
    assert lost(path).generated_tokens == (3 + 2) * 500
    with LogFile(path) as log:
        whole = solve(ScriptedEngine(lambda ask: Line(RIGHT)), GRAPH, log=log)
    assert lost(path, finished=True).generated_tokens == (3 + 2) * 500
    assert whole.usage.generated_tokens == 40, "the problem's own figure stays what it was"


def test_a_failed_call_was_paid_for(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with LogFile(path) as log:
        failing = ScriptedEngine(lambda ask: Line(RIGHT, error="busy" if ask.index else None))
        solve(failing, GRAPH, log=log)
    assert lost(path, finished=True) == Usage(), "it is in the problem's record"
    usage = lost(path)  # the process was killed before there was one
    assert (usage.calls, usage.generated_tokens, usage.estimated_tokens) == (3, 30, 0)


def test_an_early_stop_is_no_loss(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    early = sample(n=5) >> vote(stop="settled")
    with LogFile(path) as log:
        result = solve(first_ends(3), early, log=log)
    assert result.facts.aborted == 2
    assert lost(path) == Usage(), "a resumed run charges it when it takes the decision again"


def test_another_runs_log_brings_no_losses(tmp_path: Path) -> None:
    killed(tmp_path / "other.jsonl", 1)
    with LogFile(tmp_path / "log.jsonl") as log:
        log.load(tmp_path / "other.jsonl")
        assert log.lost == Usage()


def say(ask: Ask) -> Line:
    """Sample i has 20 + 10 i tokens."""
    return Line("x" * 10 * (1 + place(ask)) + RIGHT)


@pytest.mark.parametrize("kept", range(5))
def test_recorded_samples_are_found_whatever_is_left_of_the_budget(
    tmp_path: Path, kept: int
) -> None:
    """400 tokens among four samples are 100 each; the run has spent some on others meanwhile."""
    path = tmp_path / "log.jsonl"
    with LogFile(path) as log:
        whole = run(log, spent=0)
    assert [event.fields["max_tokens"] for event in whole[1]] == [100]
    cut_log(path, kept)
    assert num_completions(path) == kept
    with LogFile(path) as log:
        (generated, calls), requests, engine = run(log, spent=150)
    # 250 tokens are left of the run's 400. Those that are recorded keep their place, and as many
    # of the others follow as fit at 100 tokens each.
    missing = min(4 - kept, (400 - 150 - 100 * kept) // 100) if kept < 3 else 0
    assert sum(request.n for request in engine.requests) == missing
    assert calls == kept + missing
    assert generated == sum(20 + 10 * i for i in range(kept + missing))
    assert requests[0].fields["recorded"] == kept


def run(log: LogFile, *, spent: int) -> tuple[tuple[int | None, int], list[Event], ScriptedEngine]:
    engine = ScriptedEngine(say)

    async def main() -> Result:
        async with Runtime(engine, log=log, run_budget=Budget(tokens=400)) as runtime:
            runtime.ledger.record(engine.info, Usage(generated_tokens=spent))
            return await runtime.run(Job(GRAPH, PROBLEM, SAMPLING))

    result = asyncio.run(main())
    requests = [event for event in result.trace if event.kind == "request"]
    return (result.usage.generated_tokens, result.usage.calls), requests, engine


def test_renewed_grants_never_take_more_than_is_left() -> None:
    info = ModelInfo(name="m", fingerprint="f")
    ledger = Ledger(Budget(tokens=1_000, calls=6))
    grant = ledger.renew(info, n=8, recorded=3, max_tokens=200)
    # 3 x 200 are held for what is recorded; of the 400 that are left come two more.
    assert (grant.n, grant.open, grant.max_tokens) == (5, 5, 200)
    assert ledger.reserve(info, n=1, max_tokens=100).n == 0
    ledger.release(grant)
    assert ledger.reserve(info, n=5, max_tokens=200).n == 5
