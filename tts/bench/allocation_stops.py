"""Presets that stop a vote early, on recorded samples: those that know nothing of the model."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tts.allocation.fit import Winners
from tts.allocation.support import Belief, gains_of
from tts.parts.build import parameters_of
from tts.presets.load import load_preset

_MOST = 16


class Stop(NamedTuple):
    """What stopping early brings: accuracy of the vote, and mean samples."""

    accuracy: float
    samples: float


def early_stops(courses: Sequence[Winners]) -> dict[str, Stop]:
    """Return what the presets `doubling` and `value_stop` bring on 16 samples, or on all.

    Args:
        courses: Votes of each problem along some orders of drawing.
    """
    most = min(_MOST, courses[0].is_right.shape[1] - 1)
    doubling: Any = parameters_of("strategy", "doubling")()
    value_stop: Any = load_preset("value_stop").config
    share, price = doubling.share, value_stop.price
    gains = gains_of(Belief())
    drawn = np.arange(most + 1)
    found: dict[str, list[tuple[float, float]]] = {"doubling": [], "value_stop": []}
    for course in courses:
        votes = course.votes[:, : most + 1].astype(np.int64)
        flat = votes.reshape(-1, votes.shape[-1])
        leads = votes.max(axis=-1) / np.maximum(drawn, 1)
        gain = gains(flat, np.tile(drawn, len(votes))).reshape(leads.shape)
        for name, is_over, sizes in (
            ("doubling", leads >= share, (2, 4, 8)),
            ("value_stop", gain < price, range(2, most)),
        ):
            stops = _first(is_over, [size for size in sizes if size < most], most)
            right = np.take_along_axis(course.is_right, stops[:, None], axis=1)
            found[name].append((float(right.mean()), float(stops.mean())))
    return {name: Stop(*np.mean(pairs, axis=0).tolist()) for name, pairs in found.items()}


def _first(is_over: NDArray[np.bool_], sizes: Sequence[int], most: int) -> NDArray[np.int64]:
    """Return the first of the sizes at which each order is over, else the most."""
    stops = np.full(len(is_over), most)
    for size in reversed(sizes):
        stops[is_over[:, size]] = size
    return stops
