"""Stopping at a price, and interpolation at equal cost, by hand."""

import numpy as np
import pytest

from tts.allocation.curves import (
    cost_after,
    interpolate_accuracy,
    interpolate_cost,
    stop_at_prices,
)
from tts.allocation.fit import Recorded, follow_votes
from tts.allocation.support import Belief, Gains
from tts.errors import InputError


def test_a_higher_price_stops_earlier() -> None:
    problem = Recorded((0, 0, 1, 1, 1, 1, 1, 1), frozenset({1}), tuple(map(float, range(1, 9))))
    course = follow_votes(problem, np.arange(8)[None])
    found = stop_at_prices(Gains(Belief()), course, [1.0, 0.0])
    # At price 1 the probe of two is all, and it is wrong: cost 1 + 2. At 0 everything is drawn.
    assert found.samples.tolist() == [2, 8]
    assert found.accuracy.tolist() == [0, 1]
    assert found.cost.tolist() == [3, 36]


def test_samples_of_a_step_cost_together_or_at_the_same_time() -> None:
    costs = np.array([[3.0, 1.0, 2.0, 5.0, 4.0]])
    summed = cost_after(costs, [1, 3, 5, 8], is_latency=False)
    assert summed.tolist() == [[3, 6, 15, 15]]
    # Of 3, then 1 and 2, then 5 and 4 the longest each: 3 + 2 + 5.
    assert cost_after(costs, [1, 3, 5, 8], is_latency=True).tolist() == [[3, 5, 10, 10]]
    assert cost_after(costs, [2, 3], is_latency=False).tolist() == [[4, 6]]


def test_interpolation_is_straight_in_the_logarithm_of_the_cost() -> None:
    cost, accuracy = [100, 400, 1_600], [0.4, 0.6, 0.7]
    assert interpolate_accuracy(cost, accuracy, 200) == pytest.approx(0.5)
    assert interpolate_cost(cost, accuracy, 0.5) == pytest.approx(200)
    assert interpolate_cost(cost, accuracy, 0.1) == pytest.approx(100)
    assert interpolate_cost(cost, accuracy, 0.8) is None
    with pytest.raises(InputError, match="runs from 100 to 1600"):
        interpolate_accuracy(cost, accuracy, 50)
    with pytest.raises(InputError, match="rise"):
        interpolate_cost([2, 1], [0.1, 0.2], 0.1)
