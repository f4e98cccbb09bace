"""Auto: how much each problem gets, on scripted and on recorded samples."""

import asyncio
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest

from tests.allocation.test_policy_file import point, policy
from tests.support.pools import recorded_pool, row, write_pool
from tests.support.results import events
from tests.support.scripts import in_order
from tests.support.solving import solve
from tts.allocation.policy_file import Policy, load_policy, save_policy
from tts.engine.replay import ReplayEngine
from tts.engine.scripted import INFO, ScriptedEngine
from tts.errors import BudgetError, CapabilityError, PresetError
from tts.evals.calibration.share import with_share
from tts.operators.allocate import allocate
from tts.operators.vote import vote
from tts.presets.load import load_preset
from tts.runtime.job import Job
from tts.runtime.runtime import Runtime
from tts.types import Budget, Result
from tts.types.figures import Counted


@pytest.mark.parametrize(
    ("answers", "calls"),
    [
        ((12,), 3),  # (2, 0) still gains more than the price, (3, 0) no more
        ((12, 12, 13, 12, 12, 12), 5),
    ],
)
def test_a_settled_problem_is_left(answers: tuple[int, ...], calls: int) -> None:
    engine = ScriptedEngine(in_order(*answers))
    result = solve(engine, allocate(price=1e-3) >> vote())
    assert result.answer is not None and result.answer.text == "12"
    assert result.usage.calls == calls


def test_a_hopeless_problem_is_left_before_its_most() -> None:
    engine = ScriptedEngine(in_order(*range(64)))
    drawn = solve(engine, allocate(price=3e-2) >> vote()).usage.calls
    assert 4 < drawn < 40
    assert solve(ScriptedEngine(in_order(None)), allocate(price=3e-2) >> vote()).usage.calls < 40


def test_a_close_race_gets_what_it_may_have() -> None:
    engine = ScriptedEngine(in_order(12, 13))
    result = solve(engine, allocate(n=20, price=1e-3) >> vote())
    assert result.usage.calls == 19  # at 10 : 9 the last one cannot change the answer
    decisions = [event.fields for event in events(result, "allocate")]
    assert decisions[0]["votes"] == (1, 1)
    assert [d["drawn"] for d in decisions] == list(range(2, 20))


def test_a_budget_ends_it() -> None:
    engine = ScriptedEngine(in_order(12, 13))
    result = solve(engine, allocate(n=20, price=0) >> vote(), budget=Budget(calls=5))
    assert result.usage.calls == 5
    assert "budget" in result.reason


def test_the_probe_and_what_follows_are_the_samples_of_sample() -> None:
    drawn = [a.answer for a in solve(ScriptedEngine(in_order(1, 2)), "auto").samples]
    plain = solve(ScriptedEngine(in_order(1, 2)), "self_consistency", overrides=["n=64"])
    place = [a.origin.index for a in plain.samples]
    assert drawn == (["1", "2"] * 32)[: len(drawn)] and place == list(range(64))


def test_a_share_draws_no_more_than_was_calibrated_on(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    save_policy(policy(model="scripted"), path)  # at most 8 samples
    close = ScriptedEngine(in_order(1, 2))
    assert solve(close, "auto", overrides=[f"policy={path}", "share=1e6"]).usage.calls <= 8
    by_price = [f"policy={path}", "price=0"]
    assert solve(close, "auto", overrides=by_price).usage.calls == 64


def test_a_policy_sets_belief_price_and_model(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    save_policy(policy(model="scripted"), path)
    set_policy = f"policy={path}"
    cheap = load_preset("auto", [set_policy, "share=200"]).pipeline
    dear = load_preset("auto", [set_policy, "share=800"]).pipeline
    calls = [solve(ScriptedEngine(in_order(1, 2, 1)), p).usage.calls for p in (cheap, dear)]
    assert calls[0] < calls[1]
    save_policy(policy(model="other"), path)
    with pytest.raises(CapabilityError, match="calibrated for other, this is scripted"):
        solve(ScriptedEngine(in_order(1)), "auto", overrides=[set_policy])


def test_a_policy_is_read_once_and_a_run_sets_its_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "policy.yaml"
    save_policy(policy(model="scripted"), path)
    read: list[Path] = []

    def load(file: Path) -> Policy:
        read.append(file)
        return load_policy(file)

    monkeypatch.setattr(import_module("tts.strategies.auto"), "load_policy", load)
    preset = load_preset("auto", [f"policy={path}"])
    shared = with_share(preset, Budget(tokens=8_000), 10)
    assert read == [path]
    assert shared.values["parameters"]["share"] == 800
    told = load_preset("auto", [f"policy={path}", "share=800"])
    assert shared.pipeline.to_mapping() == told.pipeline.to_mapping()
    assert shared.pipeline.to_mapping() != preset.pipeline.to_mapping()


def test_a_share_is_told_only_where_it_counts(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    save_policy(policy(), path)
    auto, plain = load_preset("auto", [f"policy={path}"]), load_preset("single")
    priced = load_preset("auto", [f"policy={path}", "price=0.1"])
    for preset, budget in [
        (plain, Budget(tokens=100)),
        (load_preset("auto"), Budget(tokens=100)),  # no policy knows what that buys
        (auto, None),
        (auto, Budget(seconds=100)),
        (priced, Budget(tokens=100)),
    ]:
        assert with_share(preset, budget, 10) is preset
    with pytest.raises(BudgetError, match="counts tokens, and the run's budget of 100calls does"):
        with_share(auto, Budget(calls=100), 10)


@pytest.mark.parametrize(
    ("unit", "fits", "budget", "words"),
    [
        ("flops", Budget(flops=2e12), Budget(tokens=9), "write --run-budget 2e15flops, or cali"),
        ("eflops", Budget(eflops=2e12), Budget(flops=9), "calibrate with --unit flops"),
        ("usd", Budget(usd=2e12), Budget(eflops=9), r"--run-budget \$2"),
        ("seconds", None, Budget(tokens=9), "--set share=2.5"),
        ("sequential", None, Budget(tokens=9), "--set share=400"),
    ],
)
def test_a_policy_of_another_unit_is_refused(
    unit: Counted, fits: Budget | None, budget: Budget, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "policy.yaml"
    save_policy(policy(unit=unit), path)
    auto = load_preset("auto", [f"policy={path}"])
    with pytest.raises(BudgetError, match=words):
        with_share(auto, budget, 10)
    if fits is not None:
        assert with_share(auto, fits, 10).values["parameters"]["share"] == 2e11


def test_a_share_is_kept_in_the_unit_of_its_policy(tmp_path: Path) -> None:
    """At 2 FLOPs a token and weight the cheap price is 4e5 FLOPs, which is what a problem costs."""
    path = tmp_path / "policy.yaml"
    prices = (point(0.1, 2, 4e5), point(0.0, 8, 4e6))
    save_policy(policy(model="scripted", unit="flops", prices=prices), path)
    overrides = [f"policy={path}", "share=4e5", "n=8"]
    known = ScriptedEngine(in_order(1, 2), info=replace(INFO, parameters=1_000))
    assert 2 <= solve(known, "auto", overrides=overrides).usage.calls < 8
    dear = [f"policy={path}", "share=4e6", "n=8"]
    assert solve(known, "auto", overrides=dear).usage.calls == 8
    sizeless = ScriptedEngine(in_order(1, 2), info=replace(INFO, parameters=None))
    unknown = solve(sizeless, "auto", overrides=overrides)
    assert not unknown.usage.calls and "the size of scripted is unknown" in unknown.reason


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["share=100"], "a share needs a policy"),
        (["policy=nowhere.yaml"], "cannot be read as a policy"),
        (["price=1", "share=1"], "not both"),
        (["difficulty=oracle"], "has no 'difficulty'"),
    ],
)
def test_bad_parameters_are_refused(overrides: list[str], message: str) -> None:
    with pytest.raises(PresetError, match=message):
        load_preset("auto", overrides)


def test_it_runs_on_recorded_samples_within_the_run_budget(tmp_path: Path) -> None:
    rows = [row(f"p{i}", ["4"] * 8 if i % 2 else ["4", "5"] * 4) for i in range(6)]
    engine = ReplayEngine(str(write_pool(tmp_path, *rows)))

    async def run(budget: Budget) -> list[Result]:
        problems = [r.problem for r in engine.pool.problems]
        pipeline = load_preset("auto", ["n=8"]).pipeline
        async with Runtime(engine, run_budget=budget) as runtime:
            async with runtime.run_many(Job.of_all(pipeline, problems)) as results:
                found = {r.problem.id: r async for r in results}
            return [found[problem.id] for problem in problems]

    free = asyncio.run(run(Budget(calls=1_000)))
    # Of eight: 4 : 2, 4 : 3 and 4 : 1 (5, 5, 4, 5, 5) leave too few to overtake.
    assert [result.usage.calls for result in free] == [6, 3, 7, 3, 5, 3]
    tight = asyncio.run(run(Budget(calls=9)))
    assert sum(result.usage.calls for result in tight) == 9
    late = [result for result in tight if not result.usage.calls]
    assert late and all(result.answer is None for result in late)
    assert all("the budget of 9calls is spent" in result.reason for result in late)


@pytest.mark.slow
def test_it_spends_less_than_uniform_voting_on_real_samples() -> None:
    engine = ReplayEngine(str(recorded_pool("math100_r1distill_llama8b")))

    async def run() -> list[int]:
        problems = [r.problem for r in engine.pool.problems[:20]]
        jobs = Job.of_all(load_preset("auto"), problems)
        async with Runtime(engine) as runtime, runtime.run_many(jobs) as results:
            return [r.usage.calls async for r in results]

    calls = asyncio.run(run())
    assert sum(calls) / len(calls) < 20
