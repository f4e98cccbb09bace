"""What is there needs no engine: finished runs, reused samples; what has changed is run again."""

import asyncio
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import Outcome, add_up
from tts.bundled import resolve
from tts.cli.main import run
from tts.engine import running
from tts.engine.scripted import ScriptedEngine
from tts.engine.spec import EngineSpec
from tts.engine.vllm import VLLMEngine
from tts.errors import EngineError
from tts.evals.stored_run import load_run
from tts.runtime.log_file import read_completions

Tts = Callable[..., Outcome]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tts: Tts) -> list[str]:
    """Models of the engines that were started, in order; the fixture `tts` starts them."""
    models: list[str] = []

    async def make_engine(spec: EngineSpec) -> ScriptedEngine:
        models.append(spec.model)
        return ScriptedEngine(add_up)

    monkeypatch.setattr(running, "make_engine", make_engine)
    return models


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A copy of the bundled model, which a test may change."""
    return Path(shutil.copytree(resolve("reasoner"), tmp_path / "model"))


def figures(outcome: Outcome) -> list[Any]:
    assert outcome.code == 0, outcome.err
    runs: list[Any] = outcome.json["runs"]
    return runs


def test_a_finished_run_starts_no_engine(tts: Tts, data: str, started: list[str]) -> None:
    command = ("eval", "file", "--data", data, "--preset", "single", "--json")
    first = figures(tts(*command))
    assert figures(tts(*command)) == first
    # Samples of another run are not needed any more either.
    assert figures(tts(*command, "--reuse", first[0]["out"])) == first
    assert started == ["bundled:reasoner"]
    folder = Path(first[0]["out"])
    assert len(json.loads((folder / "run.json").read_text())["sessions"]) == 1


def test_only_what_is_left_is_run(tts: Tts, data: str, started: list[str]) -> None:
    command = ("eval", "file", "--data", data, "--json", "--preset")
    (single,) = figures(tts(*command, "single"))
    both = figures(tts(*command, "self_consistency", "--preset", "single"))
    assert both[1] == single and both[0]["preset"] == "self_consistency"
    Path(single["out"], "problems.jsonl").write_text("")
    Path(single["out"], "summary.json").unlink()
    assert figures(tts(*command, "single"))[0]["accuracy"] == single["accuracy"]
    assert len(started) == 3


def test_a_changed_question_or_model_is_another_run(
    tts: Tts, data: str, started: list[str], model: Path
) -> None:
    command = ("eval", "file", "--data", data, "--preset", "single", "--json")
    with_model = (*command, "--model", str(model))
    figures(tts(*with_model))
    figures(tts(*with_model, "--seed", "1"))
    figures(tts(*with_model, "--engine-arg", "dtype=float32"))
    figures(tts(*command))
    assert len(started) == 4
    (model / "generation_config.json").write_text("{}")  # the file's content decides
    figures(tts(*with_model))
    assert len(started) == 5


def test_models_of_verifiers_count(tts: Tts, data: str, started: list[str]) -> None:
    command = ("eval", "file", "--data", data, "--preset", "best_of_n", "--set", "n=2", "--json")
    figures(tts(*command))
    assert sorted(started) == ["bundled:prm", "bundled:reasoner"]
    figures(tts(*command))
    assert len(started) == 2
    figures(tts(*command, "--verifier", "prm=bundled:reasoner"))
    assert started[2:] == ["bundled:reasoner"] * 2


def test_a_server_is_always_asked(
    tts: Tts, data: str, monkeypatch: pytest.MonkeyPatch, started: list[str]
) -> None:
    command = ("eval", "file", "--data", data, "--preset", "single", "--json")
    at_server = (*command, "--model", "m@http://localhost:9/v1")
    figures(tts(*at_server))

    async def down(spec: EngineSpec) -> ScriptedEngine:
        raise EngineError("nobody answers")

    monkeypatch.setattr(running, "make_engine", down)
    assert "nobody answers" in tts(*at_server).err


def test_a_model_whose_samples_are_all_reused_is_not_loaded(
    tts: Tts, data: str, started: list[str]
) -> None:
    command = ("eval", "file", "--data", data, "--json", "--set", "n=4", "--preset")
    (whole,) = figures(tts(*command, "self_consistency"))
    reusing = ("--reuse", whole["out"])
    tokens = figures(tts(*command, "early_stop", *reusing))[0]["tokens"]
    assert started == ["bundled:reasoner"] and tokens["reused"] == tokens["generated"] > 0
    figures(tts(*command, "best_of_n", *reusing))  # its reward model has something to read
    assert started == ["bundled:reasoner", "bundled:prm"]
    (more,) = figures(tts(*command, "self_consistency", "--set", "n=6", *reusing))
    assert started[2:] == ["bundled:reasoner"]  # for the two that are missing of each
    assert 0 < more["tokens"]["reused"] < more["tokens"]["generated"]
    (again,) = figures(tts(*command, "self_consistency", "--set", "n=6", "--out", "anew"))
    assert more["accuracy"] == again["accuracy"]


def test_the_time_in_which_a_model_loads_late_is_no_runs_and_no_problems(
    tts: Tts, data: str, monkeypatch: pytest.MonkeyPatch, started: list[str]
) -> None:
    command = ("eval", "file", "--data", data, "--json", "--preset", "self_consistency")
    (fewer,) = figures(tts(*command, "--set", "n=2"))

    async def load(spec: EngineSpec) -> ScriptedEngine:
        await asyncio.sleep(0.5)
        return ScriptedEngine(add_up)

    monkeypatch.setattr(running, "make_engine", load)
    began = time.monotonic()
    (run,) = figures(tts(*command, "--set", "n=3", "--reuse", fewer["out"]))
    at_work = time.monotonic() - began - 0.5
    assert run["samples"] == 5 * 3 and run["seconds"] <= at_work
    found = load_run(Path(run["out"]))
    assert found.seconds <= at_work
    assert all((record.seconds or 0) <= at_work for record in found.records)


def test_a_run_holds_the_samples_that_it_reused(tts: Tts, data: str) -> None:
    command = ("eval", "file", "--data", data, "--json", "--set", "n=4", "--preset")
    (whole,) = figures(tts(*command, "self_consistency"))
    (fewer,) = figures(tts(*command, "self_consistency", "--set", "n=3", "--reuse", whole["out"]))
    log = Path(fewer["out"], "generations.jsonl")
    texts = {(line["problem"], line["seed"]): line["text"] for line in read_completions(log)}
    assert len(texts) == 5 * 3 and all("boxed" in text for text in texts.values())
    shutil.rmtree(whole["out"])
    Path(fewer["out"], "summary.json").unlink()
    Path(fewer["out"], "problems.jsonl").write_text("")
    (again,) = figures(tts(*command, "self_consistency", "--set", "n=3"))
    assert again["tokens"]["reused"] == again["tokens"]["generated"] == fewer["tokens"]["reused"]
    assert len(list(read_completions(log))) == 5 * 3  # each stands there once


def test_a_run_holds_the_samples_that_another_recorded_with_more_values(
    tts: Tts, data: str
) -> None:
    command = ("eval", "file", "--data", data, "--json", "--set", "n=3", "--preset")
    (richer,) = figures(tts(*command, "self_certainty"))
    (run,) = figures(tts(*command, "self_consistency", "--reuse", richer["out"]))
    log = Path(run["out"], "generations.jsonl")
    assert run["tokens"]["reused"] == run["tokens"]["generated"]
    assert len(list(read_completions(log))) == 5 * 3


def test_it_is_said_when_nothing_could_be_reused(tts: Tts, data: str) -> None:
    command = ("eval", "file", "--data", data, "--preset", "single")
    (first,) = figures(tts(*command, "--json"))
    reusing = ("--reuse", first["out"])
    assert "nothing was reused" not in tts(*command, "--preset", "early_stop", *reusing).out
    assert "with the same model, prompt" in tts(*command, "--seed", "1", *reusing).out


def test_samples_are_written_once_by_a_run_that_goes_on_with_the_other_still_named(
    tts: Tts, data: str
) -> None:
    command = ("eval", "file", "--data", data, "--json", "--set", "n=3", "--preset")
    (whole,) = figures(tts(*command, "self_consistency"))
    reusing = (*command, "self_consistency", "--out", "anew", "--reuse", whole["out"])
    (run,) = figures(tts(*reusing))
    Path(run["out"], "summary.json").unlink()
    Path(run["out"], "problems.jsonl").write_text("")  # killed before the first problem's end
    (again,) = figures(tts(*reusing))
    assert again["tokens"] == run["tokens"]
    assert len(list(read_completions(Path(run["out"], "generations.jsonl")))) == 5 * 3


def test_where_time_is_limited_a_model_is_loaded_first(
    tts: Tts, data: str, started: list[str]
) -> None:
    command = ("eval", "file", "--data", data, "--json", "--preset", "single")
    (whole,) = figures(tts(*command))
    figures(tts(*command, "--budget", "9s", "--reuse", whole["out"]))
    assert len(started) == 2


def test_what_can_be_refused_is_refused_before_samples_are_reused(
    tts: Tts, data: str, started: list[str], model: Path
) -> None:
    command = ("eval", "file", "--data", data, "--json", "--model", str(model), "--preset")
    (whole,) = figures(tts(*command, "single"))
    assert "no run here" in tts(*command, "esc", "--reuse", "nowhere").err
    reusing = ("--reuse", whole["out"])
    assert "has seen nothing but two puzzles" in tts(*command, "best_of_n", *reusing).err
    head = tts(*command, "weighted_vote", "--set", "verifier=head", *reusing)
    assert "tts train-verifier" in head.err
    shutil.rmtree(model)
    assert f"no model at {model}" in tts(*command, "esc", *reusing).err
    assert len(started) == 1


@pytest.mark.engine
@pytest.mark.slow
def test_the_bundled_model_is_not_loaded_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["eval", "chain", "--limit", "2", "--set", "n=4", "--json", "--preset"]
    assert run([*words, "self_consistency"]) == 0
    (whole,) = json.loads(capsys.readouterr().out)["runs"]
    loaded: list[str] = []
    monkeypatch.setattr(VLLMEngine, "start", lambda engine: loaded.append(engine.model))
    assert run([*words, "early_stop", "--reuse", whole["out"]]) == 0
    (fewer,) = json.loads(capsys.readouterr().out)["runs"]
    assert loaded == [] and fewer["tokens"]["reused"] == fewer["tokens"]["generated"] > 0
