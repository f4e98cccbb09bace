"""Hedged sampling, X-MBR and CHOPS: the greedy sample, win rates and choices, by hand."""

import re

import pytest

from tests.support.results import events
from tests.support.scripts import answered, says
from tests.support.solving import solve
from tts import prompts
from tts.engine.scripted import Ask, Line, Script, ScriptedEngine
from tts.strategies import chops, hedged, xmbr
from tts.types import Problem


def greedy(first: int, *others: int) -> Script:
    """The greedy sample gives the first answer, the others theirs in turn."""

    def line(ask: Ask) -> Line:
        if ask.request.sampling.temperature == 0:
            return says(first)(ask)
        return says(*others)(ask) if others else says(first)(ask)

    return line


def best_with(answer: int) -> Script:
    """Names the attempt that has an answer, whatever its number."""

    def line(ask: Ask) -> Line:
        shown = re.findall(r"Attempt (\d+):\n[^\n]*boxed{(\d+)}", ask.prompt)
        return Line(f"Best: {next(n for n, text in shown if text == str(answer))}")

    return line


def test_one_sample_is_greedy() -> None:
    engine = ScriptedEngine(greedy(12))
    result = solve(engine, hedged(n=1))
    assert [r.sampling.temperature for r in engine.requests] == [0.0]
    assert result.answer is not None and result.answer.text == "12"


def test_ties_go_to_the_greedy_sample() -> None:
    result = solve(ScriptedEngine(greedy(12, 13)), hedged(n=2))
    assert result.answer is not None and result.answer.text == "12"
    result = solve(ScriptedEngine(greedy(12, 13)), hedged(n=3))
    assert result.answer is not None and result.answer.text == "13"


def test_a_verifier_may_choose() -> None:
    pipeline = hedged(n=3, verifier="confidence(measure=likelihood)")
    result = solve(ScriptedEngine(greedy(12, 13)), pipeline)
    assert result.answer is not None and result.answer.text == "12"  # all alike: the first


@pytest.mark.parametrize(
    ("verdict", "answer", "value"),
    [
        (12, "12", 1.0),  # wins against the other candidate and both pieces of evidence
        (13, "13", 2 / 3),  # wins against the greedy one, ties with the evidence: 1 + 1/2 + 1/2
        (99, "12", 1 / 2),  # cannot be read: half a win each, and the first candidate stays
    ],
)
def test_xmbr_keeps_the_candidate_with_the_highest_win_rate(
    verdict: int, answer: str, value: float
) -> None:
    engine = ScriptedEngine(answered(("Attempt 1:", says(verdict)), otherwise=greedy(12, 13)))
    result = solve(engine, xmbr(n=2, evidence=2))
    (score,) = result.trajectories[0].scores.values()
    assert score.value == pytest.approx(value)
    assert result.answer is not None and result.answer.text == answer
    # Pairs with different answers: greedy against the candidate and against two of evidence.
    assert len(events(result, "choice")) == 3


def test_xmbr_asks_for_evidence_in_another_language() -> None:
    engine = ScriptedEngine(answered(("Attempt 1:", says(12)), otherwise=greedy(12)))
    solve(engine, xmbr(n=1, evidence=1))
    texts = [request.prompt.messages[-1].content for request in engine.requests]
    assert sum("Write in Chinese." in text for text in texts) == 1


def test_another_language_than_the_problem_s() -> None:
    for statement, language in (
        ("Is π greater than three?", "Chinese"),
        ("三乘四等于多少", "English"),
    ):
        prompt = prompts.solve_in_another_language(Problem("p", statement))
        assert prompt.messages[-1].content.endswith(f"Write in {language}.")


def test_chops_asks_once_and_keeps_the_chosen_one() -> None:
    engine = ScriptedEngine(answered(("Attempt 1:", best_with(14)), otherwise=greedy(12, 13, 14)))
    result = solve(engine, chops(n=3))
    assert result.answer is not None and result.answer.text == "14"
    assert len([r for r in engine.requests if "Attempt 1:" in r.prompt.messages[-1].content]) == 1


def test_a_choice_that_cannot_be_read_is_counted_and_leaves_the_greedy_one() -> None:
    script = answered(("Attempt 1:", lambda ask: Line("who knows")), otherwise=greedy(12, 13, 14))
    result = solve(ScriptedEngine(script), chops(n=3))
    assert result.answer is not None and result.answer.text == "12"
    (choice,) = events(result, "choice")
    assert choice.fields["readable"] is False
