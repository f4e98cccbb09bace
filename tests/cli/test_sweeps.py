"""Several values, several models and seeds, and which problems: `tts eval` in many forms."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import Outcome, add_up
from tts.engine import running
from tts.engine.scripted import INFO, ScriptedEngine
from tts.engine.spec import EngineSpec
from tts.errors import InputError, PresetError
from tts.evaluation import Scope
from tts.sweeps import variants
from tts.types import Problem

Tts = Callable[..., Outcome]


def names(*overrides: str, presets: tuple[str, ...] = ("self_consistency",)) -> list[str]:
    return [preset.name for preset in variants(presets, overrides)]


def test_several_values_are_several_forms() -> None:
    assert names("n=4,8") == ["self_consistency n=4", "self_consistency n=8"]
    several = names("n=4,8", "sampling.temperature=0.5,1")
    assert several[0] == "self_consistency n=4 sampling.temperature=0.5" and len(several) == 4
    assert [p.values["parameters"]["n"] for p in variants(["self_consistency"], ["n=4,8"])] == [
        4,
        8,
    ]


@pytest.mark.parametrize(
    "override",
    ["n=4", "prompt.system=Be brief,kind", "sampling.stop=[a,b]", "sampling.stop=['a,b']"],
)
def test_what_is_one_value_stays_one(override: str) -> None:
    assert names(override) == ["self_consistency"]


def test_a_change_may_be_for_one_preset_alone() -> None:
    both = ("single", "self_consistency")
    assert names("self_consistency:n=2,3", presets=both) == [
        "single",
        "self_consistency n=2",
        "self_consistency n=3",
    ]
    with pytest.raises(InputError, match="'rebase' is none of the presets"):
        names("rebase:width=3", presets=both)
    with pytest.raises(PresetError):
        names("width=3,4")


def ids(**scope: Any) -> list[str]:
    problems = [Problem(f"p{i}") for i in range(1, 11)]
    return [problem.id for problem in Scope.of(**scope).of_problems(problems)]


def test_problems_are_chosen_by_place_by_id_and_at_random() -> None:
    assert ids(limit=2) == ids(limit="2") == ids(limit="1-2") == ["p1", "p2"]
    assert ids(limit="9-20") == ["p9", "p10"]
    assert ids(ids=["p7", "p2"]) == ["p7", "p2"]
    drawn = ids(shuffle=0, limit=4)
    assert drawn == ids(shuffle=0)[:4] and drawn != ids(limit=4) and len(set(drawn)) == 4
    assert ids(shuffle=1, limit=4) != drawn


@pytest.mark.parametrize("limit", ["0", "3-2", "0-4", "a", "1-", 0])
def test_a_limit_that_means_nothing_is_refused(limit: object) -> None:
    with pytest.raises(InputError, match="limit"):
        Scope.of(limit=limit)


def test_a_problem_that_is_not_there_is_named(tts: Tts, data: str) -> None:
    refused = tts("eval", "file", "--data", data, "--ids", "s1,s9")
    assert refused.code == 2 and "no problem 's9'" in refused.err


def test_a_sweep_has_a_run_for_each_value_and_goes_on(tts: Tts, data: str) -> None:
    command = ("eval", "file", "--data", data, "--preset", "self_consistency", "--set", "n=1,2")
    first = tts(*command, "--limit", "2-3", "--json").json["runs"]
    assert [(run["preset"], run["samples"]) for run in first] == [
        ("self_consistency n=1", 2),
        ("self_consistency n=2", 4),
    ]
    assert tts(*command, "--limit", "2-3", "--json").json["runs"] == first
    assert "--limit 2-3" in tts(*command, "--limit", "2-3").out


def test_a_suite_runs_every_model_seed_and_preset(tts: Tts, data: str) -> None:
    suite = Path("suite.yaml")
    suite.write_text(
        f"benchmarks: file\ndata: {data}\nseeds: [0, 1]\nlimit: 2\nmodels: [one, two]\n"
        "presets:\n  - single\n  - self_consistency: {n: [1, 2]}\n"
    )
    runs = tts("eval", "suite.yaml", "--json").json["runs"]
    assert len(runs) == 2 * 2 * 3
    assert len({run["out"] for run in runs}) == 2 * 3  # both models are the one scripted engine
    assert tts("eval", "suite.yaml").out.splitlines()[-1] == "again tts eval suite.yaml"
    assert [run["seed"] for run in runs[:6]] == [0, 0, 0, 1, 1, 1]
    refused = tts("eval", "suite.yaml", "--preset", "single")
    assert refused.code == 2 and "a suite says itself" in refused.err
    suite.write_text("benchmarks: file\npresets: single\nseed: 3\n")
    wrong = tts("eval", "suite.yaml")
    assert wrong.code == 2 and "suite.yaml:3" in wrong.err and "did you mean 'seeds'" in wrong.err


def test_several_models_and_seeds_may_be_typed(tts: Tts, data: str) -> None:
    several = ("--model", "one", "--model", "two", "--seed", "0,1", "--seed", "5")
    command = ("eval", "file", "--data", data, "--preset", "single", "--limit", "2", *several)
    runs = tts(*command, "--json").json["runs"]
    assert [run["seed"] for run in runs] == [0, 1, 5, 0, 1, 5]
    assert tts(*command, "--json").json["runs"] == runs
    told = tts(*command).out.splitlines()
    assert "seed" in told[0].split()
    again = told[-1]
    assert "--seed 0,1,5" in again and again.endswith("--model one --model two")
    assert tts(*again.split()[2:]).out.splitlines()[-1] == again
    Path("suite.yaml").write_text(
        f"benchmarks: file\ndata: {data}\nseeds: [0, 1, 5]\nlimit: 2\nmodels: [one, two]\n"
        "presets: single\n"
    )
    assert tts("eval", "suite.yaml", "--json").json["runs"] == runs  # the same, in a file


def test_several_models_have_a_column(tts: Tts, data: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def make_engine(spec: EngineSpec) -> ScriptedEngine:
        info = replace(INFO, name=spec.model, fingerprint=spec.model)
        return ScriptedEngine(add_up, info=info)

    monkeypatch.setattr(running, "make_engine", make_engine)
    command = ("eval", "file", "--data", data, "--preset", "single")
    told = tts(*command, "--model", "one", "--model", "two")
    head, first, second = told.out.splitlines()[:3]
    assert head.split()[2] == "model"
    assert (first.split()[2], second.split()[2]) == ("one", "two")
    assert "file single one: 5/5 done" in told.err and "file single two: 5/5 done" in told.err
    assert len(list(Path("runs").glob("*/run.json"))) == 2


@pytest.mark.parametrize(("seed", "word"), [("0,", "0,"), ("a", "a"), ("1-3", "1-3")])
def test_a_seed_is_a_whole_number(tts: Tts, data: str, seed: str, word: str) -> None:
    refused = tts("eval", "file", "--data", data, "--seed", seed)
    assert refused.code == 2 and f"--seed {word}: write whole numbers" in refused.err
