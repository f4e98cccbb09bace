"""Recorded thoughts that a verifier reads: parts, ends and shares, counted by hand."""

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.commands import Outcome
from tts import prompts
from tts.bench.thoughts import Read, Recorded, after_right, describe, read
from tts.engine.scripted import Ask, Line, ScriptedEngine
from tts.parts.build import build_part
from tts.types import Problem

PROBLEM = Problem("p", "What is 3 * 4?", reference="12")


def part(says: str) -> str:
    """Return a part of a thought, 200 characters long."""
    return f"Wait, {says}".ljust(199, ".") + "\n"


def verifier() -> ScriptedEngine:
    """Says what parts say, to the letter."""

    def line(ask: Ask) -> Line:
        found = re.findall(r"I get (\d+)", ask.prompt)
        is_same = prompts.SAME_ANSWER not in ask.prompt or len(set(found)) == 1
        return Line("yes" if found and is_same else "no")

    return ScriptedEngine(line)


def test_a_thought_is_played_and_ended_where_the_verifier_has_it_settled() -> None:
    said = ["hm", "I get 13", "I get 12", "I get 12", "I get 12", "so", "so", "so", "so", "so"]
    recorded = Recorded(PROBLEM, "".join(map(part, said)), is_right=True)
    done = asyncio.run(read(verifier(), recorded, 0))
    # Slices of 400 characters: the fifth part is whole in the third slice, which ends at 1,200,
    # less the newline there.
    assert done == Read("p", True, 2000, 1199, "settled", 6, 5 + 3, True)


def test_a_thought_without_an_answer_is_read_to_its_end() -> None:
    recorded = Recorded(PROBLEM, part("hm") * 5, is_right=False)
    done = asyncio.run(read(verifier(), recorded, 0))
    assert (done.kept, done.end, done.parts, done.has_right) == (1000, "", 5, False)


@pytest.mark.parametrize(
    ("said", "share"),
    [
        (["I get 12", "so"], 0.5),
        (["hm", "I get 12", "so", "so"], 0.5),
        (["hm", "I get 13"], 0.0),
        (["hm", "I get 12"], 0.0),
    ],
)
def test_what_follows_the_right_answer(said: list[str], share: float) -> None:
    recorded = Recorded(PROBLEM, "".join(map(part, said)), is_right=True)
    assert after_right(recorded) == share


def test_ends_are_counted_apart_for_right_and_wrong_ones() -> None:
    done = [
        Read("a", True, 1000, 400, "settled", 2, 3, True),
        Read("b", True, 1000, 1000, "", 5, 5, True),
        Read("c", False, 800, 600, "unsettled", 9, 9, False),
    ]
    assert list(describe(done)) == [
        "2 thoughts that came to a right answer: 1 ended as settled, 0 as unsettled; 70% of the "
        "text kept, 4.0 questions each",
        "1 thoughts that came to a wrong answer: 0 ended as settled, 1 as unsettled; 75% of the "
        "text kept, 9.0 questions each",
        "of the 1 right ones that were ended, 1 have the right answer in what was kept",
    ]
    assert not list(describe([]))


def test_the_command_counts_parts(tts: Callable[..., Outcome], tmp_path: Path) -> None:
    problem = next(iter(build_part("benchmark", "chain", {}).problems("test")))
    thought = part("hm") + part(f"I get {problem.reference}") + part("so") + part("so")
    samples = [
        {"answer": "1", "correct": True, "text": f"{thought}</think>\n\nDone."},
        {"answer": "1", "correct": False, "text": "Nothing.</think>\n\nDone."},
        {"answer": None, "correct": False, "text": "Never ended."},
    ]
    path = tmp_path / "pool.jsonl"
    path.write_text(json.dumps({"problem_id": problem.id, "model": "m", "samples": samples}))
    words = ("bench", "thoughts", str(path), "--benchmark")
    assert tts(*words, "chain").out.splitlines() == [
        "3 thoughts, 2 had ended, 1 of these with a reflection word",
        "50% of a right one's text follows the part in which its answer first stands",
        "1 to 1 parts: 0% of 2 are right",
        "2 to 10 parts: 100% of 1 are right",
    ]
    refused = tts(*words, "countdown")
    assert refused.code == 2 and "no thought that had ended" in refused.err
