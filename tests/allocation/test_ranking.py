"""Strengths from wins and ties, by hand."""

import math

import numpy as np
import pytest

from tts.allocation.ranking import ELO, Comparisons, compare_all, groups, rank, strengths
from tts.errors import InputError


def test_two_systems_by_hand() -> None:
    # 30 wins, 10 losses, 60 ties: s1 / s2 = 3, and t = 60 / sqrt(30 * 10).
    compared = Comparisons(np.array([[0.0, 30], [10, 0]]), np.array([[0.0, 60], [60, 0]]))
    first, second, tie = strengths(compared)
    assert first - second == pytest.approx(math.log(3), abs=2e-3)  # the ridge is faint
    assert first + second == pytest.approx(0)
    assert tie == pytest.approx(math.log(60 / math.sqrt(300)), abs=2e-3)


def test_wins_and_ties_are_counted_where_both_have_the_problem() -> None:
    nan = math.nan
    compared = compare_all(np.array([[1, 0, nan], [1, 1, 0], [0, 0.25, 1]]))
    # 1 over 2: the first problem. In the third, 2 beats 1 a quarter of the time.
    assert compared.wins[0].tolist() == [0, 1, 1]
    assert compared.wins[1].tolist() == [0.25, 0, 1]
    assert compared.ties[0].tolist() == [0, 1 + 0.75, 0]
    assert compared.wins[2, 1] == pytest.approx(0.75)


def test_systems_that_never_met_are_ranked_by_those_between_them() -> None:
    # 1 beats 2 on some problems, 2 beats 3 on others.
    rows = [[1, 0, None], [1, 1, None], [None, 1, 0], [None, 1, 1]] * 20
    first, second, third = rank(rows, num_resamples=20)
    assert first.points > second.points > third.points
    assert first.points - second.points == pytest.approx(second.points - third.points, rel=0.01)
    assert (first.best, first.worst) == (1, 1) and first.low <= first.points <= first.high
    assert ELO * math.log(10) == pytest.approx(400)


def test_what_no_problem_holds_together_is_refused() -> None:
    rows = [[1, 0, None, None], [None, None, 1, 0]]
    table = np.array([[math.nan if x is None else x for x in row] for row in rows])
    assert groups(compare_all(table)) == [[0, 1], [2, 3]]
    with pytest.raises(InputError, match="no problem holds all systems together"):
        rank(rows)
    with pytest.raises(InputError, match="two systems or more"):
        rank([[1]])
    with pytest.raises(InputError, match=r"lie in \[0, 1\]"):
        rank([[1, 2]])
