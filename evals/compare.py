"""Two runs side by side: paired differences, at what each spent and at equal cost.

At equal cost, the first run stands for voting over its samples, or for choosing among them by a
verifier's scores: maj@k at k times the mean cost of a sample is a curve, straight between its
points in the logarithm of the cost. It is read at what the second run spent (accuracy at the same
cost) and at what it reached (cost of the same accuracy), and never continued beyond its ends. There
is no curve where a rule decided how many samples the first run has: those that are left after an
early stop are no fair draw.
"""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from statistics import fmean
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tts.allocation.curves import interpolate_accuracy, interpolate_cost
from tts.errors import InputError
from tts.evals.independent_samples import best_at, fewest_samples, maj_at, powers_of_two
from tts.evals.metrics import (
    Difference,
    bootstrap_interval,
    largest_of_k,
    paired_bootstrap,
)
from tts.evals.records import Record
from tts.evals.report import accuracy_by_problem
from tts.evals.stored_run import StoredRun
from tts.evals.units import amount, choose_unit, cost_of, mean_cost, why_unknown
from tts.types.figures import Cost, Interval, Unit, is_replay

_SEED = 0
_NUM_RESAMPLES = 500
_GRADERS = ("tts", "math-verify")
_PARALLEL: Collection[Unit] = ("seconds", "joules")  # k samples at once do not cost k times one


@dataclass(frozen=True, slots=True)
class EqualCost:
    """The second run against voting over the first run's samples, or choosing among them.

    Attributes:
        cost: What the second run spent on a problem.
        accuracy: Of voting over the first run's samples at that cost, and of the second run.
        difference: The second run less the vote.
        cost_of_same_accuracy: What voting needs to be as right as the second run; None if it never
            is.
        ratio: The second run's cost over that; None if voting never is as right.
        ratio_interval: Its 95 % interval, voting's last point standing in where it never is.
    """

    cost: float
    accuracy: tuple[float, float]
    difference: Difference
    cost_of_same_accuracy: float | None
    ratio: float | None
    ratio_interval: Interval


@dataclass(frozen=True, slots=True)
class Comparison:
    """How a second run differs from a first one on the problems that both finished.

    Attributes:
        first: Folder of the first run.
        second: Folder of the second.
        problems: How many both finished.
        accuracy: Of the first and of the second on these.
        difference: Second less first, with the 95 % interval of a paired bootstrap over problems.
        unit: Of the costs.
        cost: Of a problem and repeat, of the first and of the second; None where it is not known.
        calls: Samples of a problem and repeat, of both.
        equal_cost: At equal cost; None where `reason` says why not.
        reason: Why there is nothing at equal cost; empty otherwise.
        notes: What else differs, and what to mind.
    """

    first: str
    second: str
    problems: int
    accuracy: tuple[float, float]
    difference: Difference
    unit: Unit
    cost: tuple[float | None, float | None]
    calls: tuple[float, float]
    equal_cost: EqualCost | None
    reason: str
    notes: tuple[str, ...]


class NothingAtEqualCost(InputError):
    """Nothing can be said at equal cost; the message says why."""


class Curve(NamedTuple):
    """maj@k of each problem, [levels, problems], with k and the cost of each level."""

    sizes: list[int]
    costs: list[float]
    accuracy: NDArray[np.float64]

    def at(self, cost: float) -> list[float] | None:
        """Return the accuracy on each problem at a cost; None where it is not known."""
        if not self.costs[0] <= cost <= self.costs[-1]:
            return None
        return [interpolate_accuracy(self.costs, column, cost) for column in self.accuracy.T]


def compare(
    first: StoredRun, second: StoredRun, *, unit: Unit | None = None, by: str | None = None
) -> Comparison:
    """Return how the second run differs from the first on the problems that both finished.

    Of a run that is not finished, only the problems and repeats are taken that the other has too.

    Args:
        first: A run.
        second: Another of the same benchmark.
        unit: Of the costs; generated tokens if None, eFLOPs where the models differ.
        by: At equal cost, choose the first run's sample that this verifier has scored highest,
            instead of voting.

    Raises:
        InputError: The runs are of different benchmarks, share no problem, or their problems of
            the same ids are not the same; or `by` has scored nothing of the first run.
    """
    notes = _notes(first, second)
    pair = common_problems(first, second)
    before, after = (accuracy_by_problem(run.records) for run in pair)
    shared = list(before)
    if not shared:
        raise InputError(f"{first.folder} and {second.folder} share no finished problem")
    marks = [[side[problem_id] for problem_id in shared] for side in (before, after)]
    costs = [
        replace(mean_cost(_costs(part.records, part)), joules=whole.joules_each)
        for part, whole in zip(pair, (first, second), strict=True)
    ]
    chosen = unit or choose_unit(costs, models_differ=models_differ(pair))
    if by is not None:
        _check_scored(pair[0], by)
    equal, reason = None, ""
    try:
        equal = _equal_cost(*pair, shared, chosen, by)
    except NothingAtEqualCost as why:
        reason = str(why)
    return Comparison(
        first=str(first.folder),
        second=str(second.folder),
        problems=len(shared),
        accuracy=(fmean(marks[0]), fmean(marks[1])),
        difference=paired_bootstrap(*marks, seed=_SEED),
        unit=chosen,
        cost=(costs[0].of(chosen), costs[1].of(chosen)),
        calls=(costs[0].calls or 0.0, costs[1].calls or 0.0),
        equal_cost=equal,
        reason=reason,
        notes=tuple(notes),
    )


def models_differ(runs: Iterable[StoredRun]) -> bool:
    """Return whether runs asked different models, so that their tokens are no common measure."""
    keys = ("fingerprint", "model", "engines")
    return len({repr([run.config.get(key) for key in keys]) for run in runs}) > 1


def _check_scored(run: StoredRun, verifier: str) -> None:
    names = {name for record in run.records for s in record.samples for name in s.scores}
    if verifier not in names:
        known = ", ".join(repr(name) for name in sorted(names)) or "none"
        raise InputError(
            f"{run.folder}: {verifier!r} has scored none of its samples; verifiers that have: "
            f"{known}"
        )


def common_problems(first: StoredRun, second: StoredRun) -> tuple[StoredRun, StoredRun]:
    """Return both runs with the records of the problems that both have, in the first's order.

    Where one is not finished, repeats too have to be in both: of most problems it has the first
    ones alone.

    Raises:
        InputError: As of `compare`.
    """
    _check_comparable(first, second)
    are_finished = first.is_finished and second.is_finished

    def key(record: Record) -> tuple[str, int]:
        return record.id, 0 if are_finished else record.repeat

    keys = [{key(record) for record in run.records} for run in (first, second)]
    kept = keys[0] & keys[1]
    order = {record.id: place for place, record in enumerate(first.records)}
    runs = []
    for run in (first, second):
        records = [record for record in run.records if key(record) in kept]
        records.sort(key=lambda record: order[record.id])
        runs.append(replace(run, records=tuple(records)))
    return runs[0], runs[1]


def _check_comparable(first: StoredRun, second: StoredRun) -> None:
    one, other = first.config, second.config
    if one["benchmark"] != other["benchmark"]:
        raise InputError(
            f"{second.folder} is a run of {other['benchmark']}, {first.folder} of "
            f"{one['benchmark']}: only runs of one benchmark compare"
        )
    digests = [config.get("problems_digest") for config in (one, other)]
    ids = [{record.id for record in run.records} for run in (first, second)]
    are_whole = all(len(i) == c["problems"] for i, c in zip(ids, (one, other), strict=True))
    if are_whole and ids[0] == ids[1] and digests[0] != digests[1]:
        raise InputError(
            f"{first.folder} and {second.folder} have problems of the same ids that differ in "
            "statement or reference: their accuracies do not compare"
        )


def _notes(first: StoredRun, second: StoredRun) -> list[str]:
    notes = [note for run in (first, second) if (note := unfinished_note(run))]
    for key in ("model", "split", "engine"):
        values = [run.config.get(key) for run in (first, second)]
        if values[0] != values[1]:
            notes.append(f"other {key}: {values[0]} and {values[1]}")
    for name in _GRADERS:
        known = [run.versions.get(name) for run in (first, second)]
        if known[0] != known[1]:
            notes.append(f"graded by other versions of {name}: {known[0]} and {known[1]}")
    return notes


def unfinished_note(run: StoredRun) -> str:
    """Return what to mind of a run that is not finished; empty for one that is."""
    if run.is_finished:
        return ""
    return (
        f"{run.folder.name} is unfinished, {len(run.records)} of {run.planned}: easy problems "
        "finish first, so its accuracy is likely too high"
    )


def _equal_cost(
    first: StoredRun, second: StoredRun, shared: Sequence[str], unit: Unit, by: str | None
) -> EqualCost:
    curve = voting_curve(first, shared, unit, by=by)
    spent = _cost_by_problem(second, shared, unit)
    if spent is None:
        raise NothingAtEqualCost(f"the second run's {unit} are not known: {why_unknown(unit)}")
    cost = float(spent.mean())
    at_cost = curve.at(cost)
    if at_cost is None:
        raise NothingAtEqualCost(
            f"the second run spent {amount(cost)} {unit} a problem; "
            f"{'voting over' if by is None else 'choosing among'} the first run's samples is known "
            f"from {amount(curve.costs[0])} to {amount(curve.costs[-1])}"
        )
    after = accuracy_by_problem(second.records)
    reached = np.array([after[problem_id] for problem_id in shared])
    same = interpolate_cost(
        curve.costs, curve.accuracy.mean(axis=1).tolist(), float(reached.mean())
    )
    return EqualCost(
        cost=cost,
        accuracy=(fmean(at_cost), float(reached.mean())),
        difference=paired_bootstrap(at_cost, reached.tolist(), seed=_SEED),
        cost_of_same_accuracy=same,
        ratio=None if same is None else cost / same,
        ratio_interval=_ratio_interval(curve, reached, spent),
    )


def voting_curve(
    run: StoredRun, shared: Sequence[str], unit: Unit, *, by: str | None = None
) -> Curve:
    """Return voting over 1, 2, 4, ... of a run's samples, at what those cost on average.

    Args:
        run: Whose samples vote.
        shared: Ids of the problems, in order.
        unit: Of the costs. What the run spent is shared out over its samples by their tokens; one
            after the other, k samples that are drawn at once take the tokens of the longest.
        by: Choose the sample that this verifier has scored highest, instead of voting. Scores that
            hang on all samples, as those by agreement do, flatter fewer of them.

    Raises:
        NothingAtEqualCost: A rule decided how many samples there are, a problem has fewer than two,
            or their cost is not known.
    """
    if unit in _PARALLEL:
        raise NothingAtEqualCost(
            f"{unit} of samples that are drawn at once do not add up; choose another unit"
        )
    groups = records_by_problem(run)
    by_problem = [groups[problem_id] for problem_id in shared]
    records = [record for group in by_problem for record in group]
    if any(record.is_cut for record in records):
        raise NothingAtEqualCost(
            "a rule decided how many samples the first run has, so that they are no fair draw"
        )
    fewest = fewest_samples(records)
    if fewest < 2:
        raise NothingAtEqualCost(
            "the first run has no two independent samples of each problem to vote over"
        )
    sizes = sorted({fewest, *powers_of_two(fewest)})
    costs = _costs_of_samples(run, records, sizes, unit)
    # Where a further sample costs nothing, more of them are the better bargain.
    afterwards = [*costs[1:], math.inf]
    kept = [(k, c) for k, c, after in zip(sizes, costs, afterwards, strict=True) if c < after]

    def chosen(record: Record, k: int) -> float:
        return maj_at(record, k) if by is None else best_at(record, by, k)

    accuracy = [[fmean(chosen(r, k) for r in group) for group in by_problem] for k, _ in kept]
    return Curve([k for k, _ in kept], [c for _, c in kept], np.array(accuracy))


def voting_band(run: StoredRun, unit: Unit) -> list[tuple[float, Interval]]:
    """Return what voting over 1, 2, 4, ... samples costs, and the interval of its accuracy.

    Intervals are of a bootstrap over problems; nothing where `voting_curve` says nothing.
    """
    ids = list(dict.fromkeys(record.id for record in run.records))
    try:
        curve = voting_curve(run, ids, unit)
    except NothingAtEqualCost:
        return []
    levels = (bootstrap_interval(level.tolist(), seed=_SEED) for level in curve.accuracy)
    return list(zip(curve.costs, levels, strict=True))


def _costs_of_samples(
    run: StoredRun, records: Sequence[Record], sizes: Sequence[int], unit: Unit
) -> list[float]:
    """Return the cost of voting over so many samples of a problem, in the mean."""
    if unit == "calls":
        return [float(k) for k in sizes]
    tokens = [[sample.tokens for sample in record.independent_samples] for record in records]
    known = [[float(n) for n in row if n is not None] for row in tokens]
    whole = mean_cost(_costs(records, run))
    cost, spent = whole.of(unit), whole.tokens
    if [*map(len, known)] != [*map(len, tokens)] or not cost or not spent:
        raise NothingAtEqualCost(f"the first run's {unit} are not known: {why_unknown(unit)}")
    if unit == "sequential":
        return [fmean(largest_of_k(row, k) for row in known) for k in sizes]
    each = fmean(chain.from_iterable(known)) * cost / spent
    return [k * each for k in sizes]


def _ratio_interval(
    curve: Curve, reached: NDArray[np.float64], costs: NDArray[np.float64]
) -> Interval:
    """Return the bootstrap interval of the second run's cost over that of the same accuracy.

    Where the first run never gets as far, its end counts as the cost, so that the bounds are those
    of what is known.
    """
    rng = np.random.default_rng(_SEED)
    ratios = []
    for _ in range(_NUM_RESAMPLES):
        drawn = rng.integers(len(reached), size=len(reached))
        line = np.maximum.accumulate(curve.accuracy[:, drawn].mean(axis=1)).tolist()
        same = interpolate_cost(curve.costs, line, float(reached[drawn].mean()))
        ratios.append(float(costs[drawn].mean()) / (curve.costs[-1] if same is None else same))
    low, high = np.quantile(ratios, [0.025, 0.975])
    return Interval(float(low), float(high))


def records_by_problem(run: StoredRun) -> Mapping[str, list[Record]]:
    """Return each problem's records, a repeat after the other."""
    groups: dict[str, list[Record]] = defaultdict(list)
    for record in run.records:
        groups[record.id].append(record)
    return groups


def _costs(records: Iterable[Record], run: StoredRun) -> Iterable[Cost]:
    replayed = is_replay(run.config["engine"])
    return (cost_of(record, is_replay=replayed) for record in records)


def _cost_by_problem(
    run: StoredRun, shared: Sequence[str], unit: Unit
) -> NDArray[np.float64] | None:
    """Return the mean cost of each problem's repeats; None where one is not known."""
    groups = records_by_problem(run)
    means = [mean_cost(_costs(groups[name], run)).of(unit) for name in shared]
    known = [value for value in means if value is not None]
    return np.array(known) if len(known) == len(means) else None
