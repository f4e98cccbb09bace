"""Which strategy is worth it at which predicted difficulty: theta*(q, N).

Source: Snell et al. 2024, "Scaling LLM Test-Time Compute Optimally", arXiv:2408.03314: problems are
put into five bins of predicted difficulty, and what did best on the calibration problems of a bin
within a budget is chosen for its others. Departures: difficulty is the chance of the best answer
after the samples so far, and so is known better with each of them; a bin's best is taken by its
lower bound; and budgets are prices, so that what a choice costs is weighed and not only limited.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tts.allocation.optimal_stopping import Paths
from tts.allocation.policy_file import BinPart, ChoicePart

_MOST_BINS = 5
_BIN_PROBLEMS = 20  # fewer bins where they would hold fewer
_LEAST_PROBLEMS = 8
_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Tried:
    """What a strategy did on some problems.

    Attributes:
        preset: Its name.
        strategy: What it runs.
        parameters: Its own.
        right: [problems], whether it was right.
        cost: [problems], in the unit of the samples' costs; NaN where it was not run.
    """

    preset: str
    strategy: str
    parameters: Mapping[str, Any]
    right: NDArray[np.bool_]
    cost: _Floats

    def on(self, places: Sequence[int], unit: float) -> "Tried":
        """Return what it did on some of the problems, its costs in another unit."""
        at = np.asarray(places, dtype=np.int64)
        own = self.right[at], self.cost[at] / unit
        return Tried(self.preset, self.strategy, self.parameters, *own)


def fit_choices(
    tried: Sequence[Tried], chances: _Floats
) -> tuple[tuple[float, ...], tuple[ChoicePart, ...]]:
    """Return the edges between bins of difficulty, and the strategies that do better in one.

    Args:
        tried: What each did on the problems, its costs in mean samples.
        chances: [problems, states], of the best answer at each state of its samples.
    """
    num_bins = max(1, min(_MOST_BINS, len(chances) // _BIN_PROBLEMS))
    edges = np.quantile(chances, np.arange(1, num_bins) / num_bins)
    bins = np.searchsorted(edges, chances, side="right")
    in_bin = np.stack([(bins == i).mean(axis=1) for i in range(num_bins)])  # [bins, problems]
    reached = np.array(
        [float(chances[bins == i].mean()) if (bins == i).any() else 1.0 for i in range(num_bins)]
    )
    choices = [
        _choice(one, in_bin) for one in tried if np.isfinite(one.cost).sum() >= _LEAST_PROBLEMS
    ]
    kept = [one for one in choices if any(np.array([b.low for b in one.bins]) > reached)]
    return tuple(float(edge) for edge in edges), tuple(kept)


def _choice(tried: Tried, in_bin: _Floats) -> ChoicePart:
    known = np.isfinite(tried.cost)
    right, cost, weight = tried.right[known], tried.cost[known], in_bin[:, known]
    parts = []
    for row in weight:
        mass = float(row.sum())
        if not mass:
            parts.append(BinPart(accuracy=0.0, low=0.0, cost=max(float(cost.mean()), 1e-6)))
            continue
        accuracy = float(row @ right) / mass
        # Problems that lie in the bin for a part of their states count for that part.
        parts.append(
            BinPart(
                accuracy=accuracy,
                low=_lower_bound(accuracy, mass),
                cost=max(float(row @ cost) / mass, 1e-6),
            )
        )
    return ChoicePart(
        preset=tried.preset,
        strategy=tried.strategy,
        parameters=dict(tried.parameters),
        bins=tuple(parts),
    )


def _lower_bound(share: float, number: float) -> float:
    """Return Wilson's lower bound at one standard error.

    The best promise is what is taken, and a bin of few problems promises much by luck.
    """
    spread = np.sqrt(share * (1.0 - share) / number + 0.25 / number**2)
    return float(max(0.0, (share + 0.5 / number - spread) / (1.0 + 1.0 / number)))


def turn(
    paths: Paths,
    tried: Sequence[Tried],
    edges: Sequence[float],
    choices: Sequence[ChoicePart],
    price: float,
) -> Paths:
    """Return the paths with what comes of asking the best choice wherever it is worth its price.

    Args:
        paths: Of some problems, problem by problem, equally many of each.
        tried: What each strategy did on them.
        edges: Between bins.
        choices: What is known of the strategies.
        price: Of a mean sample, in accuracy.
    """
    if not choices:
        return paths
    chance = paths.facts[:, :, 1]
    bins = np.searchsorted(edges, chance, side="right")
    worth = np.array([[b.low - price * b.cost for b in choice.bins] for choice in choices])
    best = worth.argmax(axis=0)[bins]
    by_name = {one.preset: one for one in tried}
    asked = [by_name[choice.preset] for choice in choices]
    repeats = len(paths.weight) // len(asked[0].right)
    right = np.repeat([one.right for one in asked], repeats, axis=1)
    cost = np.repeat([one.cost for one in asked], repeats, axis=1)
    rows = np.arange(len(chance))[:, None]
    turns = (worth.max(axis=0)[bins] > chance) & np.isfinite(cost[best, rows])
    return paths._replace(
        is_right=np.where(turns, right[best, rows], paths.is_right),
        value=np.where(turns, right[best, rows], paths.value),
        extra=np.where(turns, cost[best, rows], paths.extra),
    )
