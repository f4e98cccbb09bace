"""Stopping rules, worked by hand."""

import pytest

from tts.stopping import is_settled, leader_probability


@pytest.mark.parametrize(
    ("votes", "remaining", "expected"),
    [
        ([], 5, False),
        ([3, 1], 1, True),  # 3 > 1 + 1
        ([3, 1], 2, False),  # a tie could go to the challenger
        ([3], 2, True),  # a new class can reach 2 at most
        ([3], 3, False),
        ([0.9, 0.4], 0.4, True),  # 0.9 > 0.8
    ],
)
def test_is_settled(votes: list[float], remaining: float, expected: bool) -> None:
    assert is_settled(votes, remaining) is expected


@pytest.mark.parametrize(
    ("votes", "expected"),
    [
        ([], 0.0),
        ([3], 0.9375),  # 1 - (1/2)^4
        ([4], 0.96875),  # 1 - (1/2)^5
        ([5, 1], 0.9375),  # P(Beta(6, 2) > 1/2) = P(Bin(7, 1/2) <= 5) = 120 / 128
        ([1, 5, 1], 0.9375),  # only the two largest count
        ([6, 1], 0.96484375),  # P(Bin(8, 1/2) <= 6) = 247 / 256
    ],
)
def test_leader_probability(votes: list[int], expected: float) -> None:
    assert leader_probability(votes) == pytest.approx(expected)
