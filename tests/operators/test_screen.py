"""Screening: chunks, room, budgets, and drafts that fail."""

from pathlib import Path

import pytest

from tests.support.logs import cut_log
from tests.support.results import events
from tests.support.solving import solve
from tts.engine.scripted import Ask, Line, ScriptedEngine
from tts.operators.sample import sample
from tts.operators.screen import screen
from tts.operators.vote import vote
from tts.runtime.log_file import LogFile
from tts.types import Budget, Sampling

TEXT = r"a thought of some length, and so \boxed{12}"


def going_on(ask: Ask) -> Line:
    """Say the text, or what is left of it."""
    said = ask.prompt.rpartition("<assistant>")[2]
    return Line(TEXT[len(said) :])


PIPELINE = sample().named("warmup") >> screen(n=2, chunk=10, window=5)


def test_chunks_join_to_the_whole() -> None:
    engine = ScriptedEngine(going_on)
    result = solve(engine, PIPELINE)
    assert {t.text for t in result.trajectories} == {TEXT}
    assert {t.answer for t in result.trajectories} == {"12"}
    # One warm-up, and for each of two drafts five chunks of at most 10 for 43 characters.
    assert len(TEXT) == 43
    assert [r.sampling.max_tokens for r in engine.requests].count(10) == 2 * 5
    assert result.usage.generated_tokens == 3 * 43
    drafts = [t for t in result.trajectories if t.origin.node == "screen"]
    assert [len(t.token_ids) for t in drafts] == [43, 43]
    assert [len(t.confidences or ()) for t in drafts] == [43, 43]


def test_a_draft_ends_at_the_profile_limit() -> None:
    result = solve(ScriptedEngine(going_on), PIPELINE, sampling=Sampling(max_tokens=25))
    drafts = [t for t in result.trajectories if t.origin.node == "screen"]
    assert [(len(t.text), t.finish_reason) for t in drafts] == [(25, "length")] * 2


@pytest.mark.parametrize("tokens", [30, 60, 100])
def test_a_budget_ends_drafts_and_keeps_what_they_have(tokens: int) -> None:
    result = solve(ScriptedEngine(going_on), PIPELINE, budget=Budget(tokens=tokens))
    assert (result.usage.generated_tokens or 0) <= tokens
    assert f"the budget of {tokens}tokens is spent" in result.reason


def test_a_draft_that_fails_is_data() -> None:
    def line(ask: Ask) -> Line:
        is_draft = ask.request.sampling.max_tokens == 10
        return Line("", error="out of luck") if is_draft else going_on(ask)

    result = solve(ScriptedEngine(line), PIPELINE >> vote())
    assert result.answer is not None and result.answer.support.votes == 1
    assert "out of luck" in result.reason


def test_without_confidences_there_is_no_bar_and_it_says_so() -> None:
    engine = ScriptedEngine(lambda ask: Line("", confidences=()))
    result = solve(engine, PIPELINE >> vote())
    assert result.answer is None
    assert "no warm-up trajectory has confidences to set a bar" in result.reason


def test_a_short_draft_is_judged_when_it_ends() -> None:
    def line(ask: Ask) -> Line:
        is_draft = ask.request.sampling.max_tokens == 10
        return Line("short", confidences=(0.5 if is_draft else 2.0,) * 5)

    pipeline = sample().named("warmup") >> screen(n=1, chunk=10, window=100)
    result = solve(ScriptedEngine(line), pipeline)
    assert [event.fields["tokens"] for event in events(result, "pruned")] == [5]
    assert sorted(t.finish_reason or "" for t in result.trajectories) == ["pruned", "stop"]


def test_it_resumes_chunk_by_chunk(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with LogFile(path) as log:
        first = solve(ScriptedEngine(going_on), PIPELINE, log=log)
    cut_log(path, 6)
    engine = ScriptedEngine(going_on)
    with LogFile(path) as log:
        second = solve(engine, PIPELINE, log=log)
    assert sum(request.n for request in engine.requests) == 1 + 2 * 5 - 6
    assert {t.id: t.text for t in second.trajectories} == {t.id: t.text for t in first.trajectories}
