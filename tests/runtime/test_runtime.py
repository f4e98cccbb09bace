"""Whole pipelines on a scripted engine: streaming, early stop, budgets, failures, resume."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.logs import cut_log
from tts.engine.scripted import Ask, Line, ScriptedEngine
from tts.errors import BudgetError, ContextError, EngineError
from tts.operators.base import OperatorModel
from tts.operators.sample import sample
from tts.operators.score import score
from tts.operators.select import select
from tts.operators.vote import vote
from tts.pipeline import Pipeline
from tts.protocols import Capabilities, Context, Inlet, Outlet, Spec, VerifierSpec
from tts.runtime.job import Job
from tts.runtime.log import GenerationLog
from tts.runtime.log_file import LogFile
from tts.runtime.runtime import Runtime
from tts.seeds import derive_seed
from tts.types import (
    Budget,
    Problem,
    Result,
    Sampling,
    Score,
    ScoreRequest,
    StepScores,
    Trajectory,
    Usage,
)
from tts.verifiers.prm import PRM, Config

SAMPLING = Sampling(max_tokens=100)
PROBLEM = Problem(id="p", statement="What is 3 * 4?", answer_type="integer")
SEED = derive_seed(0, "p", "sample")
RIGHT, WRONG, OTHER = (rf"so it is \boxed{{{n}}}" for n in (12, 13, 14))


def by_seed(texts: Sequence[str], order: Sequence[int | None] = (None,)) -> ScriptedEngine:
    """Text and time of each sequence depend on its seed alone, as a resumed run needs it.

    Args:
        texts: By seed, starting over after the last.
        order: Ticks until the sequence ends, by seed; None is its length, -1 is never.
    """

    def line(ask: Ask) -> Line:
        ticks = order[(ask.seed - SEED) % len(order)]
        return Line(
            texts[(ask.seed - SEED) % len(texts)],
            ticks=None if ticks == -1 else ticks,
            hangs=ticks == -1,
        )

    return ScriptedEngine(line)


def solve(
    engine: ScriptedEngine,
    pipeline: Pipeline,
    *,
    budget: Budget | None = None,
    log: GenerationLog | None = None,
    verifiers: dict[str, Any] | None = None,
    sampling: Sampling = SAMPLING,
) -> Result:
    async def run() -> Result:
        async with Runtime(engine, log=log, verifiers=verifiers) as runtime:
            job = Job(pipeline, PROBLEM, sampling, budget=budget or Budget())
            return await runtime.run(job)

    result = asyncio.run(run())
    assert engine.num_running == 0, "no request is left running"
    return result


def voted(*, stop: str = "never", stop_at: float | None = None, n: int = 8) -> Pipeline:
    return sample(n=n) >> vote(stop=stop, stop_at=stop_at)  # type: ignore[arg-type]


class LengthVerifier:
    """Longer is better; fails on texts that hold "fail"."""

    spec = VerifierSpec()

    async def score(self, context: Context, trajectories: Sequence[Trajectory]) -> list[Score]:
        if any("fail" in t.text for t in trajectories):
            raise ValueError("cannot read it")
        return [Score(float(len(t.text))) for t in trajectories]

    async def aclose(self) -> None:
        pass


class Broken(OperatorModel):
    """Fails after the first trajectory."""

    @property
    def spec(self) -> Spec:
        return Spec()

    async def run(self, context: Context, inputs: Sequence[Inlet], outlet: Outlet) -> None:
        async for trajectory in context.merge(inputs):
            outlet.send(trajectory)
            raise RuntimeError("it broke")


class Spawner(OperatorModel):
    """Solves a sub-problem with a pipeline of its own."""

    @property
    def spec(self) -> Spec:
        return Spec(accepts=None, emits="finished", fan_out=None)

    async def run(self, context: Context, inputs: Sequence[Inlet], outlet: Outlet) -> None:
        part = Problem(id="part", statement="What is 3 * 2?", answer_type="integer")
        async for trajectory in context.spawn(voted(n=3), part, name="half"):
            outlet.send(trajectory)


def test_the_majority_wins_and_its_support_is_counted() -> None:
    result = solve(by_seed([RIGHT, RIGHT, WRONG, "no answer"]), voted())
    assert result.answer is not None
    assert result.answer.text == "12"
    assert (result.answer.support.votes, result.answer.support.voters) == (4, 6)
    assert result.usage.generated_tokens == 6 * len(RIGHT) + 2 * len("no answer")
    assert result.usage.calls == 8
    assert result.reason == ""


def test_tokens_of_cancelled_samples_are_counted_and_wasted() -> None:
    engine = by_seed([RIGHT], [1, 1, 1, 1, 1, -1])
    result = solve(engine, voted(stop="settled", n=6))
    tokens = len(RIGHT)
    # Four of six decide; the fifth had finished in the same turn or was cut, the sixth never ends.
    assert result.answer is not None and result.answer.support.votes == 4
    assert result.usage.generated_tokens is not None
    assert 4 * tokens < result.usage.generated_tokens < 6 * tokens
    assert result.usage.wasted_tokens == result.usage.generated_tokens - 4 * tokens
    assert result.usage.calls == 6


def test_a_decided_problem_does_not_wait_for_its_slowest_sample() -> None:
    engine = by_seed([RIGHT], [1, 1, 1, 1, -1])
    result = solve(engine, voted(stop_at=0.95, n=5))
    assert result.answer is not None and result.answer.support.votes == 4
    kinds = [event.kind for event in result.trace]
    assert kinds.index("stopped") < kinds.index("abort")


def test_without_any_answer_the_reason_says_so() -> None:
    result = solve(by_seed(["nothing here"]), voted())
    assert result.answer is None
    assert result.reason == "no trajectory gave an answer"
    assert result.usage.wasted_tokens == result.usage.generated_tokens


@pytest.mark.parametrize(
    ("line", "lack"),
    [
        (Line(" \n"), "all were empty"),
        (Line("on and " * 1000), "all were cut by the limit of their tokens"),
    ],
)
def test_the_reason_says_what_kept_every_sample_from_an_answer(line: Line, lack: str) -> None:
    result = solve(ScriptedEngine(lambda ask: line), voted())
    assert result.reason == f"no trajectory gave an answer: {lack}"


def test_the_best_score_wins_whatever_the_order_of_arrival() -> None:
    texts = [RIGHT, "a longer thought: " + WRONG, OTHER]
    for order in ([1, 2, 3], [3, 2, 1]):
        engine = by_seed(texts, order)
        pipeline = sample(n=3) >> score(verifier="length") >> select(by="length")
        result = solve(engine, pipeline, verifiers={"length": LengthVerifier()})
        assert result.answer is not None and result.answer.text == "13"


def test_a_failed_verifier_is_data_and_the_rest_goes_on() -> None:
    engine = by_seed([RIGHT, "fail " + WRONG])
    pipeline = sample(n=2) >> score(verifier="length") >> select(by="length")
    result = solve(engine, pipeline, verifiers={"length": LengthVerifier()})
    assert result.answer is not None and result.answer.text == "12"
    assert "verifier 'length' failed: ValueError: cannot read it" in result.reason


def test_failed_completions_are_data_and_the_rest_goes_on() -> None:
    engine = ScriptedEngine(lambda ask: Line(RIGHT, error=None if ask.index else "out of luck"))
    result = solve(engine, voted(n=3))
    assert result.answer is not None and result.answer.support.votes == 2
    assert "out of luck" in result.reason


def test_a_prompt_that_is_too_long_fails_its_problem_only() -> None:
    error = ContextError("the prompt of 9 tokens does not fit")
    result = solve(ScriptedEngine(lambda ask: Line(RIGHT), fail_at={0: error}), voted(n=1))
    assert result.answer is None
    assert result.reason == "sample: the prompt of 9 tokens does not fit"


def test_a_dead_engine_ends_the_run() -> None:
    with pytest.raises(EngineError):
        solve(ScriptedEngine(lambda ask: Line(RIGHT), die_at=3), voted())


def test_a_broken_operator_is_reported_and_what_it_sent_counts(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pipeline = sample(n=4) >> Pipeline.of(Broken()) >> vote()
    result = solve(by_seed([RIGHT]), pipeline)
    assert result.answer is not None and result.answer.support.voters == 1
    assert "test_runtime: it broke" in result.reason or "it broke" in result.reason


def test_a_spawned_pipeline_shares_ledger_and_trace() -> None:
    result = solve(by_seed([RIGHT]), Pipeline.of(Spawner()).named("split"))
    assert result.answer is not None and result.answer.support.votes == 3
    assert result.usage.calls == 3
    assert "split/half/sample" in {event.node for event in result.trace}


def test_seeds_do_not_depend_on_n() -> None:
    first = solve(by_seed([RIGHT]), voted(n=2)).trajectories
    second = solve(by_seed([RIGHT]), voted(n=5)).trajectories
    seeds = [{t.origin.index: t.origin.seed for t in ts[1:]} for ts in (first, second)]
    assert seeds[0].items() <= seeds[1].items()


def test_what_the_budget_does_not_buy_is_said() -> None:
    engine = by_seed(["x" * 90 + RIGHT])
    short = solve(engine, voted(n=8), budget=Budget(tokens=40))
    assert short.usage.generated_tokens == 40
    assert short.usage.calls == 2
    assert "the budget of 40tokens is spent" in short.reason
    unasked = by_seed([RIGHT])
    none = solve(unasked, voted(n=8), budget=Budget(tokens=10))
    assert none.usage.calls == 0 and none.answer is None
    assert unasked.requests == []
    assert "the budget of 10tokens is spent" in none.reason


def test_a_deadline_ends_with_what_there_is() -> None:
    engine = by_seed([RIGHT], [1, 1, -1])
    result = solve(engine, voted(n=3), budget=Budget(seconds=0.05))
    assert result.answer is not None and result.answer.support.votes == 2
    assert "deadline of 0.05 s passed" in result.reason
    assert result.usage.seconds is not None and result.usage.seconds < 2


def test_budgets_that_the_engine_cannot_count_are_refused() -> None:
    engine = ScriptedEngine(lambda ask: Line(RIGHT), capabilities=Capabilities(token_counts=False))
    with pytest.raises(BudgetError, match="reports no token counts"):
        solve(engine, voted(), budget=Budget(tokens=100))
    with pytest.raises(BudgetError, match="has no price"):
        solve(by_seed([RIGHT]), voted(), budget=Budget(usd=1.0))
    engine = by_seed([RIGHT])
    engine.info = replace(engine.info, kv_heads=None)
    with pytest.raises(BudgetError, match=r"shape of scripted is unknown.* budget flops instead"):
        solve(engine, voted(), budget=Budget(eflops=1e15))

    async def run() -> None:
        job = Job(voted(), PROBLEM, Sampling())
        async with Runtime(by_seed([RIGHT]), run_budget=Budget(sequential=100)) as runtime:
            await runtime.run(job)

    with pytest.raises(BudgetError, match="counted problem by problem"):
        asyncio.run(run())


def test_rounds_take_longer_than_any_chain_of_samples() -> None:
    at_once = solve(by_seed([RIGHT]), sample(n=3)).usage
    by_turns = solve(by_seed([RIGHT]), sample(n=3, batch=1) >> vote(stop="never")).usage
    tokens = len(RIGHT)  # one a character; nobody sees another's text
    assert (at_once.sequential_tokens, by_turns.sequential_tokens) == (tokens, tokens)
    assert (at_once.latency_tokens, by_turns.latency_tokens) == (tokens, 3 * tokens)
    limited = solve(
        by_seed([RIGHT]),
        sample(n=3, batch=1) >> vote(stop="never"),
        budget=Budget(sequential=2 * tokens + 15),
    )
    assert len(limited.samples) == 2 and "sequential is spent" in limited.reason


@settings(max_examples=60, deadline=None)
@given(
    tokens=st.none() | st.integers(1, 400),
    calls=st.none() | st.integers(1, 12),
    n=st.integers(1, 12),
    stop=st.sampled_from(["never", "settled"]),
    failing=st.sets(st.integers(0, 11), max_size=3),
)
def test_never_over_budget(
    tokens: int | None, calls: int | None, n: int, stop: str, failing: set[int]
) -> None:
    texts = [RIGHT, WRONG, "x" * 70, OTHER]
    engine = ScriptedEngine(
        lambda ask: Line(texts[ask.index % 4], error="failed" if ask.index in failing else None)
    )
    result = solve(engine, voted(stop=stop, n=n), budget=Budget(tokens=tokens, calls=calls))
    assert (result.usage.generated_tokens or 0) <= (tokens or 10**9)
    assert result.usage.calls <= (calls or 10**9)


def test_a_second_run_with_the_same_log_asks_nothing_of_the_engine(tmp_path: Path) -> None:
    texts = [RIGHT, WRONG, RIGHT]
    with LogFile(tmp_path / "log.jsonl") as log:
        first = solve(by_seed(texts), voted(), log=log)
    engine = by_seed(texts)
    with LogFile(tmp_path / "log.jsonl") as log:
        second = solve(engine, voted(), log=log)
    assert engine.requests == []
    assert second.answer == first.answer
    assert second.usage.generated_tokens == first.usage.generated_tokens
    assert second.usage.reused_tokens == first.usage.generated_tokens
    assert first.usage.reused_tokens == 0


@pytest.mark.parametrize(
    ("first", "then", "is_asked"),
    [
        (replace(SAMPLING, logprobs=20, certainties=True), SAMPLING, False),
        (replace(SAMPLING, logprobs=20, certainties=True), replace(SAMPLING, logprobs=1), False),
        (replace(SAMPLING, certainties=True), replace(SAMPLING, logprobs=1), True),
        (SAMPLING, replace(SAMPLING, certainties=True), True),
        (replace(SAMPLING, logprobs=20), replace(SAMPLING, temperature=0.1), True),
    ],
)
def test_what_was_recorded_with_more_values_serves_a_run_that_wants_fewer(
    tmp_path: Path, first: Sampling, then: Sampling, is_asked: bool
) -> None:
    texts = [RIGHT, WRONG, RIGHT]
    with LogFile(tmp_path / "log.jsonl") as log:
        whole = solve(by_seed(texts), voted(n=3), log=log, sampling=first)
    engine = by_seed(texts)
    with LogFile(tmp_path / "log.jsonl") as log:
        again = solve(engine, voted(n=5), log=log, sampling=then)
    assert sum(request.n for request in engine.requests) == (5 if is_asked else 2)
    assert [t.text for t in again.trajectories[:3]] == [t.text for t in whole.trajectories[:3]]


def test_an_early_stop_replays_with_the_same_decision_and_the_same_cost(tmp_path: Path) -> None:
    def engine() -> ScriptedEngine:
        return by_seed([RIGHT], [1, 1, 1, 1, -1])

    with LogFile(tmp_path / "log.jsonl") as log:
        first = solve(engine(), voted(stop_at=0.95, n=5), log=log)
    again = engine()
    with LogFile(tmp_path / "log.jsonl") as log:
        second = solve(again, voted(stop_at=0.95, n=5), log=log)
    assert again.requests == []
    assert second.answer == first.answer
    assert second.usage.generated_tokens == first.usage.generated_tokens
    assert second.usage.calls == first.usage.calls


@pytest.mark.parametrize("kept", range(9))
def test_a_killed_run_samples_only_what_is_missing(tmp_path: Path, kept: int) -> None:
    texts = [RIGHT, WRONG, RIGHT]
    path = tmp_path / "log.jsonl"
    with LogFile(path) as log:
        whole = solve(by_seed(texts), voted(), log=log)
    cut_log(path, kept)
    engine = by_seed(texts)
    with LogFile(path) as log:
        resumed = solve(engine, voted(), log=log)
    assert sum(request.n for request in engine.requests) == 8 - kept
    assert resumed.answer == whole.answer
    assert {t.id: t.text for t in resumed.trajectories} == {
        t.id: t.text for t in whole.trajectories
    }


def many(
    engine: ScriptedEngine, act: Callable[[Runtime, list[Problem]], Awaitable[list[Result]]]
) -> list[Result]:
    async def run() -> list[Result]:
        problems = [Problem(id=f"p{i}", statement=f"{i}?") for i in range(10)]
        async with Runtime(engine, max_problems=4) as runtime:
            return await act(runtime, problems)

    return asyncio.run(run())


def test_many_problems_give_the_same_results_as_one_by_one() -> None:
    texts = [RIGHT, WRONG, RIGHT, OTHER]

    async def together(runtime: Runtime, problems: list[Problem]) -> list[Result]:
        async with runtime.run_many(Job.of_all(voted(), problems, seed=3)) as results:
            return [result async for result in results]

    async def apart(runtime: Runtime, problems: list[Problem]) -> list[Result]:
        return [await runtime.run(Job(voted(), p, Sampling(), seed=3)) for p in problems]

    def answers(results: list[Result]) -> dict[str, Any]:
        return {r.problem.id: r.answer for r in results}

    first = answers(many(by_seed(texts), together))
    assert len(first) == 10
    assert first == answers(many(by_seed(texts), apart))


def test_leaving_early_cancels_the_rest() -> None:
    engine = by_seed([RIGHT], [1])

    async def first_only(runtime: Runtime, problems: list[Problem]) -> list[Result]:
        async with runtime.run_many(Job.of_all(voted(), problems)) as results:
            return [await anext(results)]

    assert len(many(engine, first_only)) == 1
    assert engine.num_running == 0
    assert len(engine.requests) < 10


def test_a_dead_engine_is_raised_to_the_reader() -> None:
    async def read(runtime: Runtime, problems: list[Problem]) -> list[Result]:
        async with runtime.run_many(Job.of_all(voted(), problems)) as results:
            return [result async for result in results]

    with pytest.raises(EngineError):
        many(ScriptedEngine(lambda ask: Line(RIGHT), die_at=20), read)


def test_a_run_budget_binds_over_all_problems() -> None:
    engine = by_seed([RIGHT])

    async def run() -> list[Result]:
        problems = [Problem(id=f"p{i}", statement="?") for i in range(4)]
        runtime = Runtime(engine, run_budget="20calls", max_problems=1)
        async with runtime, runtime.run_many(Job.of_all(voted(n=8), problems)) as results:
            return [result async for result in results]

    assert sum(result.usage.calls for result in asyncio.run(run())) == 20


@pytest.mark.parametrize("limit", ["700", "1.5e7flops"])
def test_problems_wait_while_others_hold_the_budget_of_the_run(limit: str) -> None:
    """Each may take 100 tokens and takes a tenth: some at once leave nothing for the others."""

    async def run(problems: int) -> list[Result]:
        asked = [Problem(id=f"p{i}", statement="?") for i in range(problems)]
        short = Sampling(max_tokens=100)
        jobs = (replace(job, sampling=short) for job in Job.of_all(sample(n=1), asked))
        async with (
            Runtime(by_seed([RIGHT]), run_budget=limit) as runtime,
            runtime.run_many(jobs) as results,
        ):
            return [result async for result in results]

    assert [bool(result.samples) for result in asyncio.run(run(30))] == [True] * 30


def test_usage_starts_at_zero_and_knows_the_wall_time() -> None:
    result = solve(by_seed([RIGHT]), sample(n=1))
    assert result.usage.seconds is not None and result.usage.seconds > 0
    assert result.usage.flops is not None and result.usage.flops > 2_000 * len(RIGHT)
    assert result.trajectories[0].usage != Usage()


@settings(max_examples=30, deadline=None)
@given(calls=st.integers(1, 20), n=st.integers(1, 10))
def test_scoring_never_passes_a_budget_of_calls(calls: int, n: int) -> None:
    engine = ScriptedEngine(lambda ask: Line(f"attempt {ask.seed}: {RIGHT}"))  # none are equal
    reward_model = ScriptedEngine(lambda ask: Line(""), rewards=lambda request: (0.5,))
    verifier = PRM(reward_model, Config())
    result = solve(
        engine,
        sample(n=n) >> score(verifier="prm") >> vote(weights="prm"),
        budget=Budget(calls=calls),
        verifiers={"prm": verifier},
    )
    assert result.usage.calls <= calls
    if calls < 2 * n:
        assert f"the budget of {calls}calls is spent" in result.reason


@pytest.mark.parametrize(("cached", "scored"), [(0, 90), (64, 26), (None, 90)])
def test_scored_tokens_are_those_that_the_reward_model_ran_over(
    cached: int | None, scored: int
) -> None:
    class RewardModel(ScriptedEngine):
        async def score(self, request: ScoreRequest) -> StepScores:
            usage = Usage(prompt_tokens=90, cached_tokens=cached, calls=1)
            return StepScores((0.5,), usage)

    verifier = PRM(RewardModel(lambda ask: Line("")), Config())
    result = solve(
        by_seed([RIGHT, WRONG]),
        sample(n=2) >> score(verifier="prm") >> vote(weights="prm"),
        verifiers={"prm": verifier},
    )
    assert result.usage.scored_tokens == 2 * scored
