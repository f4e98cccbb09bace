"""Samples of another run: written down once where they are used, and never beyond the budget."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.solving import PROBLEM, SAMPLING, solve
from tests.support.values import completion
from tts.engine.scripted import Line, ScriptedEngine
from tts.operators.sample import sample
from tts.runtime.job import Job
from tts.runtime.log_file import LogFile, read_completions
from tts.runtime.runtime import Runtime
from tts.types import Budget, Sampling, Usage

MORE = replace(SAMPLING, logprobs=20, certainties=True)
SAID = r"it is \boxed{12}"


def drawn(path: Path, n: int, sampling: Sampling = SAMPLING) -> Path:
    """Draw samples into another run's log."""
    with LogFile(path) as log:
        solve(lambda _: Line(SAID), sample(n=n), log=log, sampling=sampling)
    return path


@pytest.mark.parametrize("sampling", [SAMPLING, MORE])
def test_what_was_reused_stands_in_the_log_even_where_it_reported_more(
    tmp_path: Path, sampling: Sampling
) -> None:
    other, own = drawn(tmp_path / "other.jsonl", 3, sampling), tmp_path / "own.jsonl"
    with LogFile(own) as log:
        log.load(other)
        solve(lambda _: Line("fresh"), sample(n=4), log=log)
    assert [line["text"] for line in read_completions(own)] == [SAID] * 3 + ["fresh"]
    engine = ScriptedEngine(lambda _: Line("fresh"))
    with LogFile(own) as log:
        solve(engine, sample(n=4), log=log)
    assert engine.requests == []


def test_a_resumed_run_keeps_what_it_has_and_writes_nothing_twice(tmp_path: Path) -> None:
    other, own = drawn(tmp_path / "other.jsonl", 3), tmp_path / "own.jsonl"
    for _ in range(2):
        with LogFile(own) as log:
            log.load(other)
            solve(lambda _: Line("fresh"), sample(n=3), log=log)
    assert len(list(read_completions(own))) == 3


def test_what_a_run_has_itself_stays_as_it_came(tmp_path: Path) -> None:
    other, own = tmp_path / "other.jsonl", tmp_path / "own.jsonl"
    for path, at in ((other, 1.0), (own, 5.0)):
        with LogFile(path) as log:
            log.of("p", 0).record("k", 7, completion(0, text=path.stem), node="sample", at=at)
    with LogFile(own) as log:
        log.load(other)
        (found,) = log.of("p", 0).find("k", [7])
    assert (found.completion.text, found.at) == ("own", 5.0)


def test_no_more_is_asked_for_than_the_budget_still_allows(tmp_path: Path) -> None:
    path, run_budget = tmp_path / "own.jsonl", Budget(tokens=5 * SAMPLING.max_tokens)

    async def session(engine: ScriptedEngine, log: LogFile, paid: int) -> None:
        async with Runtime(engine, log=log, run_budget=run_budget) as runtime:
            runtime.ledger.record(engine.info, Usage(generated_tokens=paid, calls=1))
            job = Job(sample(n=5), PROBLEM, SAMPLING)
            await asyncio.wait_for(runtime.run(job), 0.2)

    hanging = ScriptedEngine(lambda _: Line("", hangs=True))
    with LogFile(path) as log, pytest.raises(TimeoutError):
        asyncio.run(session(hanging, log, 0))
    engine = ScriptedEngine(lambda _: Line(SAID))
    with LogFile(path) as log:
        log.load(drawn(tmp_path / "other.jsonl", 1, MORE))
        asyncio.run(session(engine, log, run_budget.tokens or 0))
    assert engine.requests == []
