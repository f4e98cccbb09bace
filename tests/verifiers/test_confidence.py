"""Confidence measures on worked examples."""

import math

import pytest

from tests.scripted import Line, ScriptedEngine
from tests.solving import in_order, solve
from tts import confidence
from tts.errors import CapabilityError, PipelineError
from tts.operators.sample import sample
from tts.operators.score import score
from tts.operators.vote import vote
from tts.protocols import Capabilities

VALUES = (4.0, 2.0, 6.0, 8.0)


def test_groups_are_means_of_neighbours() -> None:
    assert confidence.group_confidences(VALUES, 2).tolist() == [3.0, 4.0, 7.0]
    assert confidence.group_confidences(VALUES, 9).tolist() == [5.0]  # shorter: all of it
    with pytest.raises(ValueError, match="no tokens"):
        confidence.group_confidences((), 2)


def test_the_bar_is_what_the_best_share_reach() -> None:
    scores = [float(i) for i in range(1, 12)]
    assert confidence.bar(scores, 0.9) == pytest.approx(2.0)  # 10 of 11 reach it
    assert confidence.bar(scores, 0.1) == pytest.approx(10.0)
    assert confidence.bar([3.0], 0.9) == 3.0


def test_the_lowest_tenth_of_the_groups() -> None:
    # 20 groups of one token: 0 and 1 are the lowest tenth.
    values = [float(i) for i in range(20)]
    assert confidence.bottom_groups(values, 1) == pytest.approx(0.5)
    assert confidence.bottom_groups(VALUES, 2) == pytest.approx(3.0)  # at least one group


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("measure=mean", 5.0),  # (4 + 2 + 6 + 8) / 4
        ("measure=tail, tokens=2", 7.0),
        ("measure=lowest, tokens=2", 3.0),
        ("measure=bottom, tokens=2", 3.0),
        ("measure=self_certainty, candidates=2", 5.0 - math.log(2)),
        ("measure=logprob", -0.5),
        ("measure=likelihood", math.exp(-0.5)),
    ],
)
def test_measures(options: str, expected: float) -> None:
    name = f"confidence({options})"
    engine = ScriptedEngine(lambda ask: Line("four", confidences=VALUES))
    (scored,) = solve(engine, sample() >> score(name)).trajectories
    assert scored.scores[name].value == pytest.approx(expected)


def test_uniform_candidates_have_no_certainty() -> None:
    # Two candidates of probability 1/2 each: minus the mean log-probability is log 2.
    assert confidence.self_certainty((math.log(2),) * 3, 2) == pytest.approx(0.0)


def test_log_probabilities_are_switched_on_for_it_and_only_then() -> None:
    engine = ScriptedEngine(in_order(12))
    solve(engine, sample() >> score("confidence(candidates=5)"))
    solve(engine, sample() >> score("confidence(measure=likelihood)"))
    solve(engine, sample())
    assert [r.sampling.logprobs for r in engine.requests] == [5, 1, None]


def test_an_engine_without_them_is_refused_before_a_token_is_spent() -> None:
    engine = ScriptedEngine(in_order(12), capabilities=Capabilities(token_ids=True))
    with pytest.raises(CapabilityError, match="needs logprobs, which ScriptedEngine"):
        solve(engine, sample() >> score("confidence"))
    assert engine.requests == []


def test_only_what_adds_up_is_summed() -> None:
    for measure in ("mean", "likelihood", "self_certainty"):
        name = f"confidence(measure={measure})"
        result = solve(ScriptedEngine(in_order(12)), sample(2) >> score(name) >> vote(weights=name))
        assert result.answer is not None
    name = "confidence(measure=logprob)"
    with pytest.raises(PipelineError, match="are no probabilities"):
        solve(ScriptedEngine(in_order(12)), sample(2) >> score(name) >> vote(weights=name))


def test_a_trajectory_without_tokens_has_an_error() -> None:
    engine = ScriptedEngine(lambda ask: Line("", confidences=(), logprobs=()))
    (scored,) = solve(engine, sample() >> score("confidence")).trajectories
    assert scored.scores["confidence"].error is not None
