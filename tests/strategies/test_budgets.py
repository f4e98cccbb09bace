"""No preset spends more than it may, whatever the budget, the samples and the engine's failures."""

import asyncio
import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from tests.allocation.test_policy_file import choice, ladder, policy
from tests.support.solving import PROBLEM
from tests.support.verifiers import open_verifier
from tts.allocation.policy_file import LadderPoint, save_policy
from tts.engine.scripted import Ask, Line, ScriptedEngine
from tts.errors import EngineError, TTSError
from tts.parts import catalog
from tts.presets.load import Preset, load_preset
from tts.protocols import Verifier
from tts.runtime.job import Job
from tts.runtime.runtime import Runtime
from tts.strategies import cascade
from tts.types import Budget, Sampling, ScoreRequest, Usage

PRESETS = sorted(catalog.preset_files())
FEW, MANY = range(5), range(5, 50)  # for each preset: over 2,000 in all
CASES = pytest.mark.parametrize("cases", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])
SAMPLING = Sampling(max_tokens=40)


def engine_of(rng: random.Random) -> ScriptedEngine:
    """An engine of changing answers and lengths, which may refuse requests or die."""
    salt = rng.randrange(1_000)

    def line(ask: Ask) -> Line:
        own = random.Random(f"{salt}{ask.seed}")
        text = "step\n\n" * own.randrange(3) + own.choice(["", rf"\boxed{{{own.randrange(3)}}}"])
        return Line(text or "?", error="broken" if own.random() < 0.05 else None)

    def rewards(request: ScoreRequest) -> tuple[float, ...]:
        return (rng.random(),) * max(1, request.prompt.prefill.count(request.step_tag or "\n\n"))

    refused = {i: EngineError("busy") for i in range(200) if rng.random() < 0.02}
    die_at = rng.choice([None, None, rng.randrange(5, 200)])
    return ScriptedEngine(line, rewards=rewards, fail_at=refused, die_at=die_at)


def verifiers_of(preset: Preset, engine: ScriptedEngine) -> Mapping[str, Verifier]:
    wanted = [name for _, node in preset.pipeline for name in node.operator.spec.verifiers]
    known: dict[str, Verifier] = {}
    for name in wanted:
        if name not in known:
            known[name] = open_verifier(name, engine)
            wanted += known[name].spec.verifiers
    return known


def spend(preset: Preset, engine: ScriptedEngine, budget: Budget, run_budget: Budget) -> Usage:
    async def run() -> Usage:
        verifiers = verifiers_of(preset, engine)
        runtime = Runtime(engine, verifiers=verifiers, run_budget=run_budget)
        job = Job(preset.pipeline, PROBLEM, SAMPLING, budget=budget)
        try:
            await runtime.run(job)
        except TTSError:
            pass  # the engine has died; what it had done until then is what counts
        finally:
            await runtime.aclose()
        return runtime.ledger.usage

    return asyncio.run(run())


def num_served(engine: ScriptedEngine) -> int:
    """Return the sequences that were not refused at once; a dead engine refuses all."""
    if engine.die_at is not None and engine.ticks >= engine.die_at:
        return 0
    return sum(r.n for i, r in enumerate(engine.requests) if i not in engine.fail_at)


@CASES
@pytest.mark.parametrize("name", PRESETS)
def test_no_preset_goes_over_its_budget(name: str, cases: range) -> None:
    assert_no_case_goes_over(name, load_preset(name), cases)


def assert_no_case_goes_over(name: str, preset: Preset, cases: range) -> None:
    for case in cases:
        rng = random.Random(f"{name}{case}")
        tokens, calls = rng.randrange(1, 400), rng.randrange(1, 30)
        limits = [Budget(tokens=tokens), Budget(calls=calls), Budget(tokens=tokens, calls=calls)]
        budget, run_budget = rng.choice(limits), rng.choice([Budget(), *limits])
        engine = engine_of(rng)
        usage = spend(preset, engine, budget, run_budget)
        for limit in (budget, run_budget):
            place = f"case {case} within {limit}"
            if limit.tokens is not None:
                assert (usage.generated_tokens or 0) <= limit.tokens, place
            if limit.calls is not None:
                assert num_served(engine) <= limit.calls, place


def ladder_policy(folder: Path) -> str:
    """A policy that draws on while votes disagree, and then turns to a search."""
    going_on = (0.9, 0.0, 0.0, 0.0, 0.0, -1.0)
    point = LadderPoint(
        price=0.01, samples=4, cost=100, accuracy=0.5, low=0.4, high=0.6, weights=(going_on,) * 3
    )
    part = ladder(sizes=(1, 2, 4, 8), points=(point,), choices=(choice((0.99, 0.99, 1.0)),))
    path = folder / "policy.yaml"
    save_policy(policy(model="scripted", ladder=part), path)
    return f"policy={path}"


@CASES
@pytest.mark.parametrize("kind", ["auto", "cascade"])
def test_no_escalation_goes_over_its_budget(kind: str, cases: range, tmp_path: Path) -> None:
    preset = load_preset("auto", [ladder_policy(tmp_path)])
    if kind == "cascade":
        preset = replace(preset, pipeline=cascade(then="best_of_n"))
    assert_no_case_goes_over(kind, preset, cases)
