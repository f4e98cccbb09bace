"""Attempts of a limited length, and answers forced out of them, worked by hand."""

import pytest
from pydantic import ValidationError

from tests.support.results import noted
from tests.support.scripts import boxed
from tests.support.solving import solve
from tts.engine.scripted import Ask, Line, ScriptedEngine, render
from tts.operators.force import Force, force
from tts.operators.vote import vote
from tts.types import Budget, Sampling

LEAD = "\n\nFinal Answer:"


def writer(*lengths: int) -> ScriptedEngine:
    """Attempt i is so many characters and an answer; what is forced is 12."""

    def line(ask: Ask) -> Line:
        if ask.prompt.endswith(LEAD):
            return Line(" 12")
        return Line("x" * (lengths[ask.index] - len(boxed(7))) + boxed(7))

    return ScriptedEngine(line)


def test_an_attempt_that_ends_by_itself_is_left_alone() -> None:
    engine = writer(40)
    result = solve(engine, force(), sampling=Sampling(max_tokens=60))
    assert result.trajectories[0].text.endswith(boxed(7))
    assert result.trajectories[0].finish_reason == "stop"
    assert result.usage.calls == 1 and not noted(result, "forced")


def test_an_attempt_at_its_limit_is_made_to_answer() -> None:
    engine = writer(90)
    result = solve(engine, force(answer_tokens=10), sampling=Sampling(max_tokens=60))
    (made,) = result.trajectories
    assert made.text == "x" * 60 + LEAD + " 12"
    assert made.answer == "12" and made.finish_reason == "stop"
    assert [r.sampling.max_tokens for r in engine.requests] == [60, 10]
    assert render(engine.requests[1].prompt).endswith(f"<assistant>{'x' * 60}{LEAD}")
    assert result.usage.generated_tokens == made.usage.generated_tokens == 60 + 3
    assert made.logprobs is None


def test_what_is_known_of_each_token_covers_both_parts() -> None:
    sampling = Sampling(max_tokens=60, logprobs=1)
    result = solve(writer(90), force(), sampling=sampling)
    assert len(result.trajectories[0].logprobs or ()) == 60 + 3


def test_a_thought_that_is_skipped_stays_skipped() -> None:
    engine = writer(90)
    result = solve(engine, force(mode="no_thinking"), sampling=Sampling(max_tokens=30))
    assert [render(r.prompt).partition("\n<assistant>")[2] for r in engine.requests] == [
        "<think>\n\n</think>\n\n",
        "<think>\n\n</think>\n\n" + "x" * 30 + LEAD,
    ]
    assert result.answer is not None and result.answer.text == "12"


def test_or_says_a_few_words() -> None:
    engine = writer(40)
    solve(engine, force(mode="no_thinking", words="Done."))
    assert engine.requests[0].prompt.beginning == "<think>\nDone.\n</think>\n\n"
    with pytest.raises(ValidationError, match="mode no_thinking"):
        Force(words="Done.")


@pytest.mark.parametrize(("tokens", "limit"), [(400, 200), (250, 150), (160, 80)])
def test_the_budget_keeps_room_for_the_answer(tokens: int, limit: int) -> None:
    engine = writer(900)
    sampling = Sampling(max_tokens=200)
    budget = Budget(tokens=tokens)
    result = solve(engine, force(answer_tokens=100), budget=budget, sampling=sampling)
    assert engine.requests[0].sampling.max_tokens == limit
    assert result.answer is not None and result.answer.text == "12"
    assert (result.usage.generated_tokens or 0) <= tokens


def test_several_attempts_vote_however_they_end() -> None:
    pipeline = force(n=3) >> vote()
    result = solve(writer(40, 90, 90), pipeline, sampling=Sampling(max_tokens=60))
    assert sorted(t.answer or "" for t in result.samples) == ["12", "12", "7"]
    assert result.answer is not None and result.answer.text == "12"
    assert len(noted(result, "forced")) == 2


def test_an_attempt_that_fails_is_not_forced() -> None:
    result = solve(lambda ask: Line("hm", error="broken"), force())
    assert result.usage.calls == 1 and "broken" in result.reason
