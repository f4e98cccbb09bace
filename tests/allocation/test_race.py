"""The race for a vote, worked by hand."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tts.allocation.race import GainTable, certainty, fit_race, gain_per_vote
from tts.errors import InputError


def of(*values: float) -> NDArray[np.float64]:
    return np.array(values)


def test_certainty_with_a_uniform_prior() -> None:
    # The share of the first is Beta(lead + 1, 1): P(share > 1/2) = 1 - 2 ** -(lead + 1).
    found = certainty(of(0, 1, 2, 4, 3), of(0, 0, 0, 0, 3), 1.0)
    assert found == pytest.approx([0.5, 0.75, 0.875, 0.96875, 0.5])


def test_one_vote_more_at_a_tie() -> None:
    # At (1, 1) the next vote makes it (2, 1) either way: Beta(3, 2) gives 11/16. Gain 3/16.
    assert gain_per_vote(of(1), of(1), 1.0)[0] == pytest.approx(11 / 16 - 8 / 16)


def test_one_vote_cannot_change_a_lead_of_one_but_three_can() -> None:
    # At (1, 0), m = 1: (2, 0) or (1, 1), certainty 7/8 * 2/3 + 1/2 * 1/3 = 3/4: no gain. More votes
    # may make the other one lead, so the gain is positive all the same.
    assert gain_per_vote(of(1), of(0), 1.0)[0] > 0.01


def test_settled_races_gain_nothing_and_close_ones_most() -> None:
    gains = gain_per_vote(of(20, 12, 11, 1), of(0, 8, 10, 1), 1.0)
    assert gains[0] < 1e-5
    assert (np.diff(gains) > 0).all()


def test_the_table_is_the_function() -> None:
    table = GainTable(0.3)
    lead, second = np.array([[0, 5], [70, 5]]), np.array([[0, 2], [60, 2]])
    expected = gain_per_vote(lead.astype(float), second.astype(float), 0.3)
    assert table(lead, second) == pytest.approx(expected)


def test_the_concentration_is_found_from_final_votes() -> None:
    # All or nothing, with even odds which: a small concentration. Even splits: a large one.
    assert fit_race([40] * 10, [0] * 10) < 0.1
    assert fit_race([20] * 10, [20] * 10) > 5
    # Shares of Beta(1, 1) in order: 9 / 10, 8 / 10, ... of ten votes, folded.
    assert fit_race([10, 10, 9, 9, 8, 8, 7, 7, 6, 6, 5], [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5]) == (
        pytest.approx(1.0, abs=0.35)
    )
    for lead, second in (([], []), ([0], [0]), ([1], [2])):
        with pytest.raises(InputError):
            fit_race(lead, second)
