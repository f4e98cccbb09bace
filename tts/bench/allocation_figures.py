"""Uniform voting against run-level allocation, on recorded samples.

Two-fold cross-validated: the belief is fitted on one half of the problems and allocates the samples
of the other, so many at a time as are in flight. Every figure is a mean over random orders of
drawing, the same orders on both sides; intervals are of a bootstrap over problems. Near a pool's
size both sides draw nearly all of it, so that what the last samples of uniform voting buy is not
overstated.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tts.allocation.allocator import RunAllocator
from tts.allocation.fit import Recorded, Winners, draw_orders, fit_belief, follow_votes
from tts.allocation.support import Belief, gains_of
from tts.answers.groups import canonical_form
from tts.bench.allocation_stops import Stop, early_stops
from tts.engine.pools import Pool, RecordedProblem
from tts.errors import InputError

IN_FLIGHT = 0.05  # of the problems
_PLATEAU = 0.005  # half a point
_Floats = NDArray[np.float64]


class Curve(NamedTuple):
    """Accuracy of each problem, [levels, problems], and samples spent on it, at each level."""

    correct: _Floats
    samples: _Floats


class Ratio(NamedTuple):
    """Samples of the allocation over those of uniform voting, at equal accuracy.

    Attributes:
        num_uniform: Samples per problem of uniform voting.
        accuracy: Its accuracy.
        num_allocated: Mean samples per problem of the allocation; None if it never gets there.
        value: The ratio; None with it.
        low: Of the 95 % interval.
        high: Infinite where more than 2.5 % of the resamples never get there.
        num_informed: Mean samples of an allocation that knows beforehand how right each problem's
            vote is at every size, but not what will be drawn; infinite if it never gets there.
        num_oracle: Mean samples of an oracle that knows the right answers.
    """

    num_uniform: int
    accuracy: float
    num_allocated: float | None
    value: float | None
    low: float
    high: float
    num_informed: float
    num_oracle: float


@dataclass(frozen=True, slots=True)
class PoolFigures:
    """What came of one series of a pool.

    Attributes:
        series: Model and configuration.
        num_problems: Its problems.
        num_samples: Fewest samples of a problem.
        single: Accuracy of one sample.
        plateau: At the smallest uniform size within half a point of all samples.
        whole: At all samples.
        stops: What presets bring that stop early, by name.
    """

    series: str
    num_problems: int
    num_samples: int
    single: float
    plateau: Ratio
    whole: Ratio
    stops: Mapping[str, Stop]

    @property
    def voting_gains(self) -> float:
        """What voting over all samples gains on one sample; where it is nothing, no ratio tells."""
        return self.whole.accuracy - self.single


def to_recorded(problem: RecordedProblem) -> Recorded:
    """Return a pool's problem as classes of equal answers.

    The right answers are one class, as recorded; wrong ones are equal in canonical form. A sample
    without a label is as right as its answer elsewhere in the problem, else wrong.
    """
    index: dict[str, int] = {}
    classes = []
    for sample in problem.samples:
        if sample.answer is None:
            classes.append(-1)
        elif sample.correct:
            classes.append(index.setdefault("", len(index)))
        else:
            form = canonical_form(sample.answer, problem.problem.answer_type) or sample.answer
            classes.append(index.setdefault(form, len(index)))
    right = frozenset({index[""]} if "" in index else ())
    return Recorded(tuple(classes), right, (1.0,) * len(classes))


def compare_allocation(
    pool: Pool,
    *,
    seed: int = 0,
    num_orders: int = 20,
    in_flight: float = IN_FLIGHT,
    num_resamples: int = 200,
) -> PoolFigures:
    """Measure one series.

    Problems with more samples than the fewest are cut to as many.

    Args:
        pool: The recorded samples.
        seed: Of orders, halves and resamples.
        num_orders: Orders of drawing.
        in_flight: Samples that are drawn at a time, over the number of problems.
        num_resamples: Of the bootstrap.

    Raises:
        InputError: Fewer than four problems, or none has an answer in one of the halves.
    """
    problems = [to_recorded(p) for p in pool.problems if p.samples]
    if len(problems) < 4:
        raise InputError(f"{pool.series}: two halves need four problems, got {len(problems)}")
    fewest = min(len(p.classes) for p in problems)
    problems = [Recorded(p.classes[:fewest], p.right, p.costs[:fewest]) for p in problems]
    rng = np.random.default_rng(seed)
    courses = [follow_votes(p, draw_orders(rng, num_orders, fewest)) for p in problems]
    halves = np.array_split(rng.permutation(len(problems)), 2)
    levels = _levels(fewest)
    parts = []
    for test, train in (halves, halves[::-1]):
        belief = fit_belief([problems[i] for i in train])
        parts.append(_allocate(belief, [courses[i] for i in test], levels, in_flight))
    order = np.concatenate(halves)
    allocated = Curve(*(np.concatenate(columns, axis=1) for columns in zip(*parts, strict=True)))
    uniform = np.stack([courses[i].is_right.mean(axis=0) for i in order], axis=1)
    first_right = np.stack([_first_right(courses[i]) for i in order])
    judge = _Judge(uniform, allocated, first_right, seed, num_resamples)
    accuracy = uniform.mean(axis=1)
    plateau = int(np.argmax(accuracy >= accuracy[-1] - _PLATEAU))
    return PoolFigures(
        series=pool.series,
        num_problems=len(problems),
        num_samples=fewest,
        single=float(accuracy[1]),
        plateau=judge.ratio(max(1, plateau)),
        whole=judge.ratio(fewest),
        stops=early_stops(courses),
    )


def _levels(fewest: int) -> _Floats:
    """Return the mean samples per problem at which the allocation is looked at."""
    return np.unique(np.append(np.geomspace(1.0, fewest, 120), np.arange(1, fewest + 1)))


def _allocate(
    belief: Belief, courses: Sequence[Winners], levels: _Floats, in_flight: float
) -> Curve:
    """Return the allocation's curve, at these mean samples per problem, mean over the orders."""
    num_orders, fewest = courses[0].classes.shape
    correct = np.zeros((len(levels), len(courses)))
    samples = np.zeros_like(correct)
    for order in range(num_orders):
        right = np.stack([course.is_right[order] for course in courses])
        classes = np.stack([course.classes[order] for course in courses])
        _foresee(belief, [course.votes[order] for course in courses])
        steps = _run(belief, classes, fewest, in_flight)
        spent = np.array([step.sum() for step in steps], dtype=np.float64)
        marks = np.stack([right[np.arange(len(courses)), step] for step in steps]).astype(float)
        counts = np.stack(steps).astype(float)
        at = levels * len(courses)
        correct += _interpolate(at, spent, marks)
        samples += _interpolate(at, spent, counts)
    return Curve(correct / num_orders, samples / num_orders)


def _foresee(belief: Belief, votes: Sequence[NDArray[np.int32]]) -> None:
    """Work out the gains of all states to come together: ten times as fast as slice by slice."""
    drawn = np.arange(len(votes[0]))
    for states in votes:
        gains_of(belief)(states.astype(np.int64), drawn, drawn[::-1])


def _run(
    belief: Belief, classes: NDArray[np.int64], fewest: int, in_flight: float
) -> list[NDArray[np.int64]]:
    """Return the samples of each problem after each slice, until the pool is dry."""
    num_problems = len(classes)
    allocator = RunAllocator(belief, num_problems * fewest, probe=1, most=fewest)
    allocator.add(num_problems)
    steps = [allocator.num_samples]
    size = num_problems  # the probe
    while True:
        grants = allocator.next_slice(size)
        size = max(1, round(in_flight * num_problems))
        if not grants.any():
            return steps
        places = np.repeat(np.arange(num_problems), grants)
        draws = np.concatenate([np.arange(g) for g in grants]) + steps[-1][places]
        allocator.observe(places, classes[places, draws])
        steps.append(allocator.num_samples)


def _interpolate(at: _Floats, spent: _Floats, values: _Floats) -> _Floats:
    """Interpolate each problem's column between the slices on both sides."""
    right = np.clip(np.searchsorted(spent, at), 1, len(spent) - 1)
    span = spent[right] - spent[right - 1]
    weight = np.clip((at - spent[right - 1]) / np.maximum(span, 1e-9), 0.0, 1.0)[:, None]
    return np.asarray(values[right - 1] * (1 - weight) + values[right] * weight)


def _first_right(course: Winners) -> _Floats:
    """Return, of each order, the samples after which the vote is first right; infinite if never."""
    found = course.is_right.any(axis=1)
    return np.where(found, course.is_right.argmax(axis=1), np.inf)


class _Judge:
    """Reads ratios off the curves, and resamples problems for their intervals."""

    def __init__(
        self, uniform: _Floats, allocated: Curve, first_right: _Floats, seed: int, resamples: int
    ) -> None:
        self._uniform = uniform
        self._allocated = allocated
        self._first_right = first_right
        rng = np.random.default_rng(seed)
        num_problems = uniform.shape[1]
        self._draws = rng.integers(num_problems, size=(resamples, num_problems))

    def ratio(self, num_uniform: int) -> Ratio:
        """Return the ratio at the accuracy of `num_uniform` samples per problem."""
        everyone = np.arange(self._uniform.shape[1])
        needed = self._needed(everyone, num_uniform)
        resampled = np.array([self._needed(draw, num_uniform) for draw in self._draws])
        low, high = np.quantile(resampled, [0.025, 0.975], method="nearest") / num_uniform
        is_reached = bool(np.isfinite(needed))
        return Ratio(
            num_uniform,
            float(self._uniform[num_uniform].mean()),
            needed if is_reached else None,
            needed / num_uniform if is_reached else None,
            float(low),
            float(high),
            self._informed(num_uniform),
            self._oracle(num_uniform),
        )

    def _needed(self, problems: NDArray[np.int64], num_uniform: int) -> float:
        """Return the mean samples at which the allocation first reaches the accuracy."""
        target = float(self._uniform[num_uniform][problems].mean())
        accuracy = self._allocated.correct[:, problems].mean(axis=1)
        samples = self._allocated.samples[:, problems].mean(axis=1)
        reached = np.flatnonzero(accuracy >= target - 1e-9)
        return float(samples[reached[0]]) if len(reached) else float("inf")

    def _informed(self, num_uniform: int) -> float:
        """Return the samples of one sample each, and then of the steps that gain most per sample.

        The curves are those that it is measured by, which flatters it.
        """
        curves = self._uniform.T
        steps = sorted((step for curve in curves for step in _steps(curve)), reverse=True)
        gains, sizes = np.array([(0.0, 0), *steps]).T
        accuracy = curves[:, 1].mean() + np.cumsum(gains * sizes) / len(curves)
        reached = np.flatnonzero(accuracy >= self._uniform[num_uniform].mean() - 1e-9)
        if not len(reached):
            return float("inf")
        return float(1.0 + sizes[: reached[0] + 1].sum() / len(curves))

    def _oracle(self, num_uniform: int) -> float:
        """Return the samples of an oracle that solves the cheapest problems first."""
        target = float(self._uniform[num_uniform].mean())
        means = []
        for costs in self._first_right.T:  # one order of drawing
            wanted = int(np.ceil(target * len(costs) - 1e-9))
            means.append(float(np.sort(costs)[:wanted].sum()) / len(costs))
        return float(np.median(means))


def _steps(curve: _Floats) -> list[tuple[float, int]]:
    """Return gain per sample and samples of each step up a problem's curve, steepest first."""
    steps, at = [], 1
    while at + 1 < len(curve):
        ahead = np.arange(1, len(curve) - at)
        slopes = (curve[at + 1 :] - curve[at]) / ahead
        best = int(slopes.argmax())
        if slopes[best] <= 0.0:
            break
        steps.append((float(slopes[best]), best + 1))
        at += best + 1
    return steps
