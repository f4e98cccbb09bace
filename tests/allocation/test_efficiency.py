"""What further compute brings, worked by hand."""

import math
from itertools import product

import pytest

from tts.allocation.efficiency import (
    Split,
    arise,
    frontier,
    pass_until,
    runs_for_arise,
    split_cost,
)
from tts.errors import InputError


@pytest.mark.parametrize(
    ("accuracy", "tokens", "expected"),
    [
        ([0, 1], [100, 200], 0.5),
        ([1, 0], [100, 200], -2.0),
        ([1, 1], [100, 200], 0.0),
        ([0, 0.5, 1], [100, 200, 800], 0.5 / 2 + 0.5 / 4),
    ],
)
def test_arise(accuracy: list[float], tokens: list[float], expected: float) -> None:
    assert arise(accuracy, tokens) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("accuracy", "tokens", "runs"),
    [
        ([1, 1, 1, 1], [100, 100, 100, 100], 3),  # nothing varies
        ([0, 0, 0, 0], [100, 100, 100, 100], 3),  # 0 over 0 counts as steady, as in the source
        # 1, 1, 0: standard deviation sqrt(2/9) over 2/3 is .707; with a fourth 1, sqrt(3/16) / .75
        # is .577; with a fifth, .4 / .8 = .5, which is no more than .5.
        ([1, 1, 0, 1, 1, 0], [100] * 6, 5),
        ([1, 0] * 6, [100] * 12, 10),  # 1 each time, up to ten
        ([1, 0], [100, 100], 2),  # there are no more
    ],
)
def test_the_sampling_rule_of_arise(accuracy: list[float], tokens: list[float], runs: int) -> None:
    assert runs_for_arise(accuracy, tokens) == runs


def test_sampling_until_successes() -> None:
    # The second right one is the fourth sample: (2 - 1) / (4 - 1).
    found = pass_until([False, True, False, True, True], 2)
    assert found.chance == pytest.approx(1 / 3) and found.samples == 4
    assert found.low < 1 / 3 < found.high
    # Only one in five: 1 / 5 at the end of the samples.
    assert pass_until([False, True, False, False, False], 2).chance == pytest.approx(1 / 5)
    assert pass_until([False] * 3, 2)[:2] == (0.0, 0.0)
    always = pass_until([True] * 3, 2)
    assert (always.chance, always.high, always.samples) == (1.0, 1.0, 2)
    assert always.low == pytest.approx(math.sqrt(0.025))  # two of two: low ** 2 = .025


@pytest.mark.parametrize("chance", [0.1, 0.5, 0.8])
def test_its_estimate_has_no_bias(chance: float) -> None:
    mean = sum(
        math.prod(chance if mark else 1 - chance for mark in marks) * pass_until(marks, 2).chance
        for marks in product([False, True], repeat=6)
    )
    assert mean == pytest.approx(chance)


def test_solving_or_verifying_at_equal_cost() -> None:
    assert split_cost(4, 2, 1.0) == 12
    assert split_cost(4, 2, 0.5) == 8
    tried = [
        Split(16, 0, 16, 0.6),
        Split(4, 3, 16, 0.55),
        Split(4, 0, 4, 0.5),
        Split(8, 1, 24, 0.6),
    ]
    # 16 alone beats 4 with three verdicts, and 8 with one cost more for no more.
    assert frontier(tried) == [tried[2], tried[0]]


def test_bad_input_is_refused() -> None:
    for call in (
        lambda: arise([0.1], [10]),
        lambda: arise([0.1, 0.2], [10, 0]),
        lambda: pass_until([], 2),
        lambda: pass_until([True], 1),
    ):
        with pytest.raises(InputError):
            call()
