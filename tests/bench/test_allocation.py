"""`tts bench allocation` from the command line."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.support.pools import row, write_pool
from tts.cli.main import run


def test_every_series_is_reported_or_left_out_with_a_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    rows = [
        row(f"p{i}", ["4" if hit else "5" for hit in rng.random(16) < (0.6, 0.9)[i % 2]])
        for i in range(20)
    ]
    rows += [{**row("p0", ["4"] * 4), "model": "few"}]
    write_pool(tmp_path, *rows)
    assert run(["bench", "allocation", str(tmp_path), "--orders", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [p["series"] for p in found["pools"]] == ["m"]
    assert found["left_out"] == [
        {"pool": "pool", "series": "few", "reason": "4 samples of a problem"}
    ]
    assert run(["bench", "allocation", str(tmp_path), "--orders", "2"]) == 0
    printed = capsys.readouterr().out
    assert "median ratio, all samples" in printed and "where voting gains" not in printed
    assert "left out: pool few: 4 samples of a problem" in printed
    assert run(["bench", "allocation", str(tmp_path), "--least", "99"]) == 2
    assert "no series has 99 samples" in capsys.readouterr().err
