"""`tts eval pool --model replay:FILE[#model]` from the command line."""

from pathlib import Path

import pytest

from tests.support.pools import row, write_pool
from tts.cli.main import run


def test_a_pool_is_evaluated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    path = write_pool(tmp_path, row("a", ["4", "4", "5"]), row("b", ["3", "3", "4"]))
    words = ["eval", "pool", "--model", f"replay:{path}#m", "--set", "n=3"]
    assert run(words) == 0
    printed = capsys.readouterr().out
    assert "50.0%" in printed
    assert "m on replay" in printed
    assert f"--model 'replay:{path}#m'" in printed


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "replay:x.jsonl"], "cannot read the pool"),
        (["--model", "replay:x.jsonl", "--engine-arg", "seed=1"], "samples take no 'seed'"),
        ([], "the benchmark pool needs"),
    ],
)
def test_flags_that_do_not_fit_are_refused(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["eval", "pool", *words]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["pool", "--preset", "self_refine"], "recorded samples answer the problem alone"),
        (["pool", "--preset", "no_thinking"], "needs answers to prompts of its own"),
        (["pool", "--preset", "genselect"], "needs answers to prompts of its own"),
        (["pool", "--preset", "hedged"], "needs answers to prompts of its own"),
        (["chain", "--limit", "3"], "no samples of 3 of 3 problems, such as 'chain"),
    ],
)
def test_what_a_pool_cannot_answer_is_refused_before_anything_runs(
    words: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    path = write_pool(tmp_path, row("a", ["4", "5"]))
    assert run(["eval", *words, "--model", f"replay:{path}"]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_samples_are_shown_where_tokens_were_not_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    uncounted = row("a", ["4", "4", "5"])
    for sample in uncounted["samples"]:
        del sample["tokens"]
    path = write_pool(tmp_path, uncounted)
    assert run(["eval", "pool", "--model", f"replay:{path}", "--set", "n=3"]) == 0
    assert "3 samples" in capsys.readouterr().out
