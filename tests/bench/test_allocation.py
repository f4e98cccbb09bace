"""`tts bench allocation` from the command line."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.support.pools import row, write_pool
from tts.allocation.fit import Recorded, follow_votes
from tts.bench.allocation_stops import early_stops
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
    stops = found["pools"][0]["stops"]
    assert 2 <= stops["value_stop"]["samples"] <= 16 and 2 <= stops["doubling"]["samples"] <= 16
    assert found["left_out"] == [
        {"pool": "pool", "series": "few", "reason": "4 samples of a problem"}
    ]
    assert run(["bench", "allocation", str(tmp_path), "--orders", "2"]) == 0
    printed = capsys.readouterr().out
    assert "median ratio, all samples" in printed and "where voting gains" not in printed
    assert "left out: pool few: 4 samples of a problem" in printed
    assert run(["bench", "allocation", str(tmp_path), "--least", "99"]) == 2
    assert "no series has 99 samples" in capsys.readouterr().err


def test_presets_that_stop_early_by_hand() -> None:
    # Two of two agree: both rules stop at 2 or 3. Sixteen in turns never have three quarters; at
    # 8 : 7 the last one can at best tie.
    agreed = follow_votes(Recorded((0,) * 16, frozenset({0}), (1.0,) * 16), np.arange(16)[None])
    split = follow_votes(Recorded((0, 1) * 8, frozenset({0}), (1.0,) * 16), np.arange(16)[None])
    stops = early_stops([agreed, split])
    assert stops["doubling"] == (1.0, (2 + 16) / 2)
    assert stops["value_stop"] == (1.0, (3 + 15) / 2)
