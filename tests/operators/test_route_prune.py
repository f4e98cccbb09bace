"""Routes by trajectory and by level; pruning by score."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.support.results import answers, noted
from tests.support.scripts import boxed
from tests.support.solving import PROBLEM, solve
from tts.engine.scripted import Ask, Line, Script
from tts.errors import ParameterError
from tts.operators._condition import Condition
from tts.operators.prune import prune
from tts.operators.refine import refine
from tts.operators.route import route
from tts.operators.sample import sample
from tts.operators.score import score
from tts.operators.select import select
from tts.operators.vote import vote
from tts.protocols import Context, VerifierSpec
from tts.types import Score, Trajectory


class Value:
    """The score is the answer; none without one."""

    spec = VerifierSpec()

    async def score(self, context: Context, trajectories: Sequence[Trajectory]) -> list[Score]:
        return [
            Score(None, error="no answer") if t.answer is None else Score(float(t.answer))
            for t in trajectories
        ]

    async def aclose(self) -> None:
        pass


VERIFIERS = {"value": Value()}


def timed(values: Sequence[int], ticks: Sequence[int]) -> Script:
    return lambda ask: Line(boxed(values[ask.index]), ticks=ticks[ask.index])


def test_a_vote_with_little_support_goes_on_to_more_samples() -> None:
    more = route(when=Condition(measure="support", at_least=0.7), otherwise=sample(n=5) >> vote())

    def line(ask: Ask) -> Line:
        return Line(boxed(ask.index if ask.request.n == 2 else 12))

    result = solve(line, sample(n=2) >> vote() >> more)
    # 0 against 1: probability 1/2, so five more are drawn, which agree.
    assert result.answer is not None and result.answer.text == "12"
    assert result.usage.calls == 7
    agreed = solve(lambda ask: Line(boxed(12)), sample(n=2) >> vote() >> more)
    assert agreed.usage.calls == 2  # two equal votes: 1 - 0.5^3 = 0.875


def test_each_trajectory_takes_its_own_branch() -> None:
    way = route(when=Condition(measure="answer", at_least=1), otherwise=refine())
    texts = [boxed(3), "no idea"]

    def line(ask: Ask) -> Line:
        return Line(boxed(9) if "Attempt" in ask.prompt else texts[ask.index])

    result = solve(line, sample(n=2) >> way)
    assert sorted(filter(None, answers(result)[:2])) == ["3", "9"]
    assert result.usage.calls == 3
    assert "route/otherwise/refine" in {e.node for e in result.trace}


@pytest.mark.parametrize(("level", "calls"), [(1, 1), (4, 5), (None, 1)])
def test_the_problem_itself_is_routed_by_its_level(level: int | None, calls: int) -> None:
    way = route(
        when=Condition(measure="level", at_least=3), then=sample(n=5), otherwise=sample(n=1)
    )
    metadata = {} if level is None else {"level": level}
    problem = replace(PROBLEM, metadata=metadata)
    result = solve(lambda ask: Line(boxed(12)), way >> vote(), problem=problem)
    assert result.usage.calls == calls


def test_a_route_whose_branches_both_have_enough_cancels_what_it_reads() -> None:
    by_score = Condition(measure="value", at_least=5)
    high, low = (prune(by="value", at_least=0, enough=1) for _ in range(2))
    pipeline = (
        sample(n=4) >> score(verifier="value") >> route(when=by_score, then=high, otherwise=low)
    )

    def line(ask: Ask) -> Line:
        return Line(boxed((7, 3, 8, 2)[ask.index]), hangs=ask.index > 1, ticks=1)

    result = solve(line, pipeline, verifiers=VERIFIERS)
    assert sorted(map(str, answers(result))) == ["3", "7"]
    assert noted(result, "abort")[0]["calls"] == 2


def test_routes_that_lead_nowhere_are_refused() -> None:
    level = Condition(measure="level", at_least=3)
    with pytest.raises(ParameterError, match="needs `then`"):
        route(when=level)
    with pytest.raises(ParameterError, match="begin with a source"):
        route(when=level, then=refine(), otherwise=sample(n=1))


def test_scores_at_the_threshold_pass() -> None:
    texts = [boxed(5), boxed(4), "no answer", boxed(6)]
    pipeline = sample(n=4) >> score(verifier="value") >> prune(by="value", at_least=5)
    result = solve(lambda ask: Line(texts[ask.index]), pipeline, verifiers=VERIFIERS)
    assert sorted(str(a) for a in answers(result)) == ["5", "6"]
    assert len(noted(result, "prune")) == 2


def test_enough_cancels_the_rest() -> None:
    pipeline = sample(n=4) >> score(verifier="value") >> prune(by="value", at_least=5, enough=2)
    result = solve(
        lambda ask: Line(boxed(5), hangs=ask.index > 1, ticks=1), pipeline, verifiers=VERIFIERS
    )
    assert answers(result) == ["5", "5"]
    assert any(e.kind == "abort" for e in result.trace)


def test_the_best_are_kept_whatever_the_order_of_arrival() -> None:
    pipeline = sample(n=4) >> score(verifier="value") >> prune(by="value", keep=2)
    for ticks in ([1, 2, 3, 4], [4, 3, 2, 1]):
        script = timed((7, 9, 8, 9), ticks)
        result = solve(script, pipeline, verifiers=VERIFIERS)
        assert [(t.origin.index, t.answer) for t in result.trajectories] == [(1, "9"), (3, "9")]


def test_prune_needs_a_rule() -> None:
    with pytest.raises(ParameterError, match="needs at_least"):
        prune(by="value")
    with pytest.raises(ParameterError, match="cannot stop it early"):
        prune(by="value", keep=1, enough=1)


class Calibrated:
    """Its own value says the opposite of the probability that it is calibrated to."""

    spec = VerifierSpec(unit_interval=True)

    async def score(self, context: Context, trajectories: Sequence[Trajectory]) -> list[Score]:
        return [
            Score(7.0, probability=0.2) if t.answer == "1" else Score(-7.0, probability=0.9)
            for t in trajectories
        ]

    async def aclose(self) -> None:
        pass


def test_a_threshold_speaks_of_the_calibrated_probability_and_a_ranking_of_the_value() -> None:
    def script(ask: Ask) -> Line:
        return Line(boxed(ask.index))

    verifiers = {"prm": Calibrated()}
    scored = sample(n=2) >> score(verifier="prm")
    passed = solve(script, scored >> prune(by="prm", at_least=0.5), verifiers=verifiers)
    assert answers(passed) == ["0"]
    best = solve(script, scored >> select(by="prm"), verifiers=verifiers)
    assert best.answer is not None and best.answer.text == "1"
    condition = Condition(measure="prm", at_least=0.5)
    holds = {t.answer: condition.holds(PROBLEM, t) for t in best.samples}
    assert holds == {"0": True, "1": False}
