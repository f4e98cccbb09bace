"""Particle filtering: weights and draws by hand, and whole searches."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.searching import digits, grow, new_tree, search, solutions
from tts.engine.scripted import ScriptedEngine
from tts.search.tree import ROOT
from tts.strategies.particle_filter import Config, Policy, build, particle_weights, resample


def test_weights_are_odds_times_particles() -> None:
    # Odds 1 and 3; the second node stands for two particles: 1 : 6.
    assert particle_weights([0.5, 0.75], [1, 2]) == pytest.approx([1 / 7, 6 / 7])
    # 0 and 1 are clipped: all weight lies on the 1.
    assert particle_weights([0.0, 1.0], [1, 1]) == pytest.approx([0.0, 1.0], abs=1e-6)
    assert particle_weights([0.3, 0.3], [0, 1]) == pytest.approx([0.0, 1.0])
    assert particle_weights([0.3, 0.6], [0, 0]) == [0.5, 0.5]


@given(
    weights=st.lists(st.floats(0.01, 1), min_size=1, max_size=20),
    width=st.integers(1, 100),
    seed=st.integers(0, 100),
)
def test_draws_sum_to_the_width_and_systematic_ones_are_near_their_mean(
    weights: list[float], width: int, seed: int
) -> None:
    share = [w / sum(weights) for w in weights]
    rng = np.random.default_rng(seed)
    assert sum(resample(share, width, "multinomial", rng)) == width
    counts = resample(share, width, "systematic", rng)
    assert sum(counts) == width
    for count, part in zip(counts, share, strict=True):
        assert abs(count - width * part) < 1 + 1e-6


def test_finished_particles_are_drawn_too() -> None:
    tree = new_tree()
    # Odds 1e-7, 9, 1e7: practically all draws are the finished third.
    grow(tree, ROOT, [0.0, 0.9, 1.0], finished=[2])
    decision = Policy(width=5).decide(tree, np.random.default_rng(0))
    assert decision.expand == ()
    assert decision.copies == {3: 5}
    assert set(decision.prune) == {1, 2}


def test_a_whole_search_keeps_the_number_of_particles() -> None:
    result = search(ScriptedEngine(digits(depth=3)), build(Config(width=8, choose="vote")))
    assert result.answer is not None
    assert result.answer.support.voters == 8
    best = search(ScriptedEngine(digits(depth=3)), build(Config(width=8)))
    assert best.answer is not None


def test_copies_cost_nothing_and_have_ids_of_their_own() -> None:
    engine = ScriptedEngine(digits(depth=1))
    result = search(engine, Policy(width=6))
    found = solutions(result)
    ids = [t.id for t in found]
    assert len(set(ids)) == len(ids) == 6
    assert sum(t.usage.calls for t in result.trajectories) <= result.usage.calls
