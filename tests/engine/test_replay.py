"""The replay engine: draws without replacement, honest counts, refusals."""

import asyncio
from collections.abc import AsyncIterable, Coroutine
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from tests.support.pools import recorded_pool, row, write_pool
from tts import prompts
from tts.costs.flops import usage_eflops
from tts.engine.replay import ReplayEngine
from tts.errors import BudgetError, CapabilityError, EngineError, ProblemError
from tts.operators.sample import sample
from tts.operators.score import score
from tts.operators.select import select
from tts.operators.vote import vote
from tts.pipeline import Pipeline
from tts.presets.load import load_preset
from tts.runtime.job import Job
from tts.runtime.log import GenerationLog
from tts.runtime.runtime import Runtime
from tts.types import (
    Budget,
    Completion,
    GenerationRequest,
    Problem,
    Prompt,
    Result,
    Sampling,
    ScoreRequest,
    Usage,
)
from tts.verifiers.recorded import Config, build

ANSWERS = [str(i) for i in range(8)]


@pytest.fixture
def engine(tmp_path: Path) -> ReplayEngine:
    return ReplayEngine(str(write_pool(tmp_path, row("a", ANSWERS), row("b", ["4", None, "5"]))))


def ask(engine: ReplayEngine, place: int = 0, **more: Any) -> GenerationRequest:
    prompt = prompts.solve(engine.pool.problems[place].problem)
    return GenerationRequest(**{"prompt": prompt, "sampling": Sampling(), **more})


async def read(stream: AsyncIterable[Completion]) -> list[Completion]:
    return [completion async for completion in stream]


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


def texts(engine: ReplayEngine, **more: Any) -> list[str]:
    return [c.text for c in run(read(engine.generate(ask(engine, **more))))]


def test_samples_are_drawn_without_replacement_in_an_order_of_the_base_seed(
    engine: ReplayEngine,
) -> None:
    drawn = texts(engine, n=8, seed=5)
    assert sorted(drawn) == [rf"\boxed{{{a}}}" for a in ANSWERS]
    assert drawn == texts(engine, n=8, seed=5) != texts(engine, n=8, seed=6)
    # The same base in two requests: 3 samples, then the 5 that follow them.
    assert drawn == texts(engine, n=3, seed=5) + texts(engine, n=5, seed=8, start=3)


def test_a_pool_runs_dry(engine: ReplayEngine) -> None:
    completions = run(read(engine.generate(ask(engine, 1, n=5))))
    assert [c.finish_reason for c in completions] == ["stop"] * 3 + ["error"] * 2
    assert completions[4].error == "the pool holds 3 samples of problem 'b'"
    assert completions[4].usage.calls == 0


def test_what_is_not_read_is_not_charged(engine: ReplayEngine) -> None:
    async def main() -> None:
        stream = engine.generate(ask(engine, n=8))
        first = await anext(stream)
        assert (first.usage.generated_tokens, first.usage.calls) == (10, 1)
        assert await stream.aclose() == Usage() == await stream.aclose()
        assert await read(stream) == []

    run(main())


def test_a_sample_longer_than_the_limit_is_cut_and_has_no_answer(engine: ReplayEngine) -> None:
    (cut,) = run(read(engine.generate(ask(engine, sampling=Sampling(max_tokens=9)))))
    assert (cut.text, cut.finish_reason, cut.usage.generated_tokens) == ("", "length", 9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prompt": Prompt(text="What is 1 + 1?")}, "only plain solutions"),
        ({"prompt": prompts.revise(Problem("a", "Recorded problem a"), "4")}, "only plain"),
        ({"prompt": Prompt(token_ids=(1, 2))}, "only plain solutions"),
        ({"sampling": Sampling(logprobs=1)}, "without log-probabilities"),
        ({"sampling": Sampling(stop=("\n",))}, "cannot stop"),
        ({"sampling": Sampling(temperature=0.0)}, "no greedy one"),
    ],
)
def test_it_refuses_what_a_pool_cannot_give(
    change: dict[str, Any], message: str, engine: ReplayEngine
) -> None:
    async def main() -> None:
        async with aclosing(engine.generate(ask(engine, **change))) as stream:
            with pytest.raises(CapabilityError, match=message):
                await anext(stream)

    run(main())


def test_it_serves_no_other_model_and_nothing_once_closed(engine: ReplayEngine) -> None:
    async def main() -> None:
        with pytest.raises(CapabilityError, match="verifier 'recorded'"):
            await engine.score(ScoreRequest(Prompt(text="x")))
        with pytest.raises(CapabilityError, match="no embeddings"):
            await engine.embed(["x"])
        with pytest.raises(CapabilityError, match="no token ids"):
            await engine.tokenize("x")
        await engine.aclose()
        with pytest.raises(EngineError, match="closed"):
            await anext(engine.generate(ask(engine)))

    run(main())


def test_a_pool_needs_samples_and_statements_of_their_own(tmp_path: Path) -> None:
    with pytest.raises(ProblemError, match="no samples to replay"):
        ReplayEngine(str(write_pool(tmp_path, row("a", []))))
    twins = [row(name, ["4"], problem="same") for name in "ab"]
    with pytest.raises(ProblemError, match="the same statement"):
        ReplayEngine(str(write_pool(tmp_path, *twins)))


def solve(
    engine: ReplayEngine,
    pipeline: Pipeline,
    *,
    place: int = 0,
    log: GenerationLog | None = None,
    **job: Any,
) -> Result:
    async def main() -> Result:
        recorded = build(Config(range="probability"))
        async with Runtime(engine, verifiers={"recorded": recorded}, log=log) as runtime:
            problem = engine.pool.problems[place].problem
            return await runtime.run(Job(pipeline, problem, Sampling(), **job))

    result: Result = run(main())
    return result


def test_recorded_scores_weigh_votes_and_choose(engine: ReplayEngine) -> None:
    chosen = solve(engine, sample(n=8) >> score(verifier="recorded") >> select(by="recorded"))
    assert chosen.answer is not None and chosen.answer.text == "7"  # scored 0.8
    weighted = solve(
        engine, sample(n=3) >> score(verifier="recorded") >> vote(weights="recorded"), place=1
    )
    assert weighted.answer is not None and weighted.answer.text == "5"  # 0.3 against 0.1


def test_missing_and_impossible_scores_are_data(tmp_path: Path) -> None:
    bad = row("a", ["4", "5"])
    bad["samples"][0]["score"] = 1.5
    bad["samples"][1]["score"] = None
    engine = ReplayEngine(str(write_pool(tmp_path, bad)))
    result = solve(engine, sample(n=2) >> score(verifier="recorded") >> vote(weights="recorded"))
    assert result.answer is None
    assert "the recorded score 1.5 is no probability" in result.reason
    assert "no score was recorded" in result.reason


def test_a_resumed_run_draws_what_it_would_have_drawn(engine: ReplayEngine) -> None:
    log = GenerationLog()
    short = solve(engine, sample(n=3) >> vote(), log=log)
    resumed = solve(engine, sample(n=8) >> vote(), log=log)
    whole = solve(engine, sample(n=8) >> vote())
    drawn = [attempt.answer for attempt in whole.samples]
    assert [attempt.answer for attempt in resumed.samples] == drawn
    assert [attempt.answer for attempt in short.samples] == drawn[:3]


def test_budgets_are_in_calls_where_tokens_were_not_counted(tmp_path: Path) -> None:
    uncounted = row("a", ["4"] * 6)
    for one in uncounted["samples"]:
        del one["tokens"]
    engine = ReplayEngine(str(write_pool(tmp_path, uncounted)))
    with pytest.raises(BudgetError, match="budget its calls"):
        solve(engine, sample(n=2), budget=Budget(tokens=100))
    result = solve(engine, sample(n=6) >> vote(), budget=Budget(calls=4))
    assert (result.usage.calls, result.usage.generated_tokens) == (4, None)


@pytest.mark.parametrize(
    "name", ["single", "self_consistency", "adaptive_consistency", "early_stop", "esc"]
)
def test_voting_presets_run_unchanged_on_real_samples(name: str) -> None:
    engine = ReplayEngine(str(recorded_pool("math100_r1distill_llama8b")))
    preset = load_preset(name)
    result = solve(engine, preset.pipeline, place=0)
    assert result.answer is not None
    assert 1 <= result.usage.calls <= 40
    assert result.reason == ""


SHAPE = {
    **{"parameters": 1_000, "layers": 2, "query_heads": 4, "kv_heads": 2, "head_size": 8},
    "dtype": "bfloat16",
}


def test_operations_are_those_of_an_engine_that_caches_the_prompt(tmp_path: Path) -> None:
    line = row("a", ["4"] * 3, prompt_tokens=5, shape=SHAPE)
    engine = ReplayEngine(str(write_pool(tmp_path, line)))
    result = solve(engine, sample(n=3) >> vote())
    first, *others = (one.usage for one in result.samples)
    assert (first.prompt_tokens, first.cached_tokens) == (5, 0)
    assert {(one.prompt_tokens, one.cached_tokens) for one in others} == {(5, 5)}
    # 2 x 1,000 a token, and 4 x 2 x 4 x 8 for each of the pairs among 15 tokens, less the prompt's.
    assert first.flops == 2_000 * 15 + 256 * 120
    assert others[0].flops == 2_000 * 10 + 256 * (120 - 15)
    # Nine steps over 6, ..., 14 tokens, each of 2 x 2 x 2 x 8 elements of two bytes.
    assert {one.kv_bytes for one in (first, *others)} == {128 * sum(range(6, 15))}
    assert result.usage.flops == sum(one.flops or 0 for one in (first, *others))
    limit = 2.5 * (usage_eflops(first) or 0)  # one of the 16 tokens that are reserved at least
    held = solve(engine, sample(n=3) >> vote(), budget=Budget(eflops=limit))
    assert (held.usage.calls, usage_eflops(held.usage)) == (1, usage_eflops(first))


@pytest.mark.parametrize("missing", ["prompt_tokens", "shape"])
def test_operations_are_unknown_without_shape_or_prompts(missing: str, tmp_path: Path) -> None:
    line = row("a", ["4"] * 3, prompt_tokens=5, shape=SHAPE)
    del line[missing]
    engine = ReplayEngine(str(write_pool(tmp_path, line)))
    assert solve(engine, sample(n=3) >> vote()).usage.flops is None
    with pytest.raises(BudgetError, match="unknown"):
        solve(engine, sample(n=3) >> vote(), budget=Budget(flops=1e9))


def test_stopping_early_draws_fewer_samples(tmp_path: Path) -> None:
    engine = ReplayEngine(str(write_pool(tmp_path, row("a", ["4"] * 16))))
    stopped = solve(engine, sample(n=16, batch=1) >> vote(stop_at=0.95))
    assert stopped.usage.calls == 4  # 1 - BetaCDF(1/2; 5, 1) = 1 - 2 ** -5 = 0.969
    # All at once, what is left once the vote has closed is not drawn: 9 of 16 are settled.
    assert solve(engine, sample(n=16) >> vote(stop="settled")).usage.calls <= 10


def test_tree_search_is_refused_before_a_sample_is_drawn(engine: ReplayEngine) -> None:
    with pytest.raises(CapabilityError, match="needs prompts as token ids"):
        pipeline = load_preset("rebase").pipeline
        pipeline.check_engines({"": engine}, {"prm": build(Config(range="probability"))})
