"""Confidence measures on worked examples."""

import math
from dataclasses import replace

import pytest

from tests.support.scripts import in_order
from tests.support.solving import solve
from tts.engine.scripted import ALL, Line, ScriptedEngine
from tts.errors import CapabilityError, PipelineError
from tts.operators.delegate import delegate
from tts.operators.sample import sample
from tts.operators.score import score
from tts.operators.vote import vote
from tts.protocols import Capabilities
from tts.voting import confidence

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
        ("measure=entropy", -0.5),  # estimated by `logprob`
        ("measure=logprob", -0.5),
        ("measure=likelihood", math.exp(-0.5)),
    ],
)
def test_measures(options: str, expected: float) -> None:
    name = f"confidence({options})"
    engine = ScriptedEngine(lambda ask: Line("four", confidences=VALUES))
    (scored,) = solve(engine, sample() >> score(verifier=name)).trajectories
    assert scored.scores[name].value == pytest.approx(expected)


@pytest.mark.parametrize(
    ("measure", "exact", "estimate", "candidates"),
    [
        ("self_certainty", 2.0, 5.0 - math.log(20), 20),  # (1 + 3 + 2 + 2) / 4
        ("entropy", -0.75, -0.5, 1),  # -(0.5 + 1 + 1 + 0.5) / 4
    ],
)
def test_over_the_whole_vocabulary_where_the_engine_can_tell_and_else_an_estimate(
    measure: str, exact: float, estimate: float, candidates: int
) -> None:
    name = f"confidence(measure={measure})"
    line = Line(
        "four",
        confidences=VALUES,
        entropies=(0.5, 1.0, 1.0, 0.5),
        self_certainties=(1.0, 3.0, 2.0, 2.0),
    )
    for capabilities, value, asked in (
        (replace(ALL, certainties=True), exact, (None, True)),
        (ALL, estimate, (candidates, False)),
    ):
        engine = ScriptedEngine(lambda ask: line, capabilities=capabilities)
        result = solve(engine, sample() >> score(verifier=name))
        assert result.trajectories[0].scores[name].value == pytest.approx(value)
        is_estimate = any(event.kind == "estimate" for event in result.trace)
        assert is_estimate == (value == estimate)
        (request,) = engine.requests
        assert (request.sampling.logprobs, request.sampling.certainties) == asked


def test_beside_an_engine_that_cannot_tell_both_are_asked() -> None:
    own = ScriptedEngine(in_order(12), capabilities=replace(ALL, certainties=True))
    other = ScriptedEngine(in_order(12))
    pipeline = sample() | delegate(body=sample(), engine="other")
    solve(
        own,
        pipeline >> score(verifier="confidence(measure=self_certainty)"),
        engines={"other": other},
    )
    for engine in (own, other):
        (request,) = engine.requests
        assert (request.sampling.logprobs, request.sampling.certainties) == (20, True)


def test_certainties_are_asked_for_those_measures_only_also_through_others() -> None:
    engine = ScriptedEngine(in_order(12), capabilities=replace(ALL, certainties=True))
    solve(engine, sample() >> score(verifier="confidence(measure=mean)"))
    solve(engine, sample() >> score(verifier="ensemble(verifiers=[confidence(measure=entropy)])"))
    assert [r.sampling.certainties for r in engine.requests] == [False, True]


def test_uniform_candidates_have_no_certainty() -> None:
    # Two candidates of probability 1/2 each: minus the mean log-probability is log 2.
    assert confidence.estimated_self_certainty((math.log(2),) * 3, 2) == pytest.approx(0.0)


def test_log_probabilities_are_switched_on_for_it_and_only_then() -> None:
    engine = ScriptedEngine(in_order(12))
    solve(engine, sample() >> score(verifier="confidence(candidates=5)"))
    solve(engine, sample() >> score(verifier="confidence(measure=likelihood)"))
    solve(engine, sample())
    assert [r.sampling.logprobs for r in engine.requests] == [5, 1, None]


def test_an_engine_without_them_is_refused_before_a_token_is_spent() -> None:
    engine = ScriptedEngine(in_order(12), capabilities=Capabilities(token_ids=True))
    with pytest.raises(
        CapabilityError, match="needs log-probabilities of tokens, which ScriptedEngine"
    ):
        solve(engine, sample() >> score(verifier="confidence"))
    assert engine.requests == []


def test_only_what_adds_up_is_summed() -> None:
    for measure in ("mean", "likelihood", "self_certainty"):
        name = f"confidence(measure={measure})"
        result = solve(
            ScriptedEngine(in_order(12)), sample(n=2) >> score(verifier=name) >> vote(weights=name)
        )
        assert result.answer is not None
    for measure in ("logprob", "entropy"):
        name = f"confidence(measure={measure})"
        with pytest.raises(PipelineError, match="are no probabilities"):
            solve(
                ScriptedEngine(in_order(12)),
                sample(n=2) >> score(verifier=name) >> vote(weights=name),
            )


def test_a_trajectory_without_tokens_has_an_error() -> None:
    engine = ScriptedEngine(lambda ask: Line("", confidences=(), logprobs=()))
    (scored,) = solve(engine, sample() >> score(verifier="confidence")).trajectories
    assert scored.scores["confidence"].error is not None
