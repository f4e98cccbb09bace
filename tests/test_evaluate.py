"""`tts.solve_many` and `tts.evaluate`: figures and results without a command line."""

import asyncio
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import tts
from tests.support.commands import add_up as answer
from tests.support.verifiers import SMALL_HEAD
from tts.engine import running
from tts.engine.scripted import ScriptedEngine
from tts.engine.spec import EngineSpec
from tts.evals.code_grading import CodeGrader
from tts.presets.load import load_preset


@pytest.fixture(autouse=True)
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[EngineSpec]]:
    """Return the engines that are made, scripts that add two numbers, in an empty folder."""
    specs: list[EngineSpec] = []

    async def make_engine(spec: EngineSpec) -> ScriptedEngine:
        specs.append(spec)
        return ScriptedEngine(answer)

    tts.shutdown()
    monkeypatch.setattr(running, "make_engine", make_engine)
    monkeypatch.chdir(tmp_path)
    rows = [
        {"id": f"s{i}", "problem": f"What is {i} plus 2?", "answer": str(i + 2)} for i in (1, 2)
    ]
    Path("sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    yield specs
    tts.shutdown()


def test_many_problems_come_back_in_order() -> None:
    problems = [f"What is {i} plus 0?" for i in range(20, 0, -1)]
    results = tts.solve_many(problems, overrides=["n=5"], budget="5calls")
    assert [result.problem.statement for result in results] == problems
    assert [result.answer.text for result in results if result.answer] == [
        str(i) for i in range(20, 0, -1)
    ]
    assert {result.usage.calls for result in results} == {5}
    assert tts.solve_many([]) == []


def test_an_engine_is_kept_for_the_same_model_and_options(started: list[EngineSpec]) -> None:
    tts.solve("What is 1 plus 2?", preset="single")
    tts.solve_many(["What is 1 plus 2?"], preset="single")
    tts.evaluate("file", "single", data="sums.jsonl")
    assert len(started) == 1
    tts.solve("What is 1 plus 2?", preset="single", engine_args={"max_model_len": 512})
    assert started[1].options["max_model_len"] == 512
    tts.solve("What is 1 plus 2?", preset="best_of_n", models={"prm": "my/prm"})
    assert [spec.model for spec in started[2:]] == ["my/prm", "bundled:reasoner"]


def test_a_run_is_named_by_what_its_files_hold_and_not_by_where_they_lie(tmp_path: Path) -> None:
    def run(folder: str, text: str) -> str:
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "facts.txt").write_text(text)
        retrieved = tts.operators.retrieve(file=f"{folder}/facts.txt")
        (done,) = tts.evaluate("file", retrieved >> tts.operators.follow(), data="sums.jsonl")
        return str(done.out)

    first = run("here", "One plus two is three.\n")
    assert run("there", "One plus two is three.\n") == first
    assert run("here", "Two plus two is four.\n") != first


def test_another_head_is_another_run(tmp_path: Path) -> None:
    outs = []
    SMALL_HEAD.save(tmp_path / "a")
    arrays = {**SMALL_HEAD.arrays, "calibration": np.array([2, 0], np.float32)}
    replace(SMALL_HEAD, arrays=arrays).save(tmp_path / "b")
    shutil.copytree(tmp_path / "a", tmp_path / "c")
    for folder in "abc":
        best = ["n=2", "verifier=head"]
        (done,) = tts.evaluate(
            "file", "best_of_n", overrides=best, models={"head": folder}, data="sums.jsonl"
        )
        outs.append(done.out)
    assert outs[0] == outs[2] != outs[1]


def test_benchmarks_by_presets_are_runs_with_folders() -> None:
    presets: list[str | tts.Preset] = ["single", load_preset("self_consistency", ["n=5"])]
    summaries = tts.evaluate("file", presets, data="sums.jsonl", epochs=2, seed=1)
    assert [(s.preset, s.repeats) for s in summaries] == [
        ("single", 2),
        ("self_consistency", 2),
    ]
    assert summaries[1].samples == 2 * 2 * 5
    folders = [Path(s.out) for s in summaries]
    assert all(folder.parent == Path("runs") and folder.is_dir() for folder in folders)
    again = tts.evaluate("file", presets, data="sums.jsonl", epochs=2, seed=1)
    assert [Path(s.out) for s in again] == folders
    assert [s.accuracy for s in again] == [s.accuracy for s in summaries]


def test_the_command_line_does_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    from tts.cli.main import run

    (ours,) = tts.evaluate("file", "single", data="sums.jsonl", limit=1, out="a")
    assert (
        run(
            [
                "eval",
                "file",
                "--preset",
                "single",
                "--data",
                "sums.jsonl",
                "--limit",
                "1",
                "--out",
                "b",
                "--json",
            ]
        )
        == 0
    )
    (theirs,) = json.loads(capsys.readouterr().out)["runs"]
    assert Path(ours.out).name == Path(theirs["out"]).name  # the same configuration
    assert ours.accuracy == theirs["accuracy"]


def test_evaluate_works_within_a_running_loop() -> None:
    async def cell_of_a_notebook() -> float:
        (summary,) = tts.evaluate("file", "single", data="sums.jsonl")
        return summary.accuracy

    assert 0 <= asyncio.run(cell_of_a_notebook()) <= 1


def test_samples_of_another_run_are_not_drawn_again() -> None:
    (first,) = tts.evaluate("file", "self_consistency", data="sums.jsonl", overrides=["n=4"])
    (then,) = tts.evaluate(
        "file",
        "self_consistency",
        data="sums.jsonl",
        overrides=["n=4", "order=index"],
        reuse=[first.out],
    )
    assert then.tokens.reused == first.tokens.generated


def test_columns_are_mapped() -> None:
    Path("mine.csv").write_text("question,target\nWhat is 1 plus 2?,3\n")
    names = {"question": "problem", "target": "answer"}
    (summary,) = tts.evaluate("file", "single", data="mine.csv", map=names)
    assert (summary.problems, summary.done) == (1, 1)
    with pytest.raises(tts.TTSError, match="map: expected a mapping"):
        tts.evaluate("file", "single", data="mine.csv", map="question=problem")  # type: ignore[arg-type]


@pytest.mark.parametrize(("benchmark", "reaches"), [("file", True), ("chain", False)])
def test_programs_are_graded_without_isolation_only_where_that_is_said(
    benchmark: str, reaches: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[bool] = []
    build = CodeGrader.__init__

    def watched(grader: CodeGrader, *, unsafe: bool = False) -> None:
        made.append(unsafe)
        build(grader, unsafe=unsafe)

    monkeypatch.setattr(CodeGrader, "__init__", watched)
    for unsafe in (False, True):
        tts.evaluate(
            benchmark, "single", data="sums.jsonl", unsafe_execution=unsafe, out=f"runs{unsafe}"
        )
    assert made == [False, reaches]  # chain's problems are no programs
