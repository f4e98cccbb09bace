"""Accuracy against cost: what stopping at a price buys, and interpolation at equal cost."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tts.allocation.fit import Winners
from tts.allocation.support import Gains
from tts.errors import InputError

_Floats = NDArray[np.float64]


class Stopped(NamedTuple):
    """What stopping at each of several prices brought one problem, mean over the orders."""

    accuracy: _Floats
    samples: _Floats
    cost: _Floats


def stop_at_prices(
    gains: Gains,
    course: Winners,
    prices: Sequence[float],
    *,
    probe: int = 2,
    is_latency: bool = False,
) -> Stopped:
    """Draw each order until the next sample gains less than the price; see `allocate`.

    Args:
        gains: Of a belief.
        course: One problem's votes, along some orders of drawing.
        prices: Least gains in accuracy per sample.
        probe: Samples before the first decision.
        is_latency: As of `cost_after`.
    """
    num_orders, num_levels, num_classes = course.votes.shape
    drawn = np.tile(np.arange(num_levels), num_orders)
    votes = course.votes.reshape(-1, num_classes).astype(np.int64)
    found = gains(votes, drawn, num_levels - 1 - drawn).reshape(num_orders, num_levels)
    first = min(probe, num_levels - 1)
    is_over = found[:, first:, None] < np.asarray(prices)
    is_over[:, -1] = True  # nothing is left to draw
    stops = is_over.argmax(axis=1) + first  # [orders, prices]
    paid = cost_after(course.costs, range(first, num_levels), is_latency=is_latency)
    right = np.take_along_axis(course.is_right, stops, axis=1)
    cost = np.take_along_axis(paid, stops - first, axis=1)
    return Stopped(right.mean(axis=0), stops.mean(axis=0), cost.mean(axis=0))


def cost_after(costs: _Floats, sizes: Sequence[int], *, is_latency: bool) -> _Floats:
    """Return what samples have cost after each step, [orders, steps].

    Args:
        costs: [orders, samples], each drawn alone.
        sizes: Samples after each step, rising from 1 or more; beyond all of them, all.
        is_latency: The cost is of a kind that samples drawn together take at the same time, so that
            a step costs what its dearest sample does.
    """
    whole = np.minimum(np.asarray(sizes), costs.shape[1])
    ends = np.unique(whole)
    starts = np.concatenate([[0], ends[:-1]])
    join = np.maximum if is_latency else np.add
    steps = join.reduceat(costs[:, : ends[-1]], starts, axis=1)
    return np.asarray(np.cumsum(steps, axis=1)[:, np.searchsorted(ends, whole)])


def interpolate_accuracy(cost: Sequence[float], accuracy: Sequence[float], at: float) -> float:
    """Return the accuracy at a cost, straight in the logarithm of the cost between two points.

    Raises:
        InputError: The cost lies outside the curve, which is not continued.
    """
    x, y = _curve(cost, accuracy)
    if not x[0] - 1e-9 <= np.log(at) <= x[-1] + 1e-9:
        raise InputError(
            f"the curve runs from {np.exp(x[0]):g} to {np.exp(x[-1]):g}, not to {at:g}"
        )
    return float(np.interp(np.log(at), x, y))


def interpolate_cost(cost: Sequence[float], accuracy: Sequence[float], of: float) -> float | None:
    """Return the least cost at which the curve reaches an accuracy; None if it never does."""
    x, y = _curve(cost, accuracy)
    reached = np.flatnonzero(y >= of - 1e-12)
    if not len(reached):
        return None
    i = int(reached[0])
    if i == 0:
        return float(np.exp(x[0]))
    share = (of - y[i - 1]) / (y[i] - y[i - 1])
    return float(np.exp(x[i - 1] + share * (x[i] - x[i - 1])))


def _curve(cost: Sequence[float], accuracy: Sequence[float]) -> tuple[_Floats, _Floats]:
    x, y = np.asarray(cost, dtype=np.float64), np.asarray(accuracy, dtype=np.float64)
    if not len(x) or x.shape != y.shape or (x <= 0).any() or (np.diff(x) <= 0).any():
        raise InputError("a curve needs costs that are positive and rise, and their accuracies")
    return np.log(x), y
