"""`tts bench graph`: a graph takes no longer than its longest chain."""

import json

import pytest

from tts.cli.main import run


def test_a_graph_takes_as_long_as_its_longest_chain(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "graph", "--graphs", "3", "--tasks", "40", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["worst_ratio"] == pytest.approx(1.0, abs=1e-9)
    assert found["mean_width"] > 2 and found["seconds_per_task"] > 0
