"""Ladders fitted to samples whose worth is known."""

import numpy as np
import pytest

from tts.allocation.fit import Recorded
from tts.evals.calibration.choices import Tried, fit_choices
from tts.evals.calibration.ladder import fit_ladder


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
    cost = [point.cost for point in ladder.points]
    accuracy = [point.accuracy for point in ladder.points]
    assert cost[0] < 25 and cost[-1] > 2 * cost[0]
    assert accuracy[-1] > accuracy[0]
    assert ladder.sizes[-1] == 16 and ladder.verifier == "prm"
    assert all(point.low <= point.accuracy <= point.high for point in ladder.points)
    # Nearly all that is to be had (two thirds) for less than half of all samples.
    assert min(c for c, a in zip(cost, accuracy, strict=True) if a > 0.6) < 80


@pytest.mark.slow
def test_the_last_point_draws_all_samples() -> None:
    last = fit_ladder(PROBLEMS, HALVES).points[-1]
    assert (last.price, last.samples) == (0.0, 16.0)
    assert last.cost == pytest.approx(160.0)


def tried(preset: str, right: list[bool], cost: list[float]) -> Tried:
    return Tried(preset, "beam_search", {"width": 4}, np.array(right), np.array(cost))


@pytest.mark.slow
def test_a_strategy_is_kept_where_it_gains() -> None:
    solves_all = tried("beam", [True] * 60, [100.0] * 60)
    useless = tried("useless", [False] * 60, [10.0] * 60)
    few = tried("few", [True] * 60, [1.0] * 4 + [float("nan")] * 56)
    kept = fit_ladder(PROBLEMS, HALVES, tried=[useless, few, solves_all])
    assert [choice.preset for choice in kept.choices] == ["beam"]
    assert len(kept.edges) == 2  # 60 problems make three bins
    first = kept.choices[0].bins[0]
    assert first.cost == pytest.approx(10.0)  # 100 tokens are ten samples
    assert first.accuracy == 1.0 and 0.9 < first.low < 1.0
    # The third that is beyond the samples is not beyond the search, and the points know it.
    assert kept.points[8].accuracy > 0.95
    alone = fit_ladder(PROBLEMS, HALVES, tried=[useless])
    assert not alone.choices and alone.points[8].accuracy < 0.7


def test_bins_by_hand() -> None:
    # Twenty hard problems, of which the search solves five, and twenty easy ones, all but one.
    chances = np.repeat([[0.2], [0.6]], 20, axis=0)
    right = [True] * 5 + [False] * 15 + [True] * 19 + [False]
    edges, choices = fit_choices([tried("beam", right, [4.0] * 20 + [2.0] * 20)], chances)
    assert len(edges) == 1 and 0.2 < edges[0] <= 0.6
    hard, easy = choices[0].bins
    assert (hard.accuracy, hard.cost, easy.accuracy, easy.cost) == (0.25, 4.0, 0.95, 2.0)
    # Wilson, one standard error: (.25 + 1/40 - sqrt(.25 * .75 / 20 + 1/1600)) / (1 + 1/20) = .1667
    assert hard.low == pytest.approx(0.1667, abs=1e-4)


def test_one_sided_data_give_a_ladder_that_stops_at_once() -> None:
    for right in (0, 9):
        same = [Recorded((0,) * 8, frozenset({right}), (10.0,) * 8, (0.5,) * 8) for _ in range(12)]
        ladder = fit_ladder(same, (range(6), range(6, 12)))
        assert ladder.points[0].samples == 1.0
