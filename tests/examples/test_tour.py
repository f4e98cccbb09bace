"""The evolution example of round trips: what its evaluator makes of programs that are known."""

import math
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from examples.evolution import tour, tour_evaluator

Cities = Sequence[tuple[float, float]]


def nearest(cities: Cities) -> list[int]:
    order, left = [0], set(range(1, len(cities)))
    while left:
        order.append(min(left, key=lambda c: math.dist(cities[order[-1]], cities[c])))
        left.remove(order[-1])
    return order


def program(plan: Callable[[Any], Sequence[int]]) -> Any:
    return SimpleNamespace(tour=plan)


def test_better_trips_score_higher() -> None:
    by_place = program(lambda cities: sorted(range(len(cities)), key=lambda i: cities[i]))
    programs = (tour, by_place, program(nearest), program(tour_evaluator.searched))
    scores = [tour_evaluator.evaluate(one)["score"] for one in programs]
    assert scores == pytest.approx([25.1, 39.4, 86.8, 100.0], abs=0.1)
    assert tour_evaluator.held_out(tour) == pytest.approx(21.4, abs=0.1)
    assert all(tour_evaluator.evaluate_stage1(one) == 1 for one in programs)


@pytest.mark.parametrize("order", [[0] * 8, list(range(7)), [*range(7), 8]])
def test_what_is_no_tour_has_no_score(order: list[int]) -> None:
    with pytest.raises(ValueError, match="a tour holds each of 0 to 7 once"):
        tour_evaluator.evaluate_stage1(program(lambda cities: order))
