"""Real processes that are killed: a few here, many by `tts bench faults`."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.commands import Outcome
from tts.bench import faults_run


def test_killed_and_damaged_runs_survive(tts: Callable[..., Outcome]) -> None:
    outcome = tts("bench", "faults", "--tries", "2", "--json")
    assert outcome.code == 0, outcome.out
    tries = outcome.json["tries"]
    assert [one["preset"] for one in tries] == ["self_consistency", "esc"]
    assert all(one["kills"] >= 1 and one["lost"] == "" for one in tries)


def test_what_differs_is_a_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes = iter([Counter("ab"), Counter("ab"), Counter("ac")])
    monkeypatch.setattr(faults_run, "_finish", lambda root, preset: root)
    monkeypatch.setattr(faults_run, "_start", lambda root, preset: None)
    monkeypatch.setattr(faults_run, "_kill", lambda process, root, seconds: None)
    monkeypatch.setattr(faults_run, "_outcome", lambda folder: next(outcomes))
    (one,) = faults_run.measure(tmp_path, tries=1, seed=0, note=lambda _: None)
    assert one.lost == "2 records differ"  # b is missing, c should not be there
