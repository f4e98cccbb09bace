"""`tts scores`: what each verifier of a run is worth."""

import json
from pathlib import Path

import pytest

from tests.support.pools import row, write_pool
from tts.cli.main import run


def test_scores_of_a_run_are_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    # Scores rise by place: of problem a they are right about each pair, of b about none.
    path = write_pool(tmp_path, row("a", ["5", "5", "4"]), row("b", ["4", "3", "3"]))
    assert run(["eval", "pool", "--model", f"replay:{path}", "--set", "n=3"]) == 0
    capsys.readouterr()
    (folder,) = (tmp_path / "runs").iterdir()
    assert run(["scores", str(folder)]) == 0
    printed = capsys.readouterr().out
    assert (
        "2 problems, 6 samples; one sample 33.3% [33.3%, 33.3%], any 100.0%, plain vote" in printed
    )
    assert (
        "to the vote" in printed
        and "vote weighted by recorded" in printed
        and "best by fewest tokens" in printed
    )
    assert run(["scores", str(folder), "--to", "one"]) == 0
    printed = capsys.readouterr().out
    # The best of a is right, of b wrong: 1/2, one sample of three is right each.
    assert "to one sample" in printed and "+16.7%" in printed and "weighted by" not in printed
    assert run(["scores", str(folder), "--json"]) == 0
    (measured,) = json.loads(capsys.readouterr().out)["runs"]
    assert measured["scores"]["recorded"]["auroc_within"] == 0.5
    assert measured["scores"]["fewest tokens"]["auroc_within"] == 0.5  # all are ties


def test_what_nobody_can_tell_is_null(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    path = write_pool(tmp_path, row("a", ["4", "4"]))  # both are right
    assert run(["eval", "pool", "--model", f"replay:{path}", "--set", "n=2"]) == 0
    capsys.readouterr()
    (folder,) = (tmp_path / "runs").iterdir()
    assert run(["scores", str(folder), "--json"]) == 0
    printed = capsys.readouterr().out
    assert "NaN" not in printed
    (measured,) = json.loads(printed)["runs"]
    assert [measured["scores"]["recorded"][name] for name in ("auroc", "low")] == [None, None]


def test_a_run_without_scores_is_refused_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    samples = [{"answer": "4", "correct": True, "tokens": 10}]
    path = write_pool(tmp_path, row("a", []) | {"samples": samples})
    assert run(["eval", "pool", "--model", f"replay:{path}", "--set", "n=1"]) == 0
    capsys.readouterr()
    (folder,) = (tmp_path / "runs").iterdir()
    assert run(["scores", str(folder)]) == 2
    message = capsys.readouterr().err
    assert "no verifier has scored its samples" in message and "--reuse RUN" in message
