"""The pool benchmark: recorded labels, and comparison where there is none."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.pools import row, write_pool
from tts.errors import ProblemError
from tts.parts.build import build_part
from tts.protocols import Benchmark
from tts.types import Answer, Support

VOTE = Support(votes=1, voters=1, weight=1.0, probability=1.0)


def pool(folder: Path, *rows: dict[str, Any]) -> Benchmark:
    benchmark: Benchmark = build_part("benchmark", "pool", {"data": write_pool(folder, *rows)})
    return benchmark


def test_answers_are_graded_as_recorded_or_by_comparison(tmp_path: Path) -> None:
    odd = row("a", ["3", "4", "2/2"])
    odd["samples"][0]["correct"] = True  # the pool knows better than the reference
    benchmark = pool(tmp_path, odd)
    (problem,) = benchmark.problems("test")
    grades = {a: benchmark.grade(problem, Answer(a, a, VOTE)) for a in ("3", "4", "8/2", "9")}
    assert {a: g.correct for a, g in grades.items()} == {
        "3": True,
        "4": True,
        "8/2": True,  # not recorded; equals the reference 4
        "9": False,
    }
    assert grades["3"].reason == "as recorded"


def test_it_needs_a_pool_and_has_one_split(tmp_path: Path) -> None:
    with pytest.raises(ProblemError, match="--model replay:FILE"):
        build_part("benchmark", "pool", {})
    with pytest.raises(ProblemError, match="no split 'train'"):
        build_part("benchmark", "pool", {"data": write_pool(tmp_path, row("a", ["4"]))}).problems(
            "train"
        )
