"""Runs in experiment trackers: what each is given, and that the real libraries take it."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.support.commands import Outcome
from tts.evals import trackers

Tts = Callable[..., Outcome]


@pytest.fixture
def run(tts: Tts, data: str) -> dict[str, Any]:
    """A run of five problems with sixteen samples each."""
    (figures,) = tts("eval", "file", "--data", data, "--json").json["runs"]
    return dict(figures)


def test_a_tracker_gets_parameters_figures_and_samples(
    tts: Tts, run: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[str, trackers.Entry]] = []
    monkeypatch.setitem(sys.modules, "wandb", ModuleType("wandb"))
    monkeypatch.setattr(trackers, "TRACKERS", {"wandb": lambda *args: given.append(args[1:])})
    told = tts("export", run["out"], "--to", "wandb", "--project", "mine", "--texts").out
    assert told == "wrote 1 run to wandb, project mine\n"
    ((project, entry),) = given
    parameters, figures = entry.parameters, entry.figures
    assert (project, entry.name) == ("mine", Path(run["out"]).name)
    assert parameters["preset"] == "self_consistency" and parameters["seed"] == 0
    assert parameters["preset_values.strategy"] == "self_consistency"
    assert figures["accuracy"] == run["accuracy"] and figures["pass_at_k.16"] == 1.0
    assert [figures["accuracy_low"], figures["accuracy_high"]] == run["interval"]
    assert figures["cost.tokens"] == run["cost"]["tokens"]
    assert not {"seed", "schema"} & figures.keys()
    assert len(entry.cells) == 80 and entry.rows[0]["text"]


def test_one_place_is_named(tts: Tts, run: dict[str, Any]) -> None:
    for flags in ([], ["-o", "t.csv", "--to", "wandb"]):
        refused = tts("export", run["out"], *flags)
        assert refused.code == 2 and "-o FILE, or --to TRACKER" in refused.err
    refused = tts("export", run["out"], "--to", "tensorboard")
    assert refused.code == 2 and "write wandb, mlflow, trackio" in refused.err


def test_a_library_that_is_not_there_is_named(
    tts: Tts, run: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "trackio", None)
    refused = tts("export", run["out"], "--to", "trackio")
    assert refused.code == 1 and "pip install 'tts-orchestrator[trackio]'" in refused.err


@pytest.mark.filterwarnings("default")  # of other people's libraries
def test_wandb_takes_it(tts: Tts, run: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = pytest.importorskip("wandb", reason="wandb is not installed")
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert tts("export", run["out"], "--to", "wandb").code == 0
    wandb.teardown()  # as at the end of a process
    (folder,) = Path("wandb").glob(f"offline-run-*-{Path(run['out']).name}")
    (table,) = folder.glob("files/media/table/samples*.table.json")
    held = json.loads(table.read_text())
    assert len(held["data"]) == 80 and "answer" in held["columns"]
    assert b"accuracy_low" in next(folder.glob("*.wandb")).read_bytes()


@pytest.mark.filterwarnings("default")
def test_mlflow_takes_it_and_keeps_one_run(
    tts: Tts, run: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed")
    pytest.importorskip("sqlalchemy", reason="mlflow has no store without sqlalchemy")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri("sqlite:///track.db")
    try:
        for _ in range(2):
            assert tts("export", run["out"], "--to", "mlflow", "--project", "mine").code == 0
        (kept,) = mlflow.search_runs(experiment_names=["mine"], output_format="list")
    finally:
        mlflow.set_tracking_uri(before)
    assert kept.info.run_name == Path(run["out"]).name
    assert kept.data.metrics["accuracy"] == pytest.approx(run["accuracy"])
    assert kept.data.params["benchmark"] == "file"
    assert len(next(Path("mlruns").rglob("samples.csv")).read_text().splitlines()) == 81


@pytest.mark.filterwarnings("default")
def test_trackio_takes_it(tts: Tts, run: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(Path.cwd() / "trackio"))  # read when it is imported
    trackio = pytest.importorskip("trackio", reason="trackio is not installed")
    assert tts("export", run["out"], "--to", "trackio", "--project", Path.cwd().name).code == 0
    storage = sys.modules["trackio.sqlite_storage"].SQLiteStorage
    (kept,) = list(trackio.Api().runs(Path.cwd().name))
    assert (kept.name, kept.config["benchmark"]) == (Path(run["out"]).name, "file")
    (logged,) = storage.get_logs(Path.cwd().name, kept.name)
    assert logged["accuracy_low"] == pytest.approx(run["interval"][0])
    storage.delete_run(Path.cwd().name, kept.name)
