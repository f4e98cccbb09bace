"""Stopping rules, worked by hand."""

import pytest

from tts.voting.stopping import (
    dirichlet_probability,
    is_settled,
    is_unanimous,
    leader_probability,
    leader_share,
)


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


@pytest.mark.parametrize(
    ("votes", "expected"),
    [
        ([], 0.0),
        ([4], 0.96875),  # below three classes it is the Beta posterior
        ([5, 1], 0.9375),
        ([1, 1, 1], 1 / 3),  # by symmetry
        ([2, 2, 2, 2, 2], 1 / 5),
        ([2] * 9, 1 / 5),  # the five largest count
        # P(X1 > X2, X3), X1 ~ Gamma(3), X2, X3 ~ Gamma(2) with F(x) = 1 - e^-x (1 + x):
        # 1 - (2/8 + 6/16) + (2/27 + 12/81 + 24/243) / 2 = 0.375 + 78/486
        ([2, 1, 1], 0.375 + 78 / 486),
    ],
)
def test_dirichlet_probability(votes: list[int], expected: float) -> None:
    assert dirichlet_probability(votes) == pytest.approx(expected, abs=1e-4)


def test_dirichlet_is_below_beta_when_a_third_answer_may_win() -> None:
    assert dirichlet_probability([3, 2, 2]) < leader_probability([3, 2, 2])


@pytest.mark.parametrize(
    ("votes", "expected"),
    [([], 0.0), ([0.0], 0.0), ([3.0, 1.0], 0.75), ([0.2, 0.6], 0.75)],  # 3/4, 0.6/0.8
)
def test_leader_share(votes: list[float], expected: float) -> None:
    assert leader_share(votes) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("answers", "expected"),
    [([], False), ([0, 0, 0], True), ([0, 1, 0], False), ([None, None], False), ([0, None], False)],
)
def test_is_unanimous(answers: list[int | None], expected: bool) -> None:
    assert is_unanimous(answers) is expected
