import math

import pytest

from tts.bundled.measures import auroc, calibration, mean_share, vote


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


@pytest.mark.parametrize(
    ("answers", "weights", "winner"),
    [
        (["7", "8", "7"], [1.0, 1.0, 1.0], "7"),
        (["7", "8", "7"], [0.1, 0.9, 0.2], "8"),
        (["8", "7"], [1.0, 1.0], "8"),  # the earliest of equals
        ([None, None, "7"], [1.0, 1.0, 0.1], "7"),  # no answer, no vote
        ([None], [1.0], None),
    ],
)
def test_vote(answers: list[str | None], weights: list[float], winner: str | None) -> None:
    assert vote(answers, weights) == winner


def test_share_and_interval() -> None:
    # mean 0.5; sample variance 4 * 0.25 / 3; its mean's deviation sqrt(1/3 / 4) = 0.2887
    share = mean_share([0.0, 1.0, 0.0, 1.0])
    assert share.value == 0.5
    assert share.high == 1.0  # 0.5 + 0.566, cut
    assert mean_share([0.4, 0.6] * 50).low == pytest.approx(0.4803, abs=1e-4)  # 0.1005 / 10 * 1.96


def test_calibration_bins() -> None:
    found = calibration([0.05, 0.95, 1.0, 0.97], [False, True, True, False])
    assert [(round(a, 3), round(b, 3), c) for a, b, c in found] == [
        (0.05, 0.0, 1),
        (0.973, 0.667, 3),  # (0.95 + 1 + 0.97) / 3; two of three right
    ]
