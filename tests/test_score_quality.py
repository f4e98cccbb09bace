"""Figures of scores, worked out by hand."""

import math

import numpy as np
import pytest

from tts.score_quality import auroc, auroc_within, calibration, groups_of


@pytest.mark.parametrize(
    ("scores", "labels", "expected"),
    [
        ([0.1, 0.2, 0.8, 0.9], [False, False, True, True], 1.0),
        ([0.9, 0.8, 0.2, 0.1], [False, False, True, True], 0.0),
        ([0.1, 0.4, 0.35, 0.8], [False, False, True, True], 0.75),  # 3 of 4 pairs in order
        ([0.5, 0.5], [False, True], 0.5),  # a tie counts half
        ([0.5, 0.5, 0.5, 0.9], [False, True, False, True], 0.75),  # (0.5 + 0.5 + 1 + 1) / 4
    ],
)
def test_auroc(scores: list[float], labels: list[bool], expected: float) -> None:
    assert auroc(scores, labels) == pytest.approx(expected)


def test_auroc_of_one_class_is_undefined() -> None:
    assert math.isnan(auroc([0.1, 0.2], [True, True]))


def test_calibration_bins() -> None:
    found = calibration([0.05, 0.95, 1.0, 0.97], [False, True, True, False])
    assert [(round(a, 3), round(b, 3), c) for a, b, c in found] == [
        (0.05, 0.0, 1),
        (0.973, 0.667, 3),  # (0.95 + 1 + 0.97) / 3; two of three right
    ]


def test_pairs_within_groups() -> None:
    scores, right = [0.9, 0.5, 0.5, 0.1], [True, True, False, False]
    # Pairs: .9 over .5 and .1, .5 ties with .5 and beats .1: 1 + 1 + 1/2 + 1 of 4.
    assert auroc(scores, right) == pytest.approx(3.5 / 4)
    assert auroc_within(scores, right, [np.array([0, 2]), np.array([1, 3])]) == 1.0
    assert math.isnan(auroc_within(scores, right, [np.array([0, 1])]))


def test_groups_are_the_places_of_each_label_in_order() -> None:
    found = groups_of(np.array([2, 0, 2, 1, 0]))
    assert [group.tolist() for group in found] == [[1, 4], [3], [0, 2]]
    assert groups_of(np.array([], np.int64)) == []
