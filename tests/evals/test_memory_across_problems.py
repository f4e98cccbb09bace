"""Runs whose problems learn from each other: the memory is the same after a kill."""

from pathlib import Path

import pytest

from tests.evals.test_runner import outcome, plan, records, run
from tests.support.logs import cut_log, num_completions
from tts.engine.scripted import Ask, Line, ScriptedEngine
from tts.evals.stored_run import GENERATIONS, MEMORY
from tts.prompts import WRITE_CONCEPTS


def pupil(ask: Ask) -> Line:
    """Is right where it was shown two hints or by chance; writes a concept named by its seed."""
    number = int(ask.prompt.rsplit("Say ")[-1].split(".")[0])
    if WRITE_CONCEPTS in ask.prompt:
        return Line(f"- name: idea {ask.seed % 5}\n  description: of {number}")
    if "Reply with the names" in ask.prompt:
        return Line("idea 1\nidea 3\nidea 2")
    is_right = ask.prompt.count("- idea") > 1 or ask.seed % 3
    return Line("x" * (ask.seed % 7) + rf"\boxed{{{number if is_right else ask.seed % 90}}}")


PLAN = plan("concept_memory", "n=2", "learn=label", "hints=2", "batch=2")


@pytest.mark.parametrize("part", [0.0, 0.3, 0.6, 0.9])
def test_a_killed_run_learns_what_it_would_have_learnt(part: float, tmp_path: Path) -> None:
    whole = run(PLAN, ScriptedEngine(pupil), tmp_path / "whole")
    folder = Path(run(PLAN, ScriptedEngine(pupil), tmp_path / "cut").out)
    log, memory = folder / GENERATIONS, folder / MEMORY
    known = memory.read_text().splitlines(keepends=True)
    finished = folder / "problems.jsonl"
    lines = finished.read_text().splitlines(keepends=True)
    # The problems that were finished stay; one that had learnt and was not yet written down, too.
    done = int(part * len(lines))
    cut_log(log, int(part * num_completions(log)))
    finished.write_text("".join(lines[:done]))
    memory.write_text("".join(known[: done + 1]))
    (folder / "summary.json").unlink()
    again = run(PLAN, ScriptedEngine(pupil), tmp_path / "cut")
    assert sorted(memory.read_text().splitlines(keepends=True)) == sorted(known)
    assert [outcome(r) for r in records(again)] == [outcome(r) for r in records(whole)]


def test_a_run_that_learns_nothing_has_no_memory_on_disk(tmp_path: Path) -> None:
    folder = Path(run(plan("single"), ScriptedEngine(pupil), tmp_path).out)
    assert not (folder / MEMORY).exists()
