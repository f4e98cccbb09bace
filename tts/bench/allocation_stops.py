"""Presets that stop a vote early, on recorded samples: those that know nothing of the model."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tts.allocation.curves import stop_at_prices
from tts.allocation.fit import Winners
from tts.allocation.support import Belief, gains_of
from tts.parts.build import parameters_of
from tts.presets.load import load_preset

_MOST = 16
_PROBE = 2  # samples before either preset looks


class Stop(NamedTuple):
    """What stopping early brings: accuracy of the vote, and mean samples."""

    accuracy: float
    samples: float


def early_stops(courses: Sequence[Winners]) -> dict[str, Stop]:
    """Return what the presets `doubling` and `value_stop` bring on 16 samples, or on all.

    Args:
        courses: Votes of each problem along some orders of drawing.
    """
    doubling: Any = parameters_of("strategy", "doubling")()
    value_stop: Any = load_preset("value_stop").config
    gains = gains_of(Belief())
    found: dict[str, list[Stop]] = {"doubling": [], "value_stop": []}
    for course in map(_shortened, courses):
        found["doubling"].append(_doubling(course, doubling.share))
        stopped = stop_at_prices(gains, course, (value_stop.price,), probe=_PROBE)
        found["value_stop"].append(Stop(float(stopped.accuracy[0]), float(stopped.samples[0])))
    return {name: Stop(*np.mean(stops, axis=0).tolist()) for name, stops in found.items()}


def _shortened(course: Winners) -> Winners:
    """Return the first samples of a course."""
    states, drawn = np.s_[:, : _MOST + 1], np.s_[:, :_MOST]
    return Winners(
        course.is_right[states], course.votes[states], course.classes[drawn], course.costs[drawn]
    )


def _doubling(course: Winners, share: float) -> Stop:
    """Draw twice as many until the leader has such a share of them."""
    most = course.classes.shape[1]
    stops = np.full(len(course.votes), most)
    sizes = [size for size in (_PROBE, 4, 8) if size < most]
    for size in reversed(sizes):
        stops[course.votes[:, size].max(axis=-1) >= share * size] = size
    right = np.take_along_axis(course.is_right, stops[:, None], axis=1)
    return Stop(float(right.mean()), float(stops.mean()))
