"""Ensembles and calibration, by hand."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.support.scripts import says
from tests.support.solving import solve
from tests.support.verifiers import ByText
from tts.engine.scripted import Ask, Line, ScriptedEngine
from tts.errors import InputError, PipelineError
from tts.operators.sample import sample
from tts.operators.score import score
from tts.operators.select import select
from tts.operators.vote import vote
from tts.types import Result, Score
from tts.verifiers._calibration import (
    Platt,
    fit_isotonic,
    fit_platt,
    from_mapping,
)
from tts.verifiers.calibrated import Calibrated
from tts.verifiers.ensemble import Config


def broken(text: str) -> float:
    raise ValueError("broken")


CHEAP, DEAR = ByText(lambda text: 0.5), ByText(lambda text: 0.8)


def ensemble(options: str, **members: ByText) -> tuple[Score, Result]:
    name = f"ensemble({options})"
    pipeline = sample() >> score(verifier=name)
    result = solve(ScriptedEngine(says(12)), pipeline, verifiers=members)
    return result.trajectories[0].scores[name], result


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("verifiers=[a, b]", 0.65),  # (0.5 + 0.8) / 2
        ("verifiers=[a, b], weights=[1, 2]", 0.7),  # (0.5 + 1.6) / 3
        ("verifiers=[a, b], mode=product", 0.4),
        ("verifiers=[a, b], mode=product, weights=[2, 1]", 0.2),  # 0.25 * 0.8
        ("verifiers=[a, b], mode=sum, weights=[10, 1]", 5.8),
        # logits 0 and log(4): (0 + 0.5 * log(4)) = log(2), and with the offset log(4).
        ("verifiers=[a, b], mode=logit, weights=[3, 0.5]", 2 / 3),
        ("verifiers=[a, b], mode=logit, weights=[3, 0.5], offset=0.6931471805599453", 0.8),
        ("verifiers=[a, b], mode=cascade", 0.8),  # 0.5 is unsure
        ("verifiers=[a, b], mode=cascade, sure_above=0.5", 0.5),
        ("verifiers=[a, b], mode=cascade, sure_below=0.5", 0.5),
    ],
)
def test_joins(options: str, expected: float) -> None:
    value, _ = ensemble(options, a=CHEAP, b=DEAR)
    assert value.value == pytest.approx(expected)


def test_a_member_that_fails_is_the_error_of_a_mean_and_passed_over_by_a_cascade() -> None:
    failed = ByText(broken)
    value, _ = ensemble("verifiers=[a, b]", a=failed, b=DEAR)
    assert value.error == "a: ValueError: broken"
    value, _ = ensemble("verifiers=[a, b], mode=cascade", a=failed, b=DEAR)
    assert value.value == 0.8
    value, _ = ensemble("verifiers=[a, b], mode=cascade", a=CHEAP, b=failed)
    assert value.value == 0.5
    value, _ = ensemble("verifiers=[a, b], mode=cascade", a=failed, b=failed)
    assert value.error == "a: ValueError: broken; b: ValueError: broken"


def test_values_outside_the_unit_interval_are_refused() -> None:
    value, _ = ensemble("verifiers=[a, b]", a=ByText(len), b=DEAR)
    assert "is no probability; calibrate it" in str(value.error)


def test_a_score_that_is_there_is_not_made_again() -> None:
    calls: list[str] = []

    def count(text: str) -> float:
        calls.append(text)
        return 0.5

    pipeline = sample() >> score(verifier="a") >> score(verifier="ensemble(verifiers=[a])")
    solve(ScriptedEngine(says(12)), pipeline, verifiers={"a": ByText(count)})
    assert len(calls) == 1


def hybrid(*patches: tuple[int, float, float]) -> str:
    """Return the answer that tests and a model choose, of (answer, tests passed, opinion).

    As in R2E-Gym: the two that the model likes best, then passed tests plus its opinion.
    """

    def number(at: int) -> ByText:
        return ByText(lambda text: float(text.split()[at]))

    def line(ask: Ask) -> Line:
        answer, passed, opinion = patches[ask.index]
        return Line(rf"{passed} {opinion} \boxed{{{answer}}}")

    joined = "ensemble(mode=sum, verifiers=[tests, model], weights=[100, 1])"
    top = sample(n=len(patches)) >> score(verifier="model") >> select(by="model", keep=2)
    pipeline = top >> score(verifier="tests") >> score(verifier=joined) >> select(by=joined)
    members = {"tests": number(0), "model": number(1)}
    result = solve(ScriptedEngine(line), pipeline, verifiers=members)
    assert result.answer is not None
    return result.answer.text


def test_tests_decide_and_the_model_breaks_ties_within_its_best() -> None:
    assert hybrid((1, 0.5, 0.3), (2, 0.5, 0.9)) == "2"  # 50.3 < 50.9
    assert hybrid((1, 0.6, 0.1), (2, 0.5, 0.9)) == "1"  # 60.1 > 50.9
    assert hybrid((1, 1.0, 0.1), (2, 0.5, 0.9), (3, 0.4, 0.8)) == "2"  # 1 is not among the best


def test_members_that_the_run_lacks_are_named() -> None:
    with pytest.raises(InputError, match="unknown verifier 'nobody'"):
        ensemble("verifiers=[nobody]")


@pytest.mark.parametrize(
    ("weights", "message"),
    [((1.0,), "one weight for each"), ((1.0, -1.0), "at least 0"), ((0.0, 0.0), "not all 0")],
)
def test_weights_that_do_not_fit_are_refused(weights: tuple[float, ...], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Config(verifiers=("a", "b"), weights=weights)


def test_isotonic_pools_what_falls() -> None:
    # Labels 0, 1, 0, 1 by rising score: the middle two pool to 1/2.
    fitted = fit_isotonic([1.0, 2.0, 3.0, 4.0], [False, True, False, True])
    assert fitted.probabilities == pytest.approx((0.0, 0.5, 0.5, 1.0))
    assert fitted.probability(1.5) == pytest.approx(0.25)
    assert (fitted.probability(-9.0), fitted.probability(9.0)) == (0.0, 1.0)


def test_isotonic_takes_equal_scores_as_one_point() -> None:
    fitted = fit_isotonic([1.0, 1.0, 1.0, 2.0], [True, False, False, True])
    assert fitted.scores == (1.0, 2.0)
    assert fitted.probabilities == pytest.approx((1 / 3, 1.0))


def test_platt_finds_the_logistic_function() -> None:
    # Of 4,000 at each score, shares 1/(1 + e^-(2x - 1)) are right.
    scores, labels = [], []
    for x in (-1.0, 0.0, 1.0, 2.0):
        share = 1 / (1 + np.exp(-(2 * x - 1)))
        right = round(4_000 * share)
        scores += [x] * 4_000
        labels += [True] * right + [False] * (4_000 - right)
    fitted = fit_platt(scores, labels)
    assert fitted.slope == pytest.approx(2.0, abs=0.01)
    assert fitted.offset == pytest.approx(-1.0, abs=0.01)


def test_platt_never_falls_and_is_never_certain() -> None:
    assert fit_platt([0.1, 0.9], [True, False]).slope == 0.0
    # One right, one wrong: targets 2/3 and 1/3, so that is what it gives at best.
    fitted = fit_platt([0.0, 1.0], [False, True])
    assert fitted.probability(1.0) == pytest.approx(2 / 3, abs=1e-3)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.floats(-5, 5), st.booleans()), min_size=1, max_size=30))
def test_calibrated_probabilities_never_fall(pairs: list[tuple[float, bool]]) -> None:
    scores, labels = [s for s, _ in pairs], [label for _, label in pairs]
    for calibrator in (fit_isotonic(scores, labels), fit_platt(scores, labels)):
        values = [calibrator.probability(s) for s in sorted(scores)]
        assert all(0 <= v <= 1 for v in values)
        assert all(b - a >= -1e-9 for a, b in pairwise(values))
        again = from_mapping(json.loads(json.dumps(calibrator.to_mapping())))
        assert [again.probability(s) for s in sorted(scores)] == pytest.approx(values)


@pytest.mark.parametrize(("scores", "labels"), [([], []), ([1.0], []), ([float("nan")], [True])])
def test_what_cannot_be_fitted_is_refused(scores: list[float], labels: list[bool]) -> None:
    for fit in (fit_isotonic, fit_platt):
        with pytest.raises(InputError, match="calibration needs"):
            fit(scores, labels)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"method": "guess"},
        {"method": "platt", "slope": -1.0, "offset": 0.0},
        {"method": "platt", "slope": 1.0, "offset": float("nan")},
        {"method": "isotonic", "scores": [0.0, 1.0], "probabilities": [0.0, 1.5]},
        {"method": "isotonic", "scores": [1.0, 0.0], "probabilities": [0.0, 1.0]},
        {"method": "isotonic", "scores": [1.0], "probabilities": [0.0, 1.0]},
    ],
)
def test_a_file_that_holds_no_calibrator_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="not a calibrator"):
        from_mapping(values)


def test_calibrated_scores_may_be_summed(tmp_path: Path) -> None:
    file = tmp_path / "c.json"
    file.write_text(json.dumps(Platt(0.0, 0.0).to_mapping()))
    name = f"calibrated(verifier=a, file='{file}')"
    length = ByText(len)
    pipeline = sample(n=2) >> score(verifier=name) >> vote(weights=name)
    result = solve(ScriptedEngine(says(12)), pipeline, verifiers={"a": length})
    assert result.answer is not None and result.answer.support.weight == pytest.approx(1.0)
    pipeline = (
        sample(n=2)
        >> score(verifier="calibrated(verifier=a)")
        >> vote(weights="calibrated(verifier=a)")
    )
    with pytest.raises(PipelineError, match="are no probabilities"):
        solve(ScriptedEngine(says(12)), pipeline, verifiers={"a": length})
    assert Calibrated("a", None).spec.verifiers == ("a",)


@pytest.mark.parametrize("text", ["[", "[]", "{}", '{"method": "platt"}', '{"method": "other"}'])
def test_a_file_that_holds_no_calibration_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "c.json"
    file.write_text(text)
    name = f"calibrated(file='{file}')"
    with pytest.raises(InputError, match="calibrat"):
        solve(ScriptedEngine(says(12)), sample() >> score(verifier=name))
