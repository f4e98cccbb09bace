"""`tts bench long_steps`: recorded trees grown again, by hand and through the command."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.evals.test_run_store import CONFIG, record
from tests.support.searching import steps_of
from tts.bench import long_steps_run, tree_run
from tts.bench.long_steps_replay import Replay, load_expansions
from tts.cli.main import run
from tts.engine.scripted import Ask, Line, ScriptedEngine
from tts.errors import InputError, StoreError
from tts.evals.run_store import RunStore
from tts.search.events import Decided, Held
from tts.search.tree import ROOT, SearchTree
from tts.types import Event


def decide(*expand: tuple[int, int]) -> Event:
    nothing = Held(0, 0, 0)
    decided = Decided(nothing, nothing, expand, {})
    return Event(0.0, Decided.KIND, "tree_search", decided.to_values())


def test_a_recording_says_what_was_expanded_after_how_many_expansions(tmp_path: Path) -> None:
    with RunStore(tmp_path, CONFIG) as store:
        store.add(record(0), [decide((0, 3)), decide((1, 1), (3, 2)), decide()])
        store.add(record(1), [decide((0, 2))])
    found = load_expansions(store.folder)
    assert found == {"p/0": {0: ((0, 3),), 1: ((1, 1), (3, 2))}, "p/1": {0: ((0, 2),)}}


def test_a_replay_expands_the_same_nodes_and_gives_up_the_others() -> None:
    policy, rng = Replay(expansions={0: ((0, 3),), 1: ((1, 1), (3, 2))}), np.random.default_rng(0)
    tree = SearchTree(block_size=4)
    assert policy.decide(tree, rng).expand == ((ROOT, 3),)
    tree.add_children(ROOT, 3)
    for node in (1, 2, 3):
        tree.score(node, 1.0)
    second = policy.decide(tree, rng)
    assert (second.expand, list(second.prune)) == (((1, 1), (3, 2)), [2])
    tree.prune(second.prune, "ended")
    for node, count in second.expand:
        tree.add_children(node, count)
    for node in (4, 5, 6):
        tree.score(node, 1.0)
    last = policy.decide(tree, rng)
    assert (last.expand, list(last.prune)) == ((), [4, 5, 6])


def test_a_run_without_searches_has_nothing_to_replay(tmp_path: Path) -> None:
    with RunStore(tmp_path, CONFIG) as store:
        store.add(record(0), [])
    with pytest.raises(InputError, match="holds no tree search"):
        load_expansions(store.folder)
    with pytest.raises(StoreError, match="trace"):
        load_expansions(tmp_path / "nowhere")


def say(ask: Ask) -> Line:
    if ask.request.sampling.extra_body:  # a replay
        return Line("x" * 100)
    steps = steps_of(ask)
    return Line(f"{ask.seed % 3}\n\nmore" if len(steps) < 3 else rf"\boxed{{{ask.seed % 3}}}")


class Engine(ScriptedEngine):
    """Is never out of memory."""

    def num_preemptions(self) -> int:
        return 0


def test_the_same_trees_grow_with_long_steps_and_once_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    engines: list[tuple[dict[str, Any], Engine]] = []

    def engine(*_: Any, **options: Any) -> Engine:
        engines.append((options, Engine(say)))
        return engines[-1][1]

    monkeypatch.setattr(tree_run, "VLLMEngine", engine)
    monkeypatch.setattr(long_steps_run, "VLLMEngine", engine)
    command = ["bench", "long_steps", "--problems", "3", "--trees", "2", "--width", "4"]
    command += ["--step-tokens", "30", "--blocks", "512", "--scorer", "rule"]
    command += ["--out", str(tmp_path)]
    assert run([*command, "--json"]) == 0
    cases = json.loads(capsys.readouterr().out)["cases"]
    assert [case["method"] for case in cases] == ["rebase", "rebase+turns", "ets", "ets+turns"]
    # Two trees of four levels and width four: as many steps as recorded, each of 30 tokens.
    assert [case["tokens"] for case in cases[:2]] == [2 * 16 * 30] * 2
    assert all(case["cached_share"] == 1.0 and case["seconds"] > 0 for case in cases)
    (_, recorded), (options, grown) = engines
    assert options["num_gpu_blocks_override"] == 512
    assert recorded.requests and {r.sampling.max_tokens for r in grown.requests} == {30}

    assert run(command) == 0
    shown = capsys.readouterr().out
    assert "rebase+turns" in shown and all(len(line) <= 80 for line in shown.splitlines())
    assert len(engines) == 3 and not engines[2][1].requests
