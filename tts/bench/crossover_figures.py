"""One long trace against many short samples, at equal cost: curves, where they cross, how surely.

Between two measured points a curve is a line over the logarithm of the cost. A trace that has ended
stays as right as it is, whatever more might be spent.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from tts.evals.laws.frontier import Way, ways_of
from tts.evals.laws.series import Series
from tts.evals.metrics import Difference
from tts.types.figures import Unit

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

_GRID = 200  # costs that are looked at
_RESAMPLES = 2000
_LEVELS = (0.025, 0.975)

Arm = Literal["best-of-n", "vote"]
ARMS: tuple[Arm, ...] = get_args(Arm)
_FIGURES = {"best-of-n": "pass", "vote": "maj"}


class Curve(NamedTuple):
    """Accuracy against cost of one arm; the mean over problems is what counts.

    Attributes:
        sizes: Samples, or tokens after which the trace is cut; 0 for the whole trace.
        costs: [sizes, problems], rising.
        accuracies: [sizes, problems].
    """

    sizes: tuple[int, ...]
    costs: Floats
    accuracies: Floats


class Point(NamedTuple):
    """A measured point of a curve, with the 95 % interval of its accuracy over problems."""

    size: int
    cost: float
    accuracy: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Crossing:
    """Where one trace overtakes n samples.

    Attributes:
        cost: From which on the trace is ahead; None where it never is.
        low: Of the 95 % bootstrap interval of the cost, over problems; None for never.
        high: Likewise.
        share: Of the bootstrap's resamples in which the trace is ahead anywhere.
        until: Cost at which the samples take the lead again; None where they do not.
        own: Cost of the whole trace.
        at_own: Trace less samples there, in accuracy.
        far: Cost of all samples.
        at_far: The same there.
    """

    cost: float | None
    low: float | None
    high: float | None
    share: float
    until: float | None
    own: float
    at_own: Difference
    far: float
    at_far: Difference


def samples_curve(series: Series, arm: Arm, unit: Unit) -> Curve:
    """Return the accuracy of 1, 2, 4, ... samples: one of them right, or their vote."""
    ways = [w for w in ways_of(series, unit=unit, figure=_FIGURES[arm]) if w.length is None]
    return _curve(ways, [way.n for way in ways])


def trace_curve(series: Series, unit: Unit) -> Curve:
    """Return the accuracy of the first sample, cut after 32, 64, ... tokens and whole."""
    ways = [way for way in ways_of(series, unit=unit, figure="pass") if way.n == 1]
    return _curve(ways, [way.length or 0 for way in ways])


def _curve(ways: list[Way], sizes: list[int]) -> Curve:
    costs = np.array([way.costs for way in ways])
    return Curve(tuple(sizes), costs, np.array([way.accuracies for way in ways]))


def points(curve: Curve, *, seed: int) -> list[Point]:
    """Return the measured points of a curve."""
    drawn = _resamples(curve.costs.shape[1], seed)
    means = curve.accuracies[:, drawn].mean(axis=2)  # [sizes, resamples]
    low, high = np.quantile(means, _LEVELS, axis=1)
    rows = zip(
        curve.sizes, curve.costs.mean(axis=1), curve.accuracies.mean(axis=1), low, high, strict=True
    )
    return [Point(size, *map(float, rest)) for size, *rest in rows]


def crossing(samples: Curve, trace: Curve, *, seed: int) -> Crossing:
    """Set a trace against samples of the same problems, from the cheapest cost that both have.

    Args:
        samples: Of the model that answers at once.
        trace: Of the model that searches.
        seed: Of the bootstrap.
    """
    far, own = float(samples.costs[-1].mean()), float(trace.costs[-1].mean())
    start = max(float(samples.costs[0].mean()), float(trace.costs[0].mean()))
    grid = np.geomspace(start, max(far, start), _GRID)
    everyone = np.arange(samples.costs.shape[1])[None]
    drawn = _resamples(everyone.size, seed)
    ahead = _ahead(samples, trace, everyone, grid)[0] > 0
    first = int(ahead.argmax()) if ahead.any() else None
    later = ahead[first:] if first is not None else ahead[:0]
    lost = None if later.all() else float(grid[(first or 0) + int((~later).argmax())])
    again = _ahead(samples, trace, drawn, grid) > 0
    firsts = np.where(again.any(axis=1), grid[again.argmax(axis=1)], np.inf)
    low, high = np.quantile(firsts, _LEVELS, method="nearest")
    return Crossing(
        cost=None if first is None else float(grid[first]),
        low=_finite(low),
        high=_finite(high),
        share=float(np.isfinite(firsts).mean()),
        until=lost,
        own=own,
        at_own=_difference(samples, trace, drawn, own),
        far=far,
        at_far=_difference(samples, trace, drawn, far),
    )


def _ahead(samples: Curve, trace: Curve, drawn: Places, grid: Floats) -> Floats:
    """Return trace less samples [resamples, costs] for rows of drawn problems."""
    return np.array([_at(trace, rows, grid) - _at(samples, rows, grid) for rows in drawn])


def _at(curve: Curve, rows: Places, costs: Floats) -> Floats:
    """Return the mean accuracy of some problems at these costs."""
    known = np.log(curve.costs[:, rows].mean(axis=1))
    found: Floats = np.interp(np.log(costs), known, curve.accuracies[:, rows].mean(axis=1))
    return found


def _difference(samples: Curve, trace: Curve, drawn: Places, cost: float) -> Difference:
    at = np.array([cost])
    everyone = np.arange(samples.costs.shape[1])[None]
    found = _ahead(samples, trace, everyone, at)[0, 0]
    low, high = np.quantile(_ahead(samples, trace, drawn, at)[:, 0], _LEVELS)
    return Difference(float(found), float(low), float(high))


def _resamples(problems: int, seed: int) -> Places:
    rng = np.random.default_rng(seed)
    return rng.integers(problems, size=(_RESAMPLES, problems))


def _finite(cost: float) -> float | None:
    return float(cost) if np.isfinite(cost) else None
