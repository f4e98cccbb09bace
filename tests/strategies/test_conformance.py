"""What every strategy of the catalogue promises, on an engine that says much and means little."""

import asyncio
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.logs import cut_log
from tests.support.solving import PROBLEM, solve
from tests.support.verifiers import open_verifier
from tts.engine.scripted import Ask, Line, ScriptedEngine
from tts.parts import catalog
from tts.pipeline import Pipeline
from tts.presets.load import load_preset
from tts.prompts import STEP_TAG
from tts.protocols import Context, VerifierSpec
from tts.runtime.job import Job
from tts.runtime.log_file import LogFile
from tts.runtime.runtime import Runtime
from tts.types import Budget, Result, Sampling, Score, ScoreRequest, Trajectory

STRATEGIES = catalog.names("strategy")
# What these ask next depends on what has arrived: they search without levels.
BY_ARRIVAL = {"ab_mcts", "best_first", "mcts"}
MANY_PARTS = "1. What is 1 + 1?\n2. What is 2 + 2?"


class Printed:
    """Runs no program: it takes the number that one prints, and the right one is 12."""

    spec = VerifierSpec(unit_interval=True, by_text=True)

    async def score(self, context: Context, trajectories: Sequence[Trajectory]) -> list[Score]:
        is_right = [trajectory.answer == "12" for trajectory in trajectories]
        return [Score(1.0) if right else Score(0.0, report="it is not") for right in is_right]

    async def run_program(self, code: str) -> tuple[str | None, str]:
        return code.removeprefix("print(").rstrip(")\n"), ""

    async def aclose(self) -> None:
        """Owns nothing."""


def run(engine: ScriptedEngine, pipeline: Pipeline | str, **options: Any) -> Result:
    return solve(engine, pipeline, verifiers={"execution": Printed()}, **options)


def pipeline_of(name: str) -> Pipeline:
    module = catalog.load("strategy", name)
    pipeline: Pipeline = module.build(module.Config())
    return pipeline


def speaker(shuffle: int | None = None, *, error: str | None = None) -> ScriptedEngine:
    """Says steps, thoughts, verdicts and plans that depend on prompt and seed alone.

    Args:
        shuffle: Draws how long each sequence takes; None is its length.
        error: Every sequence ends with it.
    """

    def line(ask: Ask) -> Line:
        draw = random.Random(f"{ask.prompt}/{ask.seed}")
        ticks = None if shuffle is None else random.Random(f"{shuffle}/{ask.seed}").randint(1, 40)
        return Line(say(ask.prompt, draw), ticks=ticks, error=error)

    return ScriptedEngine(line, rewards=reward)


def say(prompt: str, draw: random.Random) -> str:
    so_far = prompt.rpartition("<assistant>")[2]
    answer = rf"\boxed{{{draw.choice((12, 12, 12, 13, 14))}}}"
    if "<think>" in so_far and "</think>" not in so_far:
        return f"hm {draw.randint(0, 99)}\n</think>\n\n{answer}"
    if "Write a Python program" in prompt:
        return f"```python\nprint({draw.choice((12, 12, 13))})\n```"
    if "Verdict" in prompt:
        return f"Verdict: {draw.choice(('correct', 'incorrect', 'unclear'))}"
    if "between <spawn>" in prompt and "</results>" not in so_far:
        return f"<spawn>\n{MANY_PARTS}\n</spawn>"
    if "numbered list" in prompt and "<spawn>" not in prompt:
        return MANY_PARTS
    steps = [f"step {draw.randint(0, 9)}" for _ in range(2 - so_far.count("\n\n"))]
    return "\n\n".join([*steps, answer])


def reward(request: ScoreRequest) -> tuple[float, ...]:
    """Every step gets a number that depends on the text up to it."""
    ends = re.finditer(re.escape(STEP_TAG), request.prompt.prefill)
    texts = [request.prompt.prefill[: end.end()] for end in ends] or [request.prompt.prefill]
    return tuple(random.Random(text).random() for text in texts)


def summary(result: Result) -> tuple[object, ...]:
    """Return what two equal runs have in common."""
    answer = None if result.answer is None else result.answer.text
    return answer, sorted((t.id, t.text, t.origin.seed) for t in result.trajectories)


@pytest.fixture(params=STRATEGIES)
def name(request: pytest.FixtureRequest) -> Iterator[str]:
    yield request.param


def test_it_names_its_source(name: str) -> None:
    text = catalog.load("strategy", name).__doc__ or ""
    assert name == "single" or "Source:" in text or re.search(r"arXiv:\d{4}\.\d{5}", text)
    assert len(catalog.summary(catalog.load("strategy", name))) <= 100


def test_its_defaults_run_and_answer(name: str) -> None:
    result = run(speaker(), pipeline_of(name))
    assert result.answer is not None, result.reason
    ids = [t.id for t in result.trajectories]
    assert len(set(ids)) == len(ids)
    assert (result.usage.wasted_tokens or 0) <= (result.usage.generated_tokens or 0)
    assert all(t.id for t in result.trajectories)


@pytest.mark.parametrize("budget", ["40tokens", "300tokens", "3calls"])
def test_it_is_never_over_budget(name: str, budget: str) -> None:
    limit = Budget.parse(budget)
    result = run(speaker(), pipeline_of(name), budget=limit)
    assert (result.usage.generated_tokens or 0) <= (limit.tokens or 10**9)
    # Scoring has no worst case to reserve: only what is generated is held to `calls`.
    drawn = sum(e.fields["granted"] for e in result.trace if e.kind == "request")
    assert drawn <= (limit.calls or 10**9)
    assert result.answer is not None or result.reason


def test_the_same_seed_gives_the_same_result(name: str) -> None:
    first, second = (run(speaker(), pipeline_of(name)) for _ in range(2))
    assert summary(first) == summary(second)
    assert first.usage.generated_tokens == second.usage.generated_tokens


@pytest.mark.parametrize("shuffle", [1, 2])
@pytest.mark.parametrize("name", [name for name in STRATEGIES if name not in BY_ARRIVAL])
def test_the_order_of_arrival_does_not_matter(name: str, shuffle: int) -> None:
    expected = run(speaker(), pipeline_of(name))
    result = run(speaker(shuffle), pipeline_of(name))
    assert summary(result) == summary(expected)


@pytest.mark.parametrize("turns", [5, 100])
def test_a_cancelled_run_leaves_nothing_running(name: str, turns: int) -> None:
    engine = speaker()
    pipeline = pipeline_of(name)
    wanted = [v for _, node in pipeline for v in node.operator.spec.verifiers]
    verifiers = {v: open_verifier(v, engine) for v in wanted}
    for verifier in list(verifiers.values()):
        verifiers |= {v: open_verifier(v, engine) for v in verifier.spec.verifiers}

    async def cut() -> set[str]:
        runtime = Runtime(engine, verifiers=verifiers)
        job = Job(pipeline, PROBLEM, Sampling(max_tokens=500))
        task = asyncio.create_task(runtime.run(job))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        await runtime.aclose()
        for _ in range(3):
            await asyncio.sleep(0)
        assert engine.num_running == 0
        left = asyncio.all_tasks() - {asyncio.current_task()}
        return {t.get_name() for t in left if "_tick" not in repr(t.get_coro())}

    assert asyncio.run(cut()) == set()


@pytest.mark.parametrize("kept", [1, 6])
def test_a_killed_run_resumes_to_the_same_result(name: str, kept: int, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with LogFile(path) as log:
        whole = run(speaker(), pipeline_of(name), log=log)
    cut_log(path, kept)
    engine = speaker()
    with LogFile(path) as log:
        resumed = run(engine, pipeline_of(name), log=log)
    if name not in BY_ARRIVAL:  # what was in flight starts anew, and may come in another order
        assert summary(resumed) == summary(whole)
    assert resumed.answer is not None
    assert resumed.usage.reused_tokens > 0


def test_a_whole_log_needs_no_engine(name: str, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with LogFile(path) as log:
        whole = run(speaker(), pipeline_of(name), log=log)
    engine = speaker()
    with LogFile(path) as log:
        again = run(engine, pipeline_of(name), log=log)
    assert engine.requests == []
    assert summary(again) == summary(whole)
    assert again.usage.generated_tokens == whole.usage.generated_tokens


def test_an_engine_that_always_fails_gives_a_reason(name: str) -> None:
    result = run(speaker(error="out of luck"), pipeline_of(name))
    assert result.answer is None
    assert result.reason


def test_without_any_answer_there_is_a_reason(name: str) -> None:
    prose = "I do not know how one could do that"
    result = solve(ScriptedEngine(lambda ask: Line(prose), rewards=reward), pipeline_of(name))
    assert result.answer is None
    assert result.reason


def test_a_problem_that_does_not_fit_is_said(name: str) -> None:
    long = replace(PROBLEM, statement="x" * 20_000)
    result = run(speaker(), pipeline_of(name), problem=long)
    assert result.answer is None
    assert "context" in result.reason


@pytest.mark.parametrize("name", catalog.preset_files())
def test_every_preset_loads_with_one_line(name: str) -> None:
    preset = load_preset(name)
    assert 20 <= len(preset.description) <= 90
    assert preset.description.endswith(".")
    preset.pipeline.check()
