"""`tts train-verifier`, then `tts eval --verifier head=FOLDER`: scripted, and on a real engine."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.commands import Outcome, write_sums
from tests.support.verifiers import SMALL_HEAD
from tts.cli.main import run
from tts.heads.head import load_head

Command = Callable[..., Outcome]


@pytest.fixture
def sums(tmp_path: Path) -> str:
    return write_sums(tmp_path / "sums.jsonl", 20)


def trained(tts: Command, sums: str, *more: str) -> Outcome:
    return tts("train-verifier", "file", "--data", sums, "--samples", "12", *more)


def test_a_head_is_trained_and_used(tts: Command, sums: str) -> None:
    done = trained(tts, sums)
    assert done.code == 0, done.err
    assert "held out: 5 problems x 12 samples" in done.out
    assert "weighted vote" in done.out and "AUROC" in done.out
    assert "--verifier head=head" in done.out
    facts = load_head(Path("head")).facts
    assert facts["data"]["labels"] == "grader"
    assert facts["data"]["solutions"] == 240
    assert "reading" not in done.err  # states came with the samples
    (folder,) = Path("runs").glob("*")
    lines = map(json.loads, (folder / "generations.jsonl").read_text().splitlines())
    assert all("states" in line for line in lines if line["kind"] == "completion")
    words = ("eval", "file", "--data", sums, "--preset", "weighted_vote", "--set", "n=4")
    used = tts(*words, "--verifier", "head=head", "--json")
    assert used.code == 0, used.err
    (folder,) = Path("runs").glob("file-weighted_vote-*")
    (first, *_) = (folder / "problems.jsonl").read_text().splitlines()
    assert all("head" in sample["scores"] for sample in json.loads(first)["samples"])


def test_auto_is_calibrated_with_a_head(tts: Command, sums: str) -> None:
    SMALL_HEAD.save(Path("head"))
    chosen = ("--verifier", "head=head")
    words = ("calibrate", "file", "--data", sums, "--preset", "best_of_n", "--set", "verifier=head")
    done = tts(*words, "--set", "n=8", *chosen, "--split", "test")
    assert done.code == 0, done.err
    assert "ladder samples scored by head" in done.out
    rows = [
        {"id": f"t{i}", "problem": f"What is {i} plus 30?", "answer": str(i + 30)} for i in range(5)
    ]
    Path("others.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    further = ("eval", "file", "--data", "others.jsonl", "--preset", "auto")
    used = tts(*further, "--set", "policy=policy.yaml", *chosen, "--json")
    assert used.code == 0, used.err
    (summary,) = used.json["runs"]
    assert summary["answered"] == 5


def recorded(tts: Command, sums: str, *more: str) -> str:
    """Record a run of 12 samples of each problem; returns its folder."""
    done = tts("eval", "file", "--data", sums, "--set", "n=12", *more)
    assert done.code == 0, done.err
    (folder,) = Path("runs").glob("*")
    return str(folder)


def test_recorded_samples_are_read_and_their_scores_join_the_head(tts: Command, sums: str) -> None:
    SMALL_HEAD.save(Path("small"))
    other = "ensemble(verifiers=[head(file='small')])"
    run = recorded(tts, sums, "--preset", "weighted_vote", "--set", f"verifier={other}")
    done = tts("train-verifier", "--from", run, "--labels", "agreement")
    assert done.code == 0, done.err
    assert "labels by agreement" in done.out
    assert load_head(Path("head")).facts["data"]["labels"] == "agreement"
    assert "weighted vote, with ensemble" in done.out
    assert "mode=logit" in done.out


def test_a_teacher_labels(tts: Command, sums: str) -> None:
    run = recorded(tts, sums)
    done = tts("train-verifier", "--from", run, "--teacher", run, "--limit", "16")
    assert done.code == 0, done.err
    assert "reading solutions: 192/192 done" in done.err  # 16 of 20 problems x 12
    assert "labels by teacher" in done.out
    both = trained(tts, sums, "--teacher", run, "--labels", "agreement")
    assert both.code == 2 and "one of the two" in both.err


def test_what_was_read_is_not_read_again(tts: Command, sums: str) -> None:
    run = recorded(tts, sums)
    assert tts("train-verifier", "--from", run, "-o", "one").code == 0
    (kept,) = Path("runs").glob("states-*.jsonl")
    whole = kept.read_bytes()
    assert whole.count(b"\n") == 240
    half = whole.index(b"\n", len(whole) // 2) + 1
    kept.write_bytes(whole[: half + 30])  # killed while it wrote
    done = tts("train-verifier", "--from", run, "-o", "other")
    assert done.code == 0, done.err
    assert kept.read_bytes().startswith(whole[:half])
    assert sorted(kept.read_bytes().splitlines()) == sorted(whole.splitlines())
    one, other = load_head(Path("one")), load_head(Path("other"))
    assert one.facts == other.facts
    assert all((one.arrays[name] == other.arrays[name]).all() for name in one.arrays)


def test_a_run_that_reused_another_holds_its_texts(tts: Command, sums: str) -> None:
    run = recorded(tts, sums)
    words = ("eval", "file", "--data", sums, "--set", "n=8", "--reuse", run, "--out", "again")
    assert tts(*words).code == 0
    (again,) = Path("again").glob("*")
    shutil.rmtree(run)
    done = tts("train-verifier", "--from", str(again))
    assert done.code == 0, done.err
    assert load_head(Path("head")).facts["data"]["solutions"] == 20 * 8


def test_a_run_without_texts_of_single_samples_is_refused(tts: Command, sums: str) -> None:
    folder = Path(recorded(tts, sums))
    (folder / "generations.jsonl").write_text("")
    done = tts("train-verifier", "--from", str(folder))
    assert done.code == 2 and "no single completion makes up any of them" in done.err


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        (("--layer", "7"), "--layer 7: scripted has layers 1 to 1"),
        (("--layer", "0", "--layer", "0"), "--layer 0: scripted has layers 1 to 1"),
        (("--limit", "4"), "4 problems with 48 solutions are too few"),
        (("--teacher", "none"), "none"),
        (("--from", "runs/x"), "one of the two"),
        (("-o", "/dev/null"), "cannot be written: Not a directory"),
    ],
)
def test_bad_input(tts: Command, sums: str, more: tuple[str, ...], fault: str) -> None:
    done = trained(tts, sums, *more)
    assert done.code == 2 and not list(Path("runs").glob("*"))
    assert fault in " ".join(done.err.split())


def test_no_command_without_problems(tts: Command) -> None:
    assert tts("train-verifier").code == 2


@pytest.mark.engine
@pytest.mark.slow
def test_the_bundled_model_from_nothing_to_a_weighted_vote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["train-verifier", "chain", "--split", "train", "--limit", "30", "--samples", "8"]
    assert run([*words, "--layer", "4"]) == 0
    figures = load_head(Path("head")).facts["held_out"]
    assert figures["auroc"] > 0.6  # of 56 solutions; a coin has 0.5
    capsys.readouterr()
    used = ["eval", "chain", "--limit", "4", "--preset", "weighted_vote", "--set", "n=4"]
    assert run([*used, "--verifier", "head=head", "--json"]) == 0
    (summary,) = json.loads(capsys.readouterr().out)["runs"]
    assert not summary["tokens"]["scored"]
