"""Chances and gains of votes, worked by hand."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tts.allocation.support import HORIZONS, Belief, Gains, chances, gain_per_vote
from tts.errors import InputError

# A uniform prior on the right answer's share, and a Chinese restaurant of strength 1 beside it.
PLAIN = Belief(right=1.0, wrong=1.0, spread=1.0, discount=0.0, answers=1.0)


def of(*rows: tuple[int, ...]) -> NDArray[np.int64]:
    width = max(map(len, rows))
    return np.array([row + (0,) * (width - len(row)) for row in rows], dtype=np.int64)


def test_chances_of_one_vote_and_of_two() -> None:
    # One vote: it is right with E[p] = 1/2.
    # (1, 1): one of them right 1/3! * ... = B(2, 2) = 1/6 each; neither: B(1, 3) / 2 = 1/6.
    # (2): right B(3, 1) = 1/3; wrong B(1, 3) / 2 = 1/6.
    seen, unseen = chances(PLAIN, of((1, 0), (1, 1), (2, 0)))
    assert seen == pytest.approx(np.array([[1 / 2, 0], [1 / 3, 1 / 3], [2 / 3, 0]]))
    assert unseen == pytest.approx([1 / 2, 1 / 3, 1 / 3])


def test_without_a_vote_nothing_is_seen() -> None:
    seen, unseen = chances(PLAIN, of((0, 0)))
    assert seen.tolist() == [[0, 0]] and unseen.tolist() == [1]


def test_the_next_vote_gains_what_it_brings() -> None:
    # Without a vote, the first one is right with chance 1/2, and no further horizon is better.
    assert gain_per_vote(PLAIN, of((0,)))[0].max() == pytest.approx(0.5)


def test_one_vote_more_at_a_tie() -> None:
    # (1, 1), one more vote. The second is right (1/3): it gets the vote with 2/4. The leader is
    # (1/3): its rival gets it with 2/4 (a wrong vote) times 1/2 (by a process of strength 1).
    # 1/3 * (1/2 - 1/4) = 1/12; a new answer cannot pass. Longer horizons gain less per vote.
    assert gain_per_vote(PLAIN, of((1, 1)))[0].max() == pytest.approx(1 / 12)


def test_close_races_gain_most_and_settled_ones_nothing() -> None:
    gains = gain_per_vote(Belief(), of((20,), (12, 8), (11, 10), (1, 1))).max(axis=1)
    assert gains[0] < 1e-5
    assert (np.diff(gains) > 0).all()


def test_a_lead_of_one_is_worth_more_than_one_vote() -> None:
    # One vote cannot change (2, 1), but more may.
    assert gain_per_vote(Belief(), of((2, 1)))[0].max() > 1e-3


def test_simulated_problems_agree_with_the_closed_form() -> None:
    """At (3, 2, 1) with four votes more: against urns drawn from the posterior."""
    belief, state, horizon = Belief(0.6, 0.8, 1.5, 0.25, 1.0), (3, 2, 1), 4
    rng = np.random.default_rng(0)
    seen, unseen = chances(belief, of(state))
    chance = [*seen[0], unseen[0]]
    gained = 0
    rounds = 20_000
    for right in rng.choice(len(chance), size=rounds, p=chance).tolist():
        counts = [*state, 0] if right == len(state) else list(state)
        for _ in range(horizon):
            total, own = sum(counts), counts[right]
            if rng.random() < (belief.right + own) / (belief.right + belief.wrong + total):
                counts[right] += 1
                continue
            weights = [c - belief.discount if i != right and c else 0 for i, c in enumerate(counts)]
            opened = belief.spread + belief.discount * sum(w > 0 for w in weights)
            weights.append(opened)
            place = rng.choice(len(weights), p=np.array(weights) / sum(weights))
            counts += [0] * (place == len(counts))
            counts[place] += 1
        gained += int(np.argmax(counts) == right) - int(right == 0)
    found = gain_per_vote(belief, of(state))[0, HORIZONS.index(horizon)] * horizon
    assert gained / rounds == pytest.approx(found, abs=0.006)  # one standard error is 0.002


def test_gains_of_samples_count_those_without_an_answer() -> None:
    gains = Gains(PLAIN)
    # Two votes in two samples: the next is a vote with (2 + 1) / 3. In eight: 3 / 9.
    left = np.array([16, 16])
    found = gains(of((1, 1), (1, 1)), np.array([2, 8]), left)
    assert found == pytest.approx([1 / 12, 1 / 36])
    # Order and width of the counts say nothing.
    assert gains(of((0, 1, 0, 1)), np.array([2]), left[:1])[0] == found[0]


def test_no_horizon_is_longer_than_what_is_left() -> None:
    # (2, 1): one vote more can at best tie, which leaves the leader; of three, two may decide.
    gains, state, drawn = Gains(Belief()), of((2, 1)), np.array([3])
    one, three = (float(gains(state, drawn, np.array([left]))[0]) for left in (1, 3))
    assert 0 < 100 * one < three  # not nothing: what could decide with more comes first
    # (5, 2) with two left is settled; with four it is not.
    two, four = (float(gains(of((5, 2)), np.array([7]), np.array([k]))[0]) for k in (2, 4))
    assert 0 < 100 * two < four


def test_what_is_no_belief_is_refused() -> None:
    for wrong in ({"right": 0.0}, {"spread": -1.0}, {"discount": 1.0}, {"answers": 0.0}):
        with pytest.raises(InputError, match="belief"):
            Belief(**wrong)
