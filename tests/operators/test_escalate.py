"""Climbing a ladder on scripted samples: when it stops, whose answer it gives, whom it asks."""

from typing import Any

import pytest

from tests.support.results import events
from tests.support.scripts import in_order
from tests.support.solving import solve
from tests.support.verifiers import ByText
from tts.allocation.pricing import PricedRule
from tts.engine.scripted import ScriptedEngine
from tts.errors import CapabilityError
from tts.operators.escalate import Choice, Escalate
from tts.operators.sample import sample
from tts.operators.vote import vote
from tts.pipeline import Pipeline
from tts.types import Budget, Score

# On while the leader's share of the votes is below 0.9: gain = 0.9 - share.
SHARE = (0.9, 0.0, 0.0, 0.0, 0.0, -1.0)
# Chance by the best score alone: logit = -3 + 6 * best.
OWN = sample(n=3).named("own") >> vote()
BY_SCORE = (-3.0, 0.0, 0.0, 0.0, 0.0, 6.0, *(0.0,) * 6)


def ladder(sizes: tuple[int, ...] = (2, 4, 8), **more: Any) -> Pipeline:
    rule = PricedRule(cost=1.0, price=0.01, weights=(SHARE,) * (len(sizes) - 1))
    return Pipeline.of(Escalate(sizes=sizes, rules=(rule,), **more)).named("sample")


def search(*low: float, cost: float = 3.0, body: Pipeline = OWN) -> Choice:
    """A strategy to turn to, with these bounds of its accuracy."""
    return Choice(name="search", body=body, low=low, cost=(cost,) * len(low))


def test_agreement_stops_at_the_first_step() -> None:
    result = solve(ScriptedEngine(in_order(12)), ladder())
    assert result.answer is not None and result.answer.text == "12"
    assert result.usage.calls == 2
    assert result.answer.support.votes == 2
    assert 0.5 < result.answer.support.probability < 1.0


def test_disagreement_goes_on_to_the_last() -> None:
    result = solve(ScriptedEngine(in_order(12, 13, 12)), ladder())
    assert result.usage.calls == 8
    assert [event.fields["drawn"] for event in events(result, "allocate")] == [2, 4, 8]
    assert result.answer is not None and result.answer.text == "12"
    assert len(result.samples) == 8


def test_its_samples_are_those_of_sample() -> None:
    drawn = solve(ScriptedEngine(in_order(1, 2, 3)), ladder())
    plain = solve(ScriptedEngine(in_order(1, 2, 3)), sample(n=8) >> vote())
    assert [a.answer for a in drawn.samples] == [a.answer for a in plain.samples]


def test_a_verifier_wins_over_votes_where_the_model_says_so() -> None:
    judge = ByText(lambda text: 0.9 if "13" in text else 0.2)
    result = solve(
        ScriptedEngine(in_order(12, 13, 12, 12)),
        ladder(verifier="judge", answer=BY_SCORE),
        verifiers={"judge": judge},
    )
    assert result.answer is not None and result.answer.text == "13"
    # logit -3 + 6 * 0.9 = 2.4
    assert result.answer.support.probability == pytest.approx(0.9168, abs=1e-4)


def test_the_answer_of_most_scores_wins_where_it_is_to_lead() -> None:
    # By chance 12 leads, with the best single score; 13 has 2 * 0.5 in all, 12 has 0.9.
    judge = ByText(lambda text: 0.5 if "13" in text else 0.9)
    winners = []
    for leader in ("chance", "scores"):
        pipeline = ladder((3,), verifier="judge", answer=BY_SCORE, leader=leader)
        found = solve(ScriptedEngine(in_order(12, 13, 13)), pipeline, verifiers={"judge": judge})
        assert found.answer is not None
        winners.append((found.answer.text, found.answer.support.probability))
    # logit -3 + 6 * 0.9 = 2.4, and -3 + 6 * 0.5 = 0
    assert [text for text, _ in winners] == ["12", "13"]
    assert [chance for _, chance in winners] == pytest.approx([0.9168, 0.5], abs=1e-4)
    with pytest.raises(ValueError, match="needs a verifier"):
        ladder(leader="scores")


def test_a_failed_verifier_counts_as_no_score() -> None:
    def broken(text: str) -> float:
        raise RuntimeError("no")

    result = solve(
        ScriptedEngine(in_order(12)), ladder(verifier="judge"), verifiers={"judge": ByText(broken)}
    )
    assert result.answer is not None and result.answer.text == "12"
    assert "verifier 'judge' failed" in result.reason


def test_what_the_samples_do_not_settle_goes_to_another_strategy() -> None:
    result = solve(ScriptedEngine(in_order(12)), ladder((2,), choices=(search(0.99),)))
    assert result.usage.calls == 5
    assert result.answer is not None and result.answer.support.voters == 3
    (chosen,) = result.facts.choices
    assert (chosen.what, chosen.chance) == ("search after 2", 0.99)
    # What it promises is too little, or too little for its price of 0.01 a sample.
    for choice in (search(0.1), search(0.99, cost=90.0)):
        left = solve(ScriptedEngine(in_order(12)), ladder((2,), choices=(choice,)))
        assert left.usage.calls == 2
        assert left.facts.choices[0].what == "2 samples"


def test_the_choice_is_that_of_the_bin() -> None:
    # Two equal answers of two have a chance of .98 by the model, two different ones one of .67.
    choice = search(0.9, 0.0)
    for answers, calls in (((12,), 2), ((12, 13), 5)):
        pipeline = ladder((2,), choices=(choice,), edges=(0.8,))
        assert solve(ScriptedEngine(in_order(*answers)), pipeline).usage.calls == calls


def test_without_an_answer_of_the_other_its_own_stands() -> None:
    silent = search(1.0, body=sample(n=3) >> vote(quorum=4))
    result = solve(ScriptedEngine(in_order(12)), ladder((2,), choices=(silent,)))
    assert result.usage.calls == 5
    assert result.answer is not None and result.answer.support.voters == 2


def test_a_choice_that_is_more_than_what_is_left_is_not_asked() -> None:
    pipeline = ladder((2,), choices=(search(1.0),), unit="calls")
    for calls, spent in ((4, 2), (5, 5)):
        result = solve(ScriptedEngine(in_order(12)), pipeline, budget=Budget(calls=calls))
        assert result.usage.calls == spent
        assert result.answer is not None


def test_a_share_picks_the_rule() -> None:
    never, always = (-1.0, *(0.0,) * 5), (1.0, *(0.0,) * 5)
    rules = (
        PricedRule(cost=2.0, price=0.1, weights=(never,) * 2),
        PricedRule(cost=8.0, price=0.001, weights=(always,) * 2),
    )
    for share, calls in ((2.0, 2), (8.0, 8)):
        operator = Escalate(sizes=(2, 4, 8), rules=rules, share=share, unit="calls")
        result = solve(ScriptedEngine(in_order(12)), Pipeline.of(operator))
        assert result.usage.calls == calls


def test_a_budget_ends_it_with_what_there_is() -> None:
    engine = ScriptedEngine(in_order(12, 13))
    result = solve(engine, ladder(), budget=Budget(calls=3))
    assert result.usage.calls == 3
    assert result.answer is not None and result.answer.text == "12"
    assert "budget" in result.reason
    nothing = solve(ScriptedEngine(in_order(None)), ladder())
    assert nothing.answer is None


def test_another_model_is_refused_before_a_sample() -> None:
    engine = ScriptedEngine(in_order(12))
    with pytest.raises(CapabilityError, match="calibrated for other"):
        solve(engine, ladder(model="other"))
    inner = ladder((2,), choices=(search(1.0, body=ladder(model="other")),))
    with pytest.raises(CapabilityError, match="calibrated for other"):
        solve(engine, inner)
    assert not engine.requests


@pytest.mark.parametrize(
    "more",
    [
        {"edges": (0.5, 0.1)},
        {"choices": (search(1.0, 1.0),)},  # bounds for two bins, and one bin
        {"answer": (1.0,)},
        {"rules": ()},
        {"rules": (PricedRule(1.0, 0.1, ((1.0,),)),)},
    ],
)
def test_what_is_no_ladder_is_refused(more: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Escalate(**{"sizes": (2,), "rules": (PricedRule(1.0, 0.1, ()),), **more})


@pytest.mark.parametrize(
    ("score", "share"),
    [
        (Score(0.4), 0.4),
        (Score(3.0), None),
        (Score(3.0, probability=0.7), 0.7),
        (Score(None, error="x"), None),
    ],
)
def test_a_share_is_a_probability_or_like_one(score: Score, share: float | None) -> None:
    assert score.share == share
