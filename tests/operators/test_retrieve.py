"""Passages that are looked up before anything is drawn."""

from pathlib import Path

import pytest

from tests.support.results import prompts_of
from tests.support.scripts import boxed
from tests.support.solving import solve
from tts.engine.scripted import Line, ScriptedEngine
from tts.errors import ParameterError
from tts.operators import follow, retrieve, vote
from tts.types import Problem

DOOR = "The code of the red door is 7."
FACTS = f"Mount Elbrus is 5642 metres high.\n{DOOR}\nThe red door opens to the north.\n"
ASKED = Problem("p", "What is the code of the red door?")


@pytest.mark.parametrize(
    ("problem", "found"),
    [
        (ASKED, f"Notes:\n{DOOR}\nThe red door opens to the north.\n"),
        (Problem("p", "12345 67890"), "Notes:\nNothing was found.\n"),
    ],
)
def test_the_nearest_passages_are_notes(tmp_path: Path, problem: Problem, found: str) -> None:
    file = tmp_path / "facts.txt"
    file.write_text(FACTS)
    engine = ScriptedEngine(lambda ask: Line(boxed(7)))
    pipeline = retrieve(file=str(file), passages=2) >> follow(n=3) >> vote()
    result = solve(engine, pipeline, problem=problem)
    assert result.answer is not None and result.answer.support.votes == 3
    assert found in prompts_of(engine)[0]
    assert result.usage.calls == 3, "looking up asks no model"


def test_a_file_that_is_missing_is_told_before_the_run() -> None:
    with pytest.raises(ParameterError, match=r"nowhere\.txt: cannot be read"):
        retrieve(file="nowhere.txt")
