"""One long trace against many short samples, at equal cost: curves, where they cross, how surely.

Between two measured points a curve is a line over the logarithm of the cost. A trace that has ended
stays as right as it is, whatever more might be spent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from tts.console import output, tables
from tts.evals.laws.frontier import Way, ways_of
from tts.evals.laws.series import Series
from tts.evals.metrics import Difference
from tts.evals.records import Record
from tts.evals.units import amount
from tts.types.figures import Unit

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

UNITS: tuple[Unit, ...] = ("tokens", "eflops")
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


@dataclass(frozen=True, slots=True)
class Measured:
    """What one set of problems says, in one unit.

    Attributes:
        name: Of the problems, and of what is done one after the other.
        unit: Of costs.
        trace: Accuracy of one trace by its length.
        samples: Accuracy of n samples, by arm.
        crossings: Where the trace overtakes, by arm.
    """

    name: str
    unit: Unit
    trace: Sequence[Point]
    samples: Mapping[Arm, Sequence[Point]]
    crossings: Mapping[Arm, Crossing]


def compare(name: str, samples: Series, trace: Curve, unit: Unit, *, seed: int) -> Measured:
    """Set a trace against samples of the same problems.

    Args:
        name: As `Measured` has it.
        samples: In any order.
        trace: Problems in the order of their ids.
        unit: Of costs.
        seed: Of the bootstraps.
    """
    curves = {arm: samples_curve(in_order(samples), arm, unit) for arm in ARMS}
    return Measured(
        name,
        unit,
        points(trace, seed=seed),
        {arm: points(curve, seed=seed) for arm, curve in curves.items()},
        {arm: crossing(curve, trace, seed=seed) for arm, curve in curves.items()},
    )


def in_order(series: Series) -> Series:
    """Return a series with its problems in the order of their ids."""
    return replace(series, records=sorted(series.records, key=lambda record: record.id))


def samples_curve(series: Series, arm: Arm, unit: Unit) -> Curve:
    """Return the accuracy of 1, 2, 4, ... samples: one of them right, or their vote."""
    ways = [w for w in ways_of(series, unit=unit, figure=_FIGURES[arm]) if w.length is None]
    return _curve(ways, [way.n for way in ways])


def trace_curve(series: Series, unit: Unit) -> Curve:
    """Return the accuracy of the first sample, cut after 32, 64, ... tokens and whole."""
    ways = [way for way in ways_of(series, unit=unit, figure="pass") if way.n == 1]
    return _curve(ways, [way.length or 0 for way in ways])


def runs_curve(runs: Mapping[int, Sequence[Record]]) -> Curve:
    """Return what whole runs on the same problems came to, each with more to spend.

    A problem that took less with more to spend is counted as if it had taken as much as before, so
    that costs rise.

    Args:
        runs: By what each may spend, rising; problems in any order.
    """
    rows = [sorted(records, key=lambda record: record.id) for records in runs.values()]
    costs = [[float(max(1, r.usage.generated_tokens or 0)) for r in row] for row in rows]
    right = [[float(record.correct is True) for record in row] for row in rows]
    return Curve(tuple(runs), np.maximum.accumulate(np.array(costs), axis=0), np.array(right))


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


def table_of(found: Sequence[Measured]) -> Table:
    """Return where traces overtake samples, and how they stand at two costs."""
    numbers = ("ahead from", "to", "at its own end", "at all samples")
    table = output.new_table("task", "unit", "against", *numbers, right=numbers)
    for one in found:
        for arm, at in one.crossings.items():
            output.add_row(
                table,
                one.name,
                one.unit,
                arm,
                f"{_shown(at.cost)} [{_shown(at.low)}, {_shown(at.high)}]",
                "" if at.cost is None or at.until is None else amount(at.until),
                *map(tables.gain, (at.at_own, at.at_far)),
            )
    return table


def _shown(cost: float | None) -> str:
    return "never" if cost is None else amount(cost)
