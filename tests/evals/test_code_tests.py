"""What written tests are worth: the shares that tell right from wrong, and that are toxic."""

import pytest

from tts.evals.code_tests import rates_of
from tts.evals.records import Record, Sample
from tts.types import Usage


def record(*samples: tuple[bool, str]) -> Record:
    made = [
        Sample("x", 0, correct, 1, tests={"written_tests": marks}) for correct, marks in samples
    ]
    return Record("p", 0, None, None, Usage(), None, "", tuple(made), False)


def test_rates_are_of_problems_that_have_right_and_wrong_attempts() -> None:
    # Test 0 tells them apart, 1 passes all, 2 is toxic, 3 passes nobody.
    mixed = record((True, "1100"), (True, "0100"), (False, "0110"))
    rates = rates_of(
        [mixed, record((True, "11")), record((True, ""), (False, ""))], "written_tests"
    )
    assert rates is not None
    assert (rates.problems, rates.tests) == (1, 4)
    assert (rates.distinguish, rates.toxic, rates.valid) == pytest.approx((0.5, 0.25, 0.5))
    assert rates_of([mixed], "execution") is None


def test_what_was_not_run_says_nothing_of_a_test() -> None:
    # Of test 1 no right attempt tells, of test 2 no wrong one; test 3 is toxic as far as is known.
    mixed = record((True, "1-10"), (True, "0--0"), (False, "00--"), (False, "-1-1"))
    rates = rates_of([mixed], "written_tests")
    assert rates is not None and rates.tests == 2
    assert (rates.distinguish, rates.toxic, rates.valid) == pytest.approx((1.0, 0.5, 0.5))
