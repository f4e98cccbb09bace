"""Generative verification and comparison: verdicts counted, never guessed."""

import math

import pytest

from tests.support.results import events, prompts_of
from tests.support.scripts import answered, says
from tests.support.solving import solve
from tts.engine.scripted import Ask, Line, Script, ScriptedEngine
from tts.errors import EngineError
from tts.operators.sample import sample
from tts.operators.score import score
from tts.operators.select import select
from tts.operators.vote import vote
from tts.types import Budget


def checks(*verdicts: str) -> Script:
    return lambda ask: Line(f"I checked.\nVerdict: {verdicts[ask.index % len(verdicts)]}")


def judged(name: str, script: Script, n: int = 1) -> ScriptedEngine:
    return ScriptedEngine(answered(("Attempt:", script), otherwise=says(12, 13)))


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        (("correct",), 1.0),
        (("incorrect",), 0.0),
        (("correct", "incorrect", "correct", "correct"), 0.75),
        (("correct", "hard to say", "hard to say", "incorrect"), 0.5),  # 1 of 2 readable
    ],
)
def test_frequency_of_readable_verdicts(verdicts: tuple[str, ...], expected: float) -> None:
    result = solve(judged("judge", checks(*verdicts)), sample() >> score(verifier="judge(k=4)"))
    (trajectory,) = result.trajectories
    assert trajectory.scores["judge(k=4)"].value == expected
    (event,) = events(result, "judge")
    assert event.fields["readable"] == 4 - verdicts.count("hard to say")
    assert result.usage.calls == 1 + 4


def test_no_readable_verdict_is_an_error() -> None:
    engine = judged("judge", checks("hard to say"))
    result = solve(engine, sample(n=2) >> score(verifier="judge") >> vote(weights="judge"))
    assert result.answer is None
    assert "none of 4 checks has a readable verdict" in result.reason


def test_no_budget_for_a_check_is_an_error() -> None:
    engine = judged("judge", checks("correct"))
    result = solve(
        engine, sample(n=2) >> score(verifier="judge") >> select(by="judge"), budget=Budget(calls=2)
    )
    assert "the budget left nothing for a check" in result.reason
    assert result.usage.calls == 2


def test_probability_of_the_verdict_token() -> None:
    # "correct" is drawn with probability 0.8, one log-probability for each of its characters and
    # the space; the mean of 0.8 and, for "incorrect", 1 - 0.8 is 0.5.
    def line(ask: Ask) -> Line:
        if ask.prompt.endswith("Verdict:"):
            verdict = " correct" if "first" in ask.prompt else " incorrect"
            size = len(verdict)
            return Line(verdict, logprobs=(math.log(0.8) / size,) * size)
        return Line(f"{'first' if ask.index == 0 else 'second'} check\nVerdict: whatever")

    name = "judge(k=2, reads=logprob)"
    result = solve(judged(name, line), sample() >> score(verifier=name))
    (trajectory,) = result.trajectories
    assert trajectory.scores[name].value == pytest.approx(0.5)
    assert result.usage.calls == 1 + 2 + 2


def test_a_check_that_never_comes_to_a_verdict_is_not_asked_for_it() -> None:
    name = "judge(k=2, reads=logprob)"
    result = solve(judged(name, lambda ask: Line("I wonder")), sample() >> score(verifier=name))
    assert result.usage.calls == 1 + 2
    assert "none of 2 checks has a readable verdict" in result.reason


def compared(choice: Script, answers: tuple[int, ...]) -> ScriptedEngine:
    return ScriptedEngine(answered(("Attempt 1:", choice), otherwise=says(*answers)))


def test_the_last_one_standing_wins() -> None:
    # 12-13, 14-15; the judge likes 15 best, then 12.
    def likes(ask: Ask) -> Line:
        return says(15 if "{15}" in ask.prompt else 12)(ask)

    engine = compared(likes, (12, 13, 14, 15))
    result = solve(engine, sample(n=4) >> score(verifier="pairwise") >> select(by="pairwise"))
    assert result.answer is not None and result.answer.text == "15"
    assert result.trajectories[0].scores["pairwise"].value == 1.0  # two rounds of two
    assert len(events(result, "choice")) == 3  # n - 1


def test_equal_answers_are_a_tie_without_a_question() -> None:
    result = solve(
        compared(says(13), (12, 12, 12)),
        sample(n=3) >> score(verifier="pairwise") >> select(by="pairwise"),
    )
    assert events(result, "choice") == []
    assert result.answer is not None and result.trajectories[0].parents == ()


def test_every_second_judgement_turns_the_pair_round() -> None:
    # A judge that always takes the first attempt shown is worth nothing: a tie, so 12 stays.
    name = "pairwise(k=2)"
    engine = compared(lambda ask: Line("Best: 1"), (12, 13))
    result = solve(engine, sample(n=2) >> score(verifier=name) >> select(by=name))
    assert result.answer is not None and result.answer.text == "12"
    name = "pairwise(mode=mbr, k=2)"
    engine = compared(lambda ask: Line("Best: 1"), (12, 13))
    result = solve(engine, sample(n=2) >> score(verifier=name))
    assert {t.scores[name].value for t in result.trajectories} == {0.5}


@pytest.mark.parametrize("text", ["Best: 7", "Best: 0", "\\boxed{99}", "no idea"])
def test_a_choice_that_cannot_be_read_is_counted(text: str) -> None:
    engine = compared(lambda ask: Line(text), (12, 13))
    result = solve(engine, sample(n=2) >> score(verifier="pairwise") >> select(by="pairwise"))
    assert result.answer is not None and result.answer.text == "12"
    (choice,) = events(result, "choice")
    assert choice.fields["readable"] is False


@pytest.mark.parametrize("name", ["judge", "pairwise", "ensemble(verifiers=[judge])"])
def test_a_policy_that_dies_while_it_judges_ends_the_run(name: str) -> None:
    def line(ask: Ask) -> Line:
        return Line("hm", hangs=True) if "Attempt" in ask.prompt else says(12, 13)(ask)

    with pytest.raises(EngineError, match="died"):
        solve(ScriptedEngine(line, die_at=60), sample(n=2) >> score(verifier=name))


def test_checks_are_not_wasted_but_the_attempts_that_lose_are() -> None:
    check = "all right\nVerdict: correct"
    engine = judged("judge(k=2)", lambda ask: Line(check))
    result = solve(engine, sample(n=2) >> score(verifier="judge(k=2)") >> select(by="judge(k=2)"))
    assert result.usage.checking_tokens == 2 * 2 * len(check)
    (loser,) = [t for t in result.samples if t.id != result.trajectories[0].id]
    assert result.usage.wasted_tokens == loser.usage.generated_tokens


def test_attempts_without_an_answer_do_not_play() -> None:
    engine = ScriptedEngine(answered(("Attempt 1:", says(12)), otherwise=says(None, 12)))
    result = solve(engine, sample(n=2) >> score(verifier="pairwise") >> select(by="pairwise"))
    assert result.answer is not None and result.answer.text == "12"
    assert events(result, "choice") == []


@pytest.mark.parametrize("name", ["judge", "pairwise", "checklist", "critic", "list_rank"])
def test_attempts_are_shown_without_their_thoughts(name: str) -> None:
    def attempt(ask: Ask) -> Line:
        return Line(f"<think>\nhm, secret\n</think>\n\nIt is \\boxed{{{ask.index}}}")

    says_best = Line("Verdict: correct\nBest: 1\nGrade: 5\n\\boxed{0}")
    engine = ScriptedEngine(answered(("Attempt", lambda ask: says_best), otherwise=attempt))
    solve(engine, sample(n=2) >> score(verifier=name) >> select(by=name))
    judged_prompts = [text for text in prompts_of(engine) if "Attempt" in text]
    assert judged_prompts
    assert all("It is" in text and "secret" not in text for text in judged_prompts)
