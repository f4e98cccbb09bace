"""Refinement chains: what is shown, what is sent, what it costs."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from tests.support.results import answers, by_id, noted, prompts_of
from tests.support.scripts import boxed
from tests.support.solving import solve
from tests.support.verifiers import ByText
from tts import prompts
from tts.engine.scripted import Ask, Line, Script, ScriptedEngine
from tts.errors import CapabilityError
from tts.operators.refine import Refine, refine
from tts.operators.sample import sample
from tts.operators.vote import vote
from tts.types import Budget, Result, Sampling


def count_up(ask: Ask) -> Line:
    """The draft says 1; a revision says one more than the last attempt shown."""
    shown = re.findall(r"boxed\{(\d+)\}", ask.prompt)
    return Line(boxed(int(shown[-1]) + 1 if shown else 1))


def checker(*, accepts: str, ending: str = "Verdict: ") -> ScriptedEngine:
    """Drafts say 1, revisions one more; a check accepts the answer named."""

    def line(ask: Ask) -> Line:
        if "Check each step" in ask.prompt:
            found = re.findall(r"boxed\{(\d+)\}", ask.prompt)[-1]
            return Line(f"{ending}{'correct' if found == accepts else 'incorrect'}")
        return count_up(ask)

    return ScriptedEngine(line)


def test_a_chain_sends_its_last_attempt_and_keeps_its_lineage() -> None:
    result = solve(count_up, sample(n=1) >> refine(rounds=3))
    assert result.answer is not None and result.answer.text == "4"  # 1, 2, 3, 4
    assert len(result.trajectories) == 4
    assert result.usage.calls == 4
    assert result.usage.wasted_tokens == 0
    last = result.trajectories[0]
    assert by_id(result)[last.parents[0]].answer == "3"


def test_a_chain_may_send_every_attempt() -> None:
    result = solve(count_up, sample(n=2) >> refine(rounds=2, emit="all") >> vote())
    voters = noted(result, "vote")[0]["votes"]
    assert voters == {"1": 2.0, "2": 2.0, "3": 2.0}
    assert result.answer is not None and result.answer.text == "1"  # a tie goes to the first
    assert len({t.id for t in result.trajectories}) == len(result.trajectories) == 7


@pytest.mark.parametrize(
    ("memory", "shown"),
    [
        (1, [["1"], ["2"], ["3"]]),
        (2, [["1"], ["1", "2"], ["2", "3"]]),
        (4, [["1"], ["1", "2"], ["1", "2", "3"]]),
    ],
)
def test_it_shows_the_last_attempts(memory: int, shown: list[list[str]]) -> None:
    engine = ScriptedEngine(count_up)
    solve(engine, sample(n=1) >> refine(rounds=3, memory=memory))
    seen = [re.findall(r"boxed\{(\d+)\}", prompt) for prompt in prompts_of(engine)[1:]]
    assert seen == shown


def test_thoughts_are_not_shown() -> None:
    engine = ScriptedEngine(lambda ask: Line(f"secret</think>\n\n{boxed(12)}"))
    solve(engine, sample(n=1) >> refine())
    assert "secret" not in prompts_of(engine)[1]


def test_a_check_that_accepts_ends_the_chain() -> None:
    engine = checker(accepts="2")
    result = solve(engine, sample(n=1) >> refine(mode="critique", rounds=5))
    # draft 1, check, revision 2, check: accepted.
    assert result.usage.calls == 4
    assert result.answer is not None and result.answer.text == "2"
    assert result.trajectories[0].scores["critique"].value == 1.0
    assert [e["verdict"] for e in noted(result, "critique")] == [False, True]
    assert "Check:\nVerdict: incorrect" in prompts_of(engine)[2]
    assert result.usage.wasted_tokens == 0


def test_a_draft_that_is_accepted_at_once_costs_its_check_only() -> None:
    result = solve(checker(accepts="1"), sample(n=1) >> refine(mode="critique", rounds=5))
    assert result.usage.calls == 2
    assert result.trajectories[0].id == "sample:0"
    spent = len(boxed(1)) + len("Verdict: correct")
    assert result.trajectories[0].usage.generated_tokens == spent
    assert result.usage.generated_tokens == spent


def test_a_check_need_not_be_believed() -> None:
    result = solve(checker(accepts="1"), sample(n=1) >> refine(mode="critique", accept=False))
    assert result.answer is not None and result.answer.text == "2"
    assert result.usage.calls == 3


def test_a_check_without_a_verdict_is_counted_and_not_guessed() -> None:
    result = solve(
        checker(accepts="1", ending="I believe it is "),
        sample(n=1) >> refine(mode="critique", rounds=2),
    )
    assert result.usage.calls == 5  # draft, and twice a check and a revision
    assert [e["verdict"] for e in noted(result, "critique")] == [None, None]
    assert "a critique ended without a verdict" in result.reason


def test_a_revision_without_an_answer_does_not_replace_one_that_has_it() -> None:
    result = solve(
        lambda ask: Line("lost the thread" if "Attempt" in ask.prompt else boxed(12)),
        sample(n=1) >> refine(rounds=2),
    )
    assert result.answer is not None and result.answer.text == "12"
    assert result.usage.wasted_tokens == 2 * len("lost the thread")


def test_a_failed_revision_keeps_the_attempt_and_says_so() -> None:
    result = solve(
        lambda ask: Line(boxed(12), error="out of luck" if "Attempt" in ask.prompt else None),
        sample(n=2) >> refine(),
    )
    assert answers(result)[:2] == ["12", "12"]
    assert "a revision failed: out of luck" in result.reason


def test_an_attempt_too_long_to_show_keeps_its_answer() -> None:
    long = "x" * 9_852 + boxed(12)
    texts = {0: long, 1: boxed(7)}
    result = solve(
        lambda ask: Line(boxed(8) if "Attempt" in ask.prompt else texts[ask.index]),
        sample(n=2) >> refine(),
        sampling=Sampling(max_tokens=20_000),
    )
    # The context holds 10,000 tokens: the first attempt cannot be shown, the second one is revised.
    assert sorted(filter(None, answers(result)[:2])) == ["12", "8"]
    assert "the context is 10000" in result.reason


def test_each_is_revised_as_soon_as_it_arrives() -> None:
    def line(ask: Ask) -> Line:
        return Line(boxed(12), hangs=ask.index == 1, ticks=1)

    result = solve(line, sample(n=2) >> refine() >> vote(stop_at=0.7))
    # One vote gives 1 - 0.5^2 = 0.75; the second draft never ends and is cancelled.
    assert result.answer is not None and result.answer.support.votes == 1
    assert len(noted(result, "request")) == 2


def test_children_of_different_parents_differ_and_repeat() -> None:
    def ids() -> dict[str, int]:
        result = solve(count_up, (sample(n=1) | sample(n=1)) >> refine(rounds=2, emit="all"))
        return {t.id: t.origin.seed for t in result.trajectories}

    first = ids()
    assert len(first) == 6
    assert len(set(first.values())) == 6
    assert ids() == first


def test_the_budget_ends_chains_where_they_are() -> None:
    tokens = 3 * len(boxed(1)) + 5
    result = solve(count_up, sample(n=1) >> refine(rounds=9), budget=Budget(tokens=tokens))
    assert (result.usage.generated_tokens or 0) <= tokens
    assert result.answer is not None and result.answer.text == "3"
    assert "is spent" in result.reason


def told_by(rule: Callable[[str], float], **options: Any) -> tuple[Result, list[str]]:
    """Revise by the verdicts of a rule on texts; returns the result, and what was asked."""
    engine = ScriptedEngine(count_up)
    pipeline = sample(n=1) >> refine(mode="verdict", verifier="rule", rounds=4, **options)
    return solve(engine, pipeline, verifiers={"rule": ByText(rule)}), prompts_of(engine)


def test_an_attempt_is_told_only_that_it_is_wrong_until_the_verifier_takes_it() -> None:
    result, asked = told_by(lambda text: 1.0 if "{3}" in text else 0.2, memory=4)
    assert result.answer is not None and result.answer.text == "3"
    first, second, third = asked  # 1 and 2 are wrong, 3 is right
    assert "Attempt" not in first and second.count("This attempt is wrong.") == 1
    assert "Check 1:\nThis attempt is wrong." in third and "boxed{3}" not in third
    assert "0.2" not in third, "a score is not told"


def test_a_verdict_hangs_on_the_score_and_one_that_fails_ends_the_chain() -> None:
    def fails(text: str) -> float:
        raise RuntimeError("no score")

    assert len(told_by(lambda text: 0.4, at_least=0.4)[1]) == 1
    never, asked = told_by(lambda text: 0.4)
    assert len(asked) == 5 and never.answer is not None and never.answer.text == "5"
    assert len(told_by(fails)[1]) == 1
    with pytest.raises(ValidationError, match="modes report and verdict need a verifier"):
        Refine(mode="verdict")


def test_a_self_check_compares_only_what_differs() -> None:
    """The preset self_check: 12 at once; 12 or 13 after a thought; 13 is chosen where asked."""

    def line(thought: int) -> Script:
        def say(ask: Ask) -> Line:
            if "Choose the best" in ask.prompt:
                return Line(boxed(13))
            skips = ask.request.prompt.thought == prompts.NO_THINKING
            return Line(boxed(12 if skips else thought))

        return say

    for thought, calls in ((12, 2), (13, 3)):
        engine = ScriptedEngine(line(thought))
        result = solve(engine, "self_check")
        assert result.answer is not None and result.answer.text == str(thought)
        assert result.usage.calls == calls


def test_an_engine_that_is_not_there_is_refused_before_a_sample() -> None:
    engine = ScriptedEngine(count_up)
    with pytest.raises(CapabilityError, match="needs the engine 'big'"):
        solve(engine, sample() >> refine(engine="big"))
    assert not engine.requests
    with pytest.raises(ValidationError, match="checker belongs to it"):
        Refine(checker="big")
