"""`tts calibrate`, then `tts eval --preset auto`, on a pool."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.pools_data import row, write_pool
from tts.budget.policy import load_policy
from tts.cli.main import run


@pytest.fixture
def pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    rows = []
    for i in range(12):
        p = (0.95, 0.6, 0.1)[i % 3]
        answers = ["4" if hit else str(rng.integers(10, 15)) for hit in rng.random(10) < p]
        rows.append(row(f"p{i}", answers))
    return str(write_pool(tmp_path, *rows))


def test_a_policy_is_fitted_and_used(pool: str, capsys: pytest.CaptureFixture[str]) -> None:
    engine = ["--engine", "replay", "--pool", pool]
    assert run(["calibrate", "pool", *engine, "--set", "n=10", "--out", "policy.yaml"]) == 0
    printed = capsys.readouterr().out
    assert "policy policy.yaml, 12 problems by m" in printed
    policy = load_policy(Path("policy.yaml"))
    assert policy.model == "m"
    assert policy.provenance["versions"]
    words = ["eval", "pool", *engine, "--preset", "auto", "--set", "policy=policy.yaml"]
    tokens = []
    for whole in ("300", "800"):
        assert run([*words, "--set", "n=10", "--run-budget", whole, "--json"]) == 0
        (summary,) = json.loads(capsys.readouterr().out)["runs"]
        tokens.append(summary["tokens"]["generated"])
    assert tokens[0] <= 300
    assert tokens[0] < tokens[1] <= 800


def test_what_cannot_be_calibrated_is_refused(
    pool: str, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = ["--engine", "replay", "--pool", pool]
    assert run(["calibrate", "pool", *engine, "--presets", "single"]) == 2
    assert "add a preset that draws them" in capsys.readouterr().err
    assert run(["calibrate", "pool", *engine, "--presets", ","]) == 2
    assert run(["calibrate", "pool", *engine, "--split", "train"]) == 2
    assert "no split 'train'" in capsys.readouterr().err


def test_scores_give_a_ladder_and_a_calibration(
    pool: str, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = ["--engine", "replay", "--pool", pool]
    words = ["calibrate", "pool", *engine, "--presets", "best_of_n", "--set", "n=10"]
    assert run([*words, "--set", "verifier=recorded"]) == 0
    printed = capsys.readouterr().out
    assert "ladder samples scored by recorded" in printed
    assert "calibrated(verifier=recorded, file='policy.recorded.json')" in printed
    fitted = json.loads(Path("policy.recorded.json").read_text())
    assert fitted["method"] == "platt" and fitted["slope"] >= 0
    policy = load_policy(Path("policy.yaml"))
    assert policy.ladder is not None and policy.ladder.verifier == "recorded"
    use = ["eval", "pool", *engine, "--preset", "auto", "--set", "policy=policy.yaml"]
    assert run([*use, "--run-budget", "400", "--json"]) == 0
    (summary,) = json.loads(capsys.readouterr().out)["runs"]
    assert 0 < summary["tokens"]["generated"] <= 400
