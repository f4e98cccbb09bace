"""`tts calibrate`, then `tts eval --preset auto`, on a pool."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.support.pools import row, write_pool
from tests.support.processes import start, strike
from tts.allocation.conformal import Conformal
from tts.allocation.policy_file import load_policy
from tts.cli.main import run
from tts.engine import running
from tts.engine.scripted import Ask, Line, ScriptedEngine
from tts.engine.spec import EngineSpec


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
    engine = ["--model", f"replay:{pool}"]
    assert run(["calibrate", "pool", *engine, "--set", "n=10", "--policy", "policy.yaml"]) == 0
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
    engine = ["--model", f"replay:{pool}"]
    assert run(["calibrate", "pool", *engine, "--preset", "single"]) == 2
    assert "add a preset that draws them" in capsys.readouterr().err
    assert run(["calibrate", "pool", *engine, "--split", "train"]) == 2
    assert "no split 'train'" in capsys.readouterr().err


def test_a_policy_that_could_not_be_written_is_refused_before_anything_is_spent(
    pool: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("taken").write_text("")
    engine = ["--model", f"replay:{pool}", "--set", "n=10"]
    for place in ("taken/policy.yaml", ".", "/"):
        assert run(["calibrate", "pool", *engine, "--policy", place]) == 2
        assert f"{place}: cannot be written" in capsys.readouterr().err
    assert run(["calibrate", "pool", *engine, "--conformal", "taken/scores.json"]) == 2
    assert not Path("runs").exists()
    assert run(["calibrate", "pool", *engine, "--policy", "new/policy.yaml"]) == 0
    assert load_policy(Path("new/policy.yaml")).model == "m"


@pytest.mark.parametrize("answer", ["4", "5"])
def test_one_sided_data_give_a_policy_that_runs(
    answer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    engine = [
        "--model",
        f"replay:{write_pool(tmp_path, *(row(f'p{i}', [answer] * 6) for i in range(6)))}",
    ]
    assert run(["calibrate", "pool", *engine, "--set", "n=6"]) == 0
    assert "every sample is right, or every one wrong" in capsys.readouterr().out
    words = ["eval", "pool", *engine, "--preset", "auto", "--set", "policy=policy.yaml", "--json"]
    assert run([*words, "--run-budget", "200"]) == 0
    (summary,) = json.loads(capsys.readouterr().out)["runs"]
    assert summary["accuracy"] == (answer == "4")
    assert summary["answered"] == 6 and summary["tokens"]["generated"] < 6 * 6 * 10


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("schema: 5", "schema: 3"), "a policy of version 3, this tts reads 5"),
        (("model: m", "model: other"), "calibrated for other, this is m; run `tts calibrate`"),
        (("accuracy: ", "accuracy: 1"), "less than or equal to 1"),
    ],
)
def test_a_policy_that_does_not_fit_is_refused_before_a_sample(
    pool: str, change: tuple[str, str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = ["--model", f"replay:{pool}"]
    assert run(["calibrate", "pool", *engine, "--set", "n=10"]) == 0
    file = Path("policy.yaml")
    written = file.read_text()
    assert change[0] in written
    file.write_text(written.replace(*change))
    capsys.readouterr()
    words = ["eval", "pool", *engine, "--preset", "auto", "--set", "policy=policy.yaml"]
    assert run([*words, "--out", "other"]) == 2
    assert message in capsys.readouterr().err
    assert not Path("other").exists()


def test_scores_give_a_ladder_and_a_calibration(
    pool: str, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = ["--model", f"replay:{pool}"]
    words = ["calibrate", "pool", *engine, "--preset", "best_of_n", "--set", "n=10"]
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


@pytest.mark.parametrize("logprob", [-0.5, 0.0])  # a target that is certain says 1 throughout
def test_scores_of_drafts_are_kept_and_used(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    logprob: float,
) -> None:
    monkeypatch.chdir(tmp_path)

    def line(ask: Ask) -> Line:
        so_far = ask.prompt.rpartition("<assistant>")[2]
        return Line(rf"a longer way to \boxed{{{ask.seed % 2}}}"[len(so_far) :])

    async def make_engine(spec: EngineSpec) -> ScriptedEngine:
        return ScriptedEngine(line, logprobs_of=lambda _, text: [logprob] * len(text))

    monkeypatch.setattr(running, "make_engine", make_engine)
    words = ["calibrate", "chain", "--limit", "2", "--set", "chunk_tokens=8"]
    assert run([*words, "--conformal", "scores.json"]) == 0
    printed = capsys.readouterr().out
    assert "scores scores.json, 2 problems, drafts by scripted, read by scripted" in printed
    assert "use    tts eval ... --preset atts --set calibration=scores.json" in printed
    # 2 problems, 16 attempts of 25 characters in chunks of 8: three whole ones and a rest.
    scores = Conformal.load(Path("scores.json"))
    assert [len(turn) for turn in scores.turns] == [32] * 4
    assert (scores.draft, scores.target) == ("scripted", "scripted")
    assert (scores.drawn["temperature"], scores.drawn["chunk_tokens"]) == (0.8, 8)


# Slow enough to be hit in the middle; every chunk has a perplexity of its own.
DRAFTING = """
import sys
from tts.cli.main import run
from tts.engine import running
from tts.engine.scripted import Line, ScriptedEngine

def line(ask):
    text = ask.prompt.rpartition("<assistant>")[2]
    whole = rf"a longer way {ask.prompt.count('1') % 7} to \\boxed{{{ask.seed % 2}}}"
    return Line(whole[len(text):])

async def make_engine(options):
    return ScriptedEngine(line, tick_seconds=float(sys.argv[1]))

running.make_engine = make_engine
sys.exit(run(sys.argv[2:]))
"""


@pytest.mark.slow
def test_a_killed_calibration_of_drafts_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def calibrating(tick: str, out: str) -> subprocess.Popen[str]:
        words = ["calibrate", "chain", "--limit", "80", "--set", "chunk_tokens=8", "--set", "n=2"]
        return start(DRAFTING, tick, *words, "--conformal", f"{out}.json", "--out", out)

    def finished() -> int:
        return sum(path.read_bytes().count(b"\n") for path in Path("a").glob("*/problems.jsonl"))

    strike(calibrating("0.02", "a"), lambda: finished() > 0)
    assert 1 <= finished() < 80 and not Path("a.json").exists()
    for out in ("a", "b"):
        process = calibrating("0", out)
        printed, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert f"scores {out}.json, 80 problems" in printed
    assert finished() == 80
    assert Path("a.json").read_text() == Path("b.json").read_text()
