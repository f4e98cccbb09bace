"""The same value written in many ways is one answer; values that look alike are several."""

import time
from collections.abc import Iterator
from random import Random

import pytest

from tests.support.answer_forms import KINDS, equal_pair, unequal_pair
from tts.answers.groups import AnswerChecker, canonical_form

_PAIRS = 12
_SECONDS = 3.0  # CPU time of a comparison; wall time is at most four times that


@pytest.fixture(scope="module")
def checker() -> Iterator[AnswerChecker]:
    with AnswerChecker(timeout_seconds=_SECONDS) as checker:
        yield checker


@pytest.mark.parametrize("name", KINDS)
def test_one_value_written_in_two_ways_is_equal(checker: AnswerChecker, name: str) -> None:
    pairs = [equal_pair(KINDS[name], Random(f"{name} {seed}")) for seed in range(_PAIRS)]
    assert [pair for pair in pairs if not checker.are_equal(*pair, "math")] == []


@pytest.mark.parametrize("name", KINDS)
def test_values_that_look_alike_are_different(checker: AnswerChecker, name: str) -> None:
    pairs = [unequal_pair(KINDS[name], Random(f"{name} {seed}")) for seed in range(_PAIRS)]
    assert [pair for pair in pairs if checker.are_equal(*pair, "math")] == []


@pytest.mark.parametrize("name", KINDS)
def test_the_canonical_form_is_its_own(name: str) -> None:
    for seed in range(_PAIRS):
        for text in equal_pair(KINDS[name], Random(f"{name} {seed}")):
            canonical = canonical_form(text, "math")
            assert canonical_form(canonical, "math") == canonical


@pytest.mark.parametrize(
    "answer",
    [
        "k^{9^{9^{9}}}",
        "\\frac{" * 100 + "1" + "}{2}" * 100,
        "(" * 400 + "x" + ")" * 400,
        "9" * 900 + "^{99999999}",
        "\\prod_{k=1}^{10^{9}} (1+\\frac{x}{k})",
        "(x+y+z)^{5000}",
    ],
)
def test_a_comparison_ends_whatever_the_answer(checker: AnswerChecker, answer: str) -> None:
    started = time.monotonic()
    assert checker.are_equal(answer, f"{answer}+1", "math") is False
    assert checker.are_equal(f"{answer}+2", answer, "math") is False
    assert time.monotonic() - started < 2 * (4 * _SECONDS) + 20  # and a new process each


@pytest.mark.parametrize("piece", ["\\frac{1", "1,000/", "x=1,", "\\mathbf{i}", "one ", "\\{x|x>"])
def test_canonical_forms_take_linear_time(piece: str) -> None:
    started = time.process_time()
    canonical_form(piece * (1_000 // len(piece)), "math")
    assert time.process_time() - started < 1.0
