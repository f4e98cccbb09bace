"""Below which value a solution is hopeless, learnt for a stated loss.

A solution is given up where two looks in a row find its value below the bar. The loss is the share
of right solutions that would be given up; of a vote's accuracy less is lost, for wrong solutions go
with them.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tts.evals.heads.examples import Examples
from tts.heads.patience import LOOKS

LOSSES = (0.005, 0.01, 0.02, 0.05, 0.1)


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar.

    Attributes:
        loss: Share of right solutions that are given up at it, at most.
        value: Below it a solution is hopeless.
        saved: Share of all generated tokens that come after a solution was given up.
    """

    loss: float
    value: float
    saved: float


def learn_bars(examples: Examples, values: NDArray[np.float64]) -> list[Bar]:
    """Return a bar for each of `LOSSES`.

    Args:
        examples: Solutions with their places.
        values: At each place, of a head that has not seen their problems, [N].
    """
    stays = _stays(examples, values)
    lowest = np.full(len(examples.label), np.inf)
    np.minimum.at(lowest, examples.solution, stays)
    of_right = np.sort(lowest[examples.label])
    bars = []
    for loss in LOSSES:
        value = float(of_right[min(math.floor(loss * len(of_right)), len(of_right) - 1)])
        value = min(value, 1.0)  # where no right solution was ever looked at twice
        bars.append(Bar(loss, value, _saved(examples, stays < value)))
    return bars


def _stays(examples: Examples, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return, for each place, the highest of its last looks; infinite where it is the end."""
    stays = values.copy()
    for back in range(1, LOOKS):
        before = np.roll(values, back)
        same = np.roll(examples.solution, back) == examples.solution
        same[:back] = False
        stays = np.where(same, np.maximum(stays, before), np.inf)
    stays[examples.ends] = np.inf
    return stays


def _saved(examples: Examples, is_below: NDArray[np.bool_]) -> float:
    totals = examples.places[examples.ends] + 1
    cut_at = totals.copy()
    np.minimum.at(cut_at, examples.solution[is_below], examples.places[is_below] + 1)
    return float(1 - cut_at.sum() / totals.sum())
