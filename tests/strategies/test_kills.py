"""Searches that are killed between any two lines of their logs, again and again."""

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from tests.strategies.test_conformance import speaker, summary
from tests.support.solving import solve
from tts.operators.tree_search import TreeSearch
from tts.parts.catalog import preset_files
from tts.presets.load import load_preset
from tts.runtime.log import LogFile
from tts.types import Result

SEARCHES = [
    name
    for name in preset_files()
    if any(isinstance(node.operator, TreeSearch) for _, node in load_preset(name).pipeline)
]
BY_ARRIVAL = {"ab_mcts", "ab_mcts_m", "best_first", "coat", "mcts", "rebase_async"}
KILLS = 8


def run(path: Path, name: str, shuffle: int | None) -> Result:
    with LogFile(path) as log:
        return solve(speaker(shuffle), name, log=log)


def figures(result: Result) -> tuple[object, ...]:
    """Return all that must be equal; what an engine finds in its cache is the engine's."""
    usage = replace(
        result.usage, cached_tokens=0, reused_tokens=0, seconds=0.0, kv_block_seconds=0.0, flops=0.0
    )
    searches = [replace(search, cached_tokens=0) for search in result.facts.searches]
    return summary(result), usage, searches, len(result.samples), result.facts.stopped_by


def decided(path: Path) -> list[str]:
    """Return what the search has dealt with so far, in order."""
    lines = map(json.loads, path.read_text().splitlines())
    return [line["what"] for line in lines if line["kind"] == "arrived"]


def kill(path: Path, draw: random.Random) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[: draw.randint(0, len(lines))]))


def test_there_are_searches_of_both_kinds() -> None:
    assert set(SEARCHES) > BY_ARRIVAL and len(SEARCHES) > 12


@pytest.mark.parametrize("name", SEARCHES)
@pytest.mark.parametrize("shuffle", [None, 1])
def test_a_replayed_search_is_the_same_in_every_figure(
    name: str, shuffle: int | None, tmp_path: Path
) -> None:
    path = tmp_path / "log.jsonl"
    whole = run(path, name, shuffle)
    size = path.stat().st_size
    assert figures(run(path, name, shuffle)) == figures(whole)
    assert path.stat().st_size == size, "nothing was asked for, and nothing decided otherwise"


@pytest.mark.parametrize("name", [name for name in SEARCHES if name not in BY_ARRIVAL])
def test_a_search_by_levels_is_the_same_after_any_number_of_kills(
    name: str, tmp_path: Path
) -> None:
    path, draw = tmp_path / "log.jsonl", random.Random(name)
    whole = figures(run(path, name, None))
    for _ in range(KILLS):
        kill(path, draw)
        assert figures(run(path, name, None)) == whole


@pytest.mark.parametrize("name", sorted(BY_ARRIVAL))
def test_a_search_by_arrival_takes_every_recorded_decision_again(name: str, tmp_path: Path) -> None:
    path, draw = tmp_path / "log.jsonl", random.Random(name)
    run(path, name, 1)
    for _ in range(KILLS):
        kill(path, draw)
        before = decided(path)
        resumed = run(path, name, 1)
        assert decided(path)[: len(before)] == before
        assert resumed.answer is not None
        assert figures(run(path, name, 1)) == figures(resumed)
