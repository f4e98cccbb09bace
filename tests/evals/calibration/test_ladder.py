"""Ladders fitted to samples whose worth is known."""

import numpy as np
import pytest

from tts.allocation.fit import Recorded
from tts.evals.calibration.ladder import Dearer, fit_ladder


def mixed(number: int = 60, samples: int = 16) -> list[Recorded]:
    """A third agrees at once, a third needs the verifier, a third is beyond the model."""
    rng = np.random.default_rng(0)
    problems = []
    for i in range(number):
        if i % 3 == 0:
            classes = (rng.random(samples) < 0.1).astype(int)
            scores, right = np.full(samples, 0.9), 0
        elif i % 3 == 1:
            classes, right = rng.integers(0, 6, samples), 0
            scores = np.where(classes == right, 0.95, rng.uniform(0.0, 0.5, samples))
        else:
            classes, right = rng.integers(0, 12, samples), 99
            scores = rng.uniform(0.0, 0.5, samples)
        problems.append(
            Recorded(tuple(classes.tolist()), frozenset({right}), (10.0,) * samples, tuple(scores))
        )
    return problems


PROBLEMS = mixed()
HALVES = (range(0, 30), range(30, 60))


@pytest.mark.slow
def test_dearer_points_are_righter_and_the_cheapest_are_cheap() -> None:
    ladder = fit_ladder(PROBLEMS, HALVES, verifier="prm")
    tokens = [point.tokens or 0.0 for point in ladder.points]
    accuracy = [point.accuracy for point in ladder.points]
    assert tokens[0] < 25 and tokens[-1] > 2 * tokens[0]
    assert accuracy[-1] > accuracy[0]
    assert ladder.sizes[-1] == 16 and ladder.verifier == "prm"
    assert all(point.low <= point.accuracy <= point.high for point in ladder.points)
    # Nearly all that is to be had (two thirds) for less than half of all samples.
    assert min(t for t, a in zip(tokens, accuracy, strict=True) if a > 0.6) < 80


@pytest.mark.slow
def test_a_share_gives_a_rule_between_two_points() -> None:
    ladder = fit_ladder(PROBLEMS, HALVES)
    low, high = (ladder.rule_for(share) for share in (1.0, 1e6))
    assert low[0].weights == ladder.points[0].weights and low[1] == ladder.points[0].price
    assert high[0].weights == ladder.points[-1].weights
    middle = ladder.rule_for(50.0)
    assert high[1] < middle[1] < low[1]


@pytest.mark.slow
def test_a_dearer_strategy_is_kept_where_it_gains() -> None:
    solves_all = Dearer("beam_search", {"width": 4}, [(True, 100.0)] * 60)
    useless = Dearer("single", {}, [(False, 10.0)] * 60)
    few = Dearer("mcts", {}, [(True, 1.0)] * 4 + [None] * 56)
    kept = fit_ladder(PROBLEMS, HALVES, dearer=[useless, few, solves_all]).dearer
    assert kept is not None and kept.strategy == "beam_search"
    assert kept.cost == pytest.approx(10.0)  # 100 tokens are ten samples
    assert min(kept.accuracy) > 0.9
    assert fit_ladder(PROBLEMS, HALVES, dearer=[useless]).dearer is None


def test_one_sided_data_give_a_ladder_that_stops_at_once() -> None:
    for right in (0, 9):
        same = [Recorded((0,) * 8, frozenset({right}), (10.0,) * 8, (0.5,) * 8) for _ in range(12)]
        ladder = fit_ladder(same, (range(6), range(6, 12)))
        assert ladder.points[0].samples == 1.0
