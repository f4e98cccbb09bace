"""Open questions: the text is the answer, and judges, checklists and pairs decide."""

import re

import pytest

from tests.support.scripts import answered
from tests.support.solving import solve
from tts.engine.scripted import Ask, Line
from tts.operators.sample import sample
from tts.operators.score import score
from tts.operators.select import select
from tts.operators.vote import vote
from tts.pipeline import Pipeline
from tts.types import Problem

PROBLEM = Problem("p", "Write about rain.", answer_type="free")
ESSAYS = ("Rain is wet.", "Rain is grey.", "Rain is green.")
PAIRS = "pairwise(mode=mbr)"
JUDGE = "judge(k=1)"


def essay(ask: Ask) -> Line:
    return Line(f"<think>hm</think>\n\n{ESSAYS[ask.index % 3]}")


def best_is_grey(ask: Ask) -> Line:
    shown = re.findall(r"(?s)Attempt (\d+):\n.*?(wet|grey|green)", ask.prompt)
    return Line(f"Best: {next((n for n, word in shown if word == 'grey'), '1')}")


def verdict(ask: Ask) -> Line:
    return Line("Verdict: correct" if "grey" in ask.prompt else "Verdict: incorrect")


@pytest.mark.parametrize(
    "chooser",
    [
        score(verifier="checklist") >> select(by="checklist"),
        score(verifier=PAIRS) >> select(by=PAIRS),
        score(verifier=JUDGE) >> select(by=JUDGE),
        score(verifier=JUDGE) >> vote(weights=JUDGE),
    ],
    ids=["checklist", "pairs", "judge", "weighted vote"],
)
def test_verifiers_choose_among_free_texts(chooser: Pipeline) -> None:
    script = answered(("Check each step", verdict), ("Attempt 1:", best_is_grey), otherwise=essay)
    result = solve(script, sample(n=3) >> chooser, problem=PROBLEM)
    assert result.answer is not None
    assert result.answer.text == "Rain is grey."


def test_a_vote_drops_nobody_and_finds_no_two_alike() -> None:
    result = solve(essay, sample(n=6) >> vote(), problem=PROBLEM)
    assert result.answer is not None
    assert (result.answer.support.votes, result.answer.support.voters) == (1, 6)


def test_a_thought_that_breaks_off_is_no_answer() -> None:
    result = solve(lambda ask: Line("<think>hm"), sample(n=1) >> vote(), problem=PROBLEM)
    assert result.answer is None
