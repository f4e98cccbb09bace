"""`tts eval pool --engine replay --pool FILE[#model]` from the command line."""

from pathlib import Path

import pytest

from tests.pools_data import row, write_pool
from tts.cli.main import run


def test_a_pool_is_evaluated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    path = write_pool(tmp_path, row("a", ["4", "4", "5"]), row("b", ["3", "3", "4"]))
    words = ["eval", "pool", "--engine", "replay", "--pool", f"{path}#m", "--set", "n=3"]
    assert run(words) == 0
    printed = capsys.readouterr().out
    assert "50.0%" in printed
    assert "m on replay" in printed
    assert f"--engine replay --pool '{path}#m'" in printed


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--engine", "replay"], "need each other"),
        (["--pool", "x.jsonl"], "need each other"),
        (["--engine", "replay", "--pool", "x.jsonl"], "cannot read the pool"),
        (["--engine", "replay", "--pool", "x", "--model", "y"], "the pool says which model"),
        ([], "the benchmark pool needs"),
    ],
)
def test_flags_that_do_not_fit_are_refused(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["eval", "pool", *words]) == 2
    assert message in capsys.readouterr().err
