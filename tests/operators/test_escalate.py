"""Climbing a ladder on scripted samples: when it stops, whose answer it gives, whom it asks."""

from typing import Any

import pytest

from tests.support.results import events
from tests.support.scripts import in_order
from tests.support.solving import solve
from tests.support.verifiers import ByText
from tts.engine.scripted import ScriptedEngine
from tts.errors import CapabilityError
from tts.operators.escalate import Escalate
from tts.operators.sample import sample
from tts.operators.vote import vote
from tts.pipeline import Pipeline
from tts.types import Budget, Score

# On while the leader's share of the votes is below 0.9: gain = 0.9 - share.
SHARE = ((0.9, 0.0, 0.0, 0.0, 0.0, -1.0),)
# Chance by the best score alone: logit = -3 + 6 * best.
BY_SCORE = (-3.0, 0.0, 0.0, 0.0, 0.0, 6.0, 0.0, 0.0, 0.0)


def ladder(sizes: tuple[int, ...] = (2, 4, 8), **more: Any) -> Pipeline:
    rows = SHARE * (len(sizes) - 1)
    return Pipeline.of(Escalate(sizes=sizes, weights=rows, **more)).named("sample")


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


def test_a_failed_verifier_counts_as_no_score() -> None:
    def broken(text: str) -> float:
        raise RuntimeError("no")

    result = solve(
        ScriptedEngine(in_order(12)), ladder(verifier="judge"), verifiers={"judge": ByText(broken)}
    )
    assert result.answer is not None and result.answer.text == "12"
    assert "verifier 'judge' failed" in result.reason


def test_what_the_samples_do_not_settle_goes_to_the_dearer_strategy() -> None:
    dearer = sample(n=3).named("own") >> vote()
    asked = ladder((2,), dearer=dearer, chances=(0.0, 1.0), accuracy=(0.99, 0.99))
    result = solve(ScriptedEngine(in_order(12)), asked)
    assert result.usage.calls == 5
    assert result.answer is not None and result.answer.support.voters == 3
    assert len(events(result, "escalate")) == 1
    useless = ladder((2,), dearer=dearer, chances=(0.0, 1.0), accuracy=(0.1, 0.1))
    assert solve(ScriptedEngine(in_order(12)), useless).usage.calls == 2


def test_without_a_dearer_answer_its_own_stands() -> None:
    dearer = sample(n=3) >> vote(quorum=4)
    asked = ladder((2,), dearer=dearer, chances=(0.0,), accuracy=(1.0,))
    result = solve(ScriptedEngine(in_order(12)), asked)
    assert result.usage.calls == 5
    assert result.answer is not None and result.answer.support.voters == 2


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
    inner = ladder((2,), dearer=ladder(model="other"))
    with pytest.raises(CapabilityError, match="calibrated for other"):
        solve(engine, inner)
    assert not engine.requests


@pytest.mark.parametrize(
    "more", [{"chances": (0.5, 0.1), "accuracy": (1, 1)}, {"accuracy": (1, 1)}, {"answer": (1.0,)}]
)
def test_what_is_no_ladder_is_refused(more: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        ladder(**more)


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
