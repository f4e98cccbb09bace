"""Sources of associative memory, each asked alone."""

import asyncio
from pathlib import Path
from typing import cast

import pytest

from tts import prompts
from tts.errors import InputError, ParameterError
from tts.parts import plugins
from tts.parts.build import build_part
from tts.passages import read_passages
from tts.protocols import Context
from tts.search.memories import facts, function
from tts.search.memories.base import AssociativeMemory, Cue
from tts.types import Problem

NO_CONTEXT = cast("Context", None)  # these ask nothing of the run
ELBRUS = "Mount Elbrus is 5642 metres high."
DOOR = "The code of the red door is 7."


def cue(*steps: str, recalled: tuple[str, ...] = ()) -> Cue:
    return Cue(Problem(id="p"), steps, recalled, 64)


def recall(memory: AssociativeMemory, asked: Cue) -> str:
    return asyncio.run(memory.recall(NO_CONTEXT, asked))


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "facts.txt"
    path.write_text(f"{ELBRUS}\n\n  The code of \t the red door is 7. \n{ELBRUS}\n")
    return str(path)


def test_the_passage_that_is_nearest_to_the_newest_step(file: str) -> None:
    memory = facts.build(facts.Config(file=file))
    assert recall(memory, cue("We open the red door.", "How high is Mount Elbrus?")) == ELBRUS
    assert recall(memory, cue("How high is Mount Elbrus?", "We open the red door.")) == DOOR
    assert recall(memory, cue("zzz")) == ""


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ("The director of the film was born in Warsaw.", "Marie Curie was born in Warsaw."),
        ("So the triangle has angles 40, 60 and x.", "The sum of the angles of a triangle is 180."),
        ("Let x be the number of apples that Ann has.", ""),
        ("We add 4 to both sides and get 2x = 10.", ""),
    ],
)
def test_by_default_what_has_nothing_to_do_with_a_step_is_not_recalled(
    tmp_path: Path, step: str, expected: str
) -> None:
    path = tmp_path / "facts.txt"
    others = ["Marie Curie was born in Warsaw.", "The sum of the angles of a triangle is 180."]
    path.write_text("\n".join([DOOR, ELBRUS, *others]))
    assert recall(facts.build(facts.Config(file=str(path))), cue(step)) == expected


def test_as_many_as_asked_for_and_none_twice(file: str) -> None:
    memory = facts.build(facts.Config(file=file, passages=2, least=0.0))
    assert recall(memory, cue("Which door?")) == f"{DOOR} {ELBRUS}"
    told = cue("Which door?", "The red door.", recalled=(DOOR,))
    assert recall(memory, told) == ELBRUS
    cut = cue("Which door?", "The red door.", recalled=("The code of the red",))
    assert recall(memory, cut) == ELBRUS
    assert recall(facts.build(facts.Config(file=file, least=1.0)), cue("The red door.")) == ""
    assert recall(facts.build(facts.Config(file=file, least=0.99)), cue(DOOR)) == DOOR


def test_passages_of_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "facts.jsonl"
    path.write_text('{"text": "a  b", "source": "x"}\n\n{"text": "c"}\n')
    assert read_passages(path) == ["a b", "c"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("facts.txt", " \n\n", "facts.txt: holds no passage; write one on each line"),
        ("facts.jsonl", '{"text": "a"}\nb\n', 'facts.jsonl:2: expected {"text": "..."}'),
        ("facts.jsonl", '{"words": "a"}\n', 'facts.jsonl:1: expected {"text": "..."}'),
    ],
)
def test_a_file_without_facts_is_refused(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError) as caught:
        facts.build(facts.Config(file=str(tmp_path / name)))
    assert message in str(caught.value)


async def shout(asked: Cue) -> str:
    return asked.steps[-1].upper()


def test_a_function_in_python_or_by_its_path() -> None:
    memory = function.build(function.Config(function=shout))
    assert asyncio.run(memory.recall(NO_CONTEXT, cue("a", "b"))) == "B"
    plugins.load_plugin(__name__)
    found = function.Config.model_validate({"function": f"{__name__}.shout"})
    assert found.model_dump(mode="json") == {"function": f"{__name__}.shout"}


def test_a_path_calls_no_function_of_a_module_that_nobody_loaded() -> None:
    with pytest.raises(ParameterError, match="a name alone imports no module"):
        build_part("memory", "function", {"function": "os.system"})


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (" 7 * 8 = 56. \n", "7 * 8 = 56."),
        ("None.", ""),
        ('"none"', ""),
        ("<think>\nWhat do I know?\n</think>\n\nnone", ""),
        ("<think>\nWhat do I know?", ""),
        ("None of them is even.", "None of them is even."),
        ("", ""),
    ],
)
def test_what_a_model_recalls(answer: str, expected: str) -> None:
    assert prompts.parse_recalled(answer) == expected


def test_a_model_is_shown_the_steps_and_what_was_recalled() -> None:
    problem = Problem(id="p", statement="Which code?")
    (message,) = prompts.recall(problem, ["Step a.", "Step b."], ["A fact."]).messages
    assert message.content == (
        "Which code?\n\nSolution so far:\n\nStep a.\n\nStep b.\n\nNote: A fact.\n\n"
        + prompts.RECALL
    )
