"""`tts compare`: votes over samples of two runs, and choosing by scores at equal cost."""

import json
from pathlib import Path

import pytest

from tests.support.pools import row, write_pool
from tts.cli.main import run


def test_samples_of_two_runs_vote_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    path = write_pool(tmp_path, row("a", ["4", "4", "5", "5"]), row("b", ["4", "3", "3", "3"]))
    for n in (2, 4):
        assert run(["eval", "pool", "--model", f"replay:{path}", "--set", f"n={n}"]) == 0
    folders = sorted(map(str, (tmp_path / "runs").iterdir()))
    capsys.readouterr()
    assert run(["compare", *folders, "--mix", "--by", "recorded"]) == 0
    printed = capsys.readouterr().out
    assert "votes over samples of both" in printed and "1 + 1" in printed and "2 + 2" in printed
    assert run(["compare", *folders, "--mix", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["comparisons"]
    assert [vote["each"] for vote in found["mixed"]] == [1, 2]
    assert run(["compare", *folders, "--by", "prm"]) == 2
    assert "'prm' has scored none of its samples" in capsys.readouterr().err
