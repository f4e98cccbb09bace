"""`tts train-verifier`, then `tts eval --verifier head=FOLDER`: scripted, and on a real engine."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.commands import Outcome, write_sums
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
    words = ("eval", "file", "--data", sums, "--preset", "weighted_vote", "--set", "n=4")
    used = tts(*words, "--verifier", "head=head", "--json")
    assert used.code == 0, used.err
    (folder,) = Path("runs").glob("file-weighted_vote-*")
    (first, *_) = (folder / "problems.jsonl").read_text().splitlines()
    assert all("head" in sample["scores"] for sample in json.loads(first)["samples"])


def test_recorded_runs_are_used_again(tts: Command, sums: str) -> None:
    assert trained(tts, sums).code == 0
    (folder,) = Path("runs").glob("*")
    again = tts("train-verifier", "--from", str(folder), "-o", "other", "--labels", "agreement")
    assert again.code == 0, again.err
    assert "labels by agreement" in again.out
    assert load_head(Path("other")).facts["data"]["labels"] == "agreement"


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        (("--layer", "7"), "--layer 7: scripted has layers 1 to 1"),
        (("--limit", "4"), "are too few"),
        (("--from", "runs/x"), "one of the two"),
    ],
)
def test_bad_input(tts: Command, sums: str, more: tuple[str, ...], fault: str) -> None:
    done = trained(tts, sums, *more)
    assert done.code == 2
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
