"""Real processes that are killed: a few here, many by `tts bench faults`."""

import itertools
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.commands import Outcome
from tts.bench import faults_run, faults_searches
from tts.bench.servers.forms import Kind
from tts.bench.servers.misbehaving import Asked, Reply, speak
from tts.evals.records import Record
from tts.types import Usage


@pytest.mark.slow
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


def test_killed_searches_survive_in_every_figure(tts: Callable[..., Outcome]) -> None:
    presets = faults_searches.presets_with_searches()
    outcome = tts("bench", "faults", "--searches", "--tries", f"{len(presets)}", "--json")
    tries = outcome.json["tries"]
    assert [one["preset"] for one in tries] == presets
    assert sum(one["kills"] for one in tries) >= len(presets)
    assert all(one["lost"] == "" for one in tries)
    # These may end within one moment in which scores are still on their way, and count fewer.
    unequal = {one["preset"] for one in tries if one["unequal"]}
    assert unequal <= {"mcts", "coat", "rebase_async"}


def test_a_figure_that_differs_is_counted(
    tts: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds = itertools.count()
    monkeypatch.setattr(faults_searches, "presets_with_searches", lambda: ["beam_search"])
    monkeypatch.setattr(faults_searches, "_start", lambda root, preset: None)
    monkeypatch.setattr(faults_searches, "_kill", lambda process, root, size: 1)
    monkeypatch.setattr(faults_searches, "_finish", lambda root, preset: root.mkdir(parents=True))
    monkeypatch.setattr(faults_searches, "_records", lambda root: [record(next(seeds))])
    outcome = tts("bench", "faults", "--searches", "--tries", "1")
    assert outcome.code == 1
    assert "0 survived, 0 lost, 1 unequal" in outcome.out


def record(tokens: int) -> Record:
    return Record("p0", 0, None, None, Usage(generated_tokens=tokens), None, "", (), is_cut=False)


def test_runs_survive_a_server_that_misbehaves_in_every_way(tts: Callable[..., Outcome]) -> None:
    outcome = tts("bench", "faults", "--server", "--tries", "150", "--json")
    assert outcome.code == 0, outcome.out
    assert sum(sum(one["faults"].values()) for one in outcome.json["tries"]) >= 150
    assert all(one["lost"] == "" for one in outcome.json["tries"])


def test_a_run_that_breaks_a_promise_is_lost(
    tts: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = [["\\boxed{7}"]]  # the wrong answer to all problems but one

    def answer(kind: object, asked: Asked, right: object) -> Reply:
        return speak(asked, samples * asked.n)

    monkeypatch.setattr(Kind, "answer", answer)
    outcome = tts("bench", "faults", "--server", "--tries", "20")
    assert outcome.code == 1
    assert "wrong answers" in outcome.out
