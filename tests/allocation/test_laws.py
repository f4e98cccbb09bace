"""Laws of test-time scaling, worked by hand."""

import math
from collections.abc import Callable

import pytest

from tts.allocation.coverage import (
    Coverage,
    enough_samples,
    extrapolate_pass_at_k,
    extrapolated_pass_at_k,
    fit_coverage,
)
from tts.allocation.laws import (
    Saturation,
    Verified,
    best_num_samples,
    fit_saturation,
    saturating_accuracy,
    saturation_point,
    verified_accuracy,
)
from tts.errors import InputError


def test_a_saturating_curve_is_found_again() -> None:
    curve = Saturation(0.7, 0.15)
    n = [1, 2, 4, 8, 16, 32]
    fitted = fit_saturation(n, [saturating_accuracy(curve, x) for x in n])
    assert fitted == pytest.approx(curve, abs=1e-4)


def test_the_saturation_point_of_the_paper() -> None:
    # ceil(ln(.01 / .16) / ln(.8)) = ceil(2.7726 / .2231) = ceil(12.43) = 13
    curve = Saturation(ceiling=0.8, rate=0.2)
    assert saturation_point(curve, 0.01) == 13
    last = saturating_accuracy(curve, 13) - saturating_accuracy(curve, 12)
    following = saturating_accuracy(curve, 14) - saturating_accuracy(curve, 13)
    assert last >= 0.01 > following


@pytest.mark.parametrize(
    ("curve", "least_gain", "expected"),
    [
        (Saturation(0.8, 0.2), 0.2, 0),  # the first sample gains .16
        (Saturation(0.8, 0.2), 0.16, 1),  # gains exactly that, the second .128
        (Saturation(0.8, 0.5), 0.1, 3),  # .4, .2, .1, .05: the third still gains .1
        (Saturation(1.0, 1.0), 0.1, 1),
        (Saturation(0.0, 0.5), 0.1, 0),
    ],
)
def test_saturation_at_the_edges(curve: Saturation, least_gain: float, expected: int) -> None:
    assert saturation_point(curve, least_gain) == expected


def test_an_imperfect_verifier_is_a_ceiling() -> None:
    one = [Verified(passes=0.2, precision=0.7)]
    assert verified_accuracy(one, math.inf) == pytest.approx(0.7)
    assert verified_accuracy(one, 2) == pytest.approx((1 - 0.64) * 0.7)
    assert verified_accuracy([*one, Verified(0.0, 0.0)], math.inf) == pytest.approx(0.35)


def test_false_positives_make_few_samples_best() -> None:
    easy, hard = Verified(0.5, 0.9), Verified(0.05, 0.1)
    # Cost 4: worth of a pass is .9 - .4 = .5 on the easy one, .1 - 3.6 = -3.5 on the hard one.
    # Gain of sample n + 1: .5 * .5 * .5 ** n - 3.5 * .05 * .95 ** n.
    # n = 0: +.075; n = 1: .125 - .166 < 0. So one sample is best.
    assert best_num_samples([easy, hard], 4.0) == 1
    assert best_num_samples([hard], 4.0) == 0
    assert best_num_samples([Verified(0.5, 1.0)], 4.0, most=10) == 10


def test_bad_input_is_refused() -> None:
    bad: list[Callable[[], object]] = [
        lambda: fit_saturation([1, 1], [0.1, 0.2]),
        lambda: fit_saturation([1, 2], [0.1, 1.2]),
        lambda: verified_accuracy([], 1),
        lambda: verified_accuracy([Verified(0.5, 1.5)], 1),
        lambda: enough_samples(Coverage(1, 1), 0.0),
        lambda: fit_coverage([], []),
        lambda: fit_coverage([4], [5]),
        lambda: fit_coverage([4, 4], [0, 0]),
        lambda: fit_coverage([4, 4], [4, 4]),
    ]
    for call in bad:
        with pytest.raises(InputError):
            call()


def test_pass_at_k_of_a_beta_by_hand() -> None:
    # p uniform: E[1 - (1 - p) ** k] = 1 - 1 / (k + 1).
    assert extrapolated_pass_at_k(Coverage(1, 1), 3) == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("coverage", "least_gain", "expected"),
    [
        # p uniform: pass@k = 1 - 1 / (k + 1), so sample k + 1 gains 1 / ((k + 1) * (k + 2)).
        (Coverage(1, 1), 0.01, 9),  # 1 / (9 * 10) = .0111, 1 / (10 * 11) = .0091
        (Coverage(1, 1), 0.6, 0),  # the first gains .5
    ],
)
def test_the_samples_that_are_enough(coverage: Coverage, least_gain: float, expected: int) -> None:
    assert enough_samples(coverage, least_gain) == expected


def test_pass_at_k_is_extrapolated_with_an_interval() -> None:
    # 0 to 9 right of 9, 20 problems each: exactly what a uniform chance gives, so pass@99 = .99.
    correct = [c for c in range(10) for _ in range(20)]
    found = extrapolate_pass_at_k([9] * 200, correct, 99, num_resamples=30)
    assert found.value == pytest.approx(0.99, abs=0.02)
    assert found.low <= found.value <= found.high
    assert found.high - found.low < 0.1
