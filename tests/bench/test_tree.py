"""`tts bench tree`: what it plans, and one whole run on a scripted engine, twice."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.searching import steps_of
from tts.bench import tree_run
from tts.bench.tree import preempted
from tts.bench.tree_figures import search_figures
from tts.bench.tree_run import (
    METHODS,
    Cell,
    CellFigures,
    LoopShare,
    cell_preset,
    default_methods,
    equal_samples,
    plan_cells,
    task_problems,
)
from tts.cli.main import run
from tts.engine.scripted import Ask, Line, ScriptedEngine
from tts.types.figures import Interval


def figures(tokens: float, solution_tokens: float | None) -> CellFigures:
    return CellFigures(
        cell=Cell("chain", "rebase", 16, "ample"),
        samples=16,
        problems=1,
        accuracy=1.0,
        interval=Interval(0.0, 1.0),
        tokens=tokens,
        seconds=1.0,
        steps_per_second=None,
        loop=LoopShare(0.1, 0.1),
        preemptions=None,
        search=replace(search_figures({}), solution_tokens=solution_tokens),
        out="",
    )


def test_rebase_comes_before_what_is_measured_by_it() -> None:
    methods = ["best_of_n", "dvts", "rebase"]
    plan = plan_cells(["chain", "countdown"], {16: methods, 64: methods})
    assert [cell.method for cell in plan[:3]] == ["rebase", "best_of_n", "dvts"]
    assert len(plan) == 2 * 2 * 3 + 1
    assert plan[-1] == Cell("chain", "rebase", 64, "scarce")


def test_what_only_helps_where_blocks_are_scarce_runs_only_there() -> None:
    plan = plan_cells(["chain", "countdown"], {16: default_methods(16, full=True)})
    joint = [cell for cell in plan if cell.method == "ets-joint"]
    assert joint == [Cell("chain", "ets-joint", 16, "scarce")]
    assert [cell.method for cell in plan if cell.cache == "scarce"] == [
        *("rebase", "rebase+turns", "ets", "ets+merge"),
        *("ets-joint", "ets-joint+merge"),
    ]


def test_preemptions_are_named_by_method_and_width() -> None:
    row = figures(1, 1.0)
    other = replace(row, cell=replace(row.cell, method="ets"), samples=64, preemptions=3)
    rows = [row, replace(row, preemptions=0), other]
    assert preempted(rows) == "preempted: rebase 16: 0, ets 64: 3"


def test_fewer_methods_run_at_larger_widths() -> None:
    sizes = [len(default_methods(width, full=False)) for width in (16, 64, 256)]
    assert sizes == [9, 5, 3]
    assert set(default_methods(64, full=True)) > set(default_methods(16, full=False))
    assert all(set(default_methods(w, full=True)) <= set(METHODS) for w in (16, 64, 256))


def test_best_of_n_at_equal_tokens() -> None:
    # 1,000 generated tokens buy 25 solutions of 40.
    assert equal_samples(figures(1_000, 40.0), 16) == 25
    assert equal_samples(figures(1, 40.0), 16) == 1
    assert equal_samples(figures(1_000, None), 16) == equal_samples(None, 16) == 16


@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_a_preset(method: str) -> None:
    preset = cell_preset(Cell("chain", method, 64, "ample"), samples=5, verifier="rule")
    assert preset.name == method
    assert (preset.sampling.temperature, preset.sampling.max_tokens) == (1.0, 512)


def test_only_hard_levels_are_measured() -> None:
    problems = task_problems("countdown", 4)
    assert len(problems) == 4
    assert {p.metadata["level"] for p in problems} <= set(tree_run.LEVELS)


def say(ask: Ask) -> Line:
    steps = steps_of(ask)
    return Line(f"{ask.seed % 3}\n\nmore" if len(steps) < 3 else rf"\boxed{{{ask.seed % 3}}}")


def test_a_whole_run_is_read_again_without_the_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    engines: list[ScriptedEngine] = []

    def engine(*arguments: Any, **options: Any) -> ScriptedEngine:
        engines.append(ScriptedEngine(say))
        return engines[-1]

    monkeypatch.setattr(tree_run, "VLLMEngine", engine)
    methods = ["rebase", "ets+merge", "best_of_n"]
    scarce = ["ets-joint", "rebase+turns"]
    command = ["bench", "tree", "--problems", "2", "--width", "4", "--scorer", "rule"]
    command += ["--task", "chain", "--task", "countdown", "--kv-bytes", "1", "--out", str(tmp_path)]
    command += [word for name in methods + scarce for word in ("--method", name)]
    assert run([*command, "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert run([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["against_rebase"] is not None
    assert [bool(e.requests) for e in engines] == [True, True, False, False]

    assert [(c["task"], c["method"], c["cache"]) for c in first["cells"]] == [
        *[("chain", m, "ample") for m in methods],
        *[("countdown", m, "ample") for m in methods],
        ("chain", "rebase", "scarce"),
        ("chain", "ets+merge", "scarce"),
        *[("chain", m, "scarce") for m in scarce],
    ]
    rebase = first["cells"][0]
    assert rebase["steps"] == 16.0 and rebase["solution_tokens"] > 0
    assert rebase["cached_share"] == 1.0 and rebase["loop"]["of_wall"] > 0
    compared = {(c["task"], c["method"], c["cache"]): c for c in first["against_rebase"]}
    assert compared["all", "ets+merge", "ample"]["problems"] == 4
    merged = compared["chain", "ets+merge", "ample"]
    assert merged["kv_node_tokens"]["value"] >= 1 and merged["speed_up"] > 0
    assert compared["chain", "best_of_n", "ample"]["kv_blocks"] is None
    assert ("chain", "ets+merge", "scarce") in compared

    assert run(command) == 0
    shown = capsys.readouterr().out
    assert "chain, scarce KV cache" in shown and "less than REBASE" in shown
    assert all(len(line) <= 80 for line in shown.splitlines())


def test_an_unknown_method_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "tree", "--method", "best"]) == 2
    assert "no method 'best'" in capsys.readouterr().err
