"""Marks among log-probabilities make no token the surest of all."""

import math

import numpy as np
import pytest

from tts.logprobs import confidence, confidences, floored

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("candidates", "expected"),
    [
        ((-1.0, -3.0), 2.0),
        ((-1.0, -3.0, -9999.0), 2.0),
        ((-1.0, -3.0, -INF), 2.0),
        ((-1.0, NAN, -3.0), 2.0),
        ((-1.0, None, -3.0), 2.0),
        ((-1.0, INF, -3.0), 2.0),
        ((-99.0, -1.0), 50.0),  # below what sampling meets, but possible
        ((0.0, -9999.0), 0.0),
        ((-9999.0, -9999.0), 0.0),
        ((), 0.0),
    ],
)
def test_the_confidence_of_a_token_leaves_marks_out(
    candidates: tuple[float | None, ...], expected: float
) -> None:
    assert confidence(candidates) == expected


def test_rows_are_read_alike_with_and_without_marks() -> None:
    rows = np.array([[-1.0, -3.0], [-2.0, -4.0]])
    assert confidences(rows) == (2.0, 3.0)
    rows = np.array([[-1.0, -3.0], [-2.0, -9999.0], [NAN, -INF]])
    assert confidences(rows) == (2.0, 2.0, 0.0)


def test_log_probabilities_end_at_the_floor() -> None:
    marks = (-0.5, -9999.0, -INF, NAN, None, INF, -100.0)
    assert floored(marks) == (-0.5, -100.0, -100.0, -100.0, -100.0, -100.0, -100.0)
    assert floored(()) == ()
