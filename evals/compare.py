"""Two runs side by side: paired differences, at what each spent and at equal cost.

At equal cost, the first run stands for voting over its samples: maj@k at k times the mean cost of a
sample is a curve, straight between its points in the logarithm of the cost. It is read at what the
second run spent (accuracy at the same cost) and at what it reached (cost of the same accuracy), and
never continued beyond its ends.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tts.allocation.curves import interpolate_accuracy, interpolate_cost
from tts.errors import InputError
from tts.evals.drafts import fewest_drafts, maj_at, powers_of_two
from tts.evals.metrics import paired_bootstrap
from tts.evals.report import accuracy_by_problem
from tts.evals.run_store import Record, StoredRun

_SEED = 0
_NUM_RESAMPLES = 500
_GRADERS = ("tts", "math-verify")


def compare(first: StoredRun, second: StoredRun) -> dict[str, Any]:
    """Return how the second run differs from the first on the problems that both finished.

    Differences are second minus first, with 95 % paired bootstrap intervals over problems.
    `equal_cost` holds a `reason` where the first run gives no curve or the second lies outside it;
    `notes` say what else differs.

    Raises:
        InputError: The runs are of different benchmarks, share no problem, or their problems of
            the same ids are not the same.
    """
    _check_comparable(first, second)
    before, after = accuracy_by_problem(first.records), accuracy_by_problem(second.records)
    shared = [problem_id for problem_id in before if problem_id in after]
    if not shared:
        raise InputError(f"{first.folder} and {second.folder} share no finished problem")
    marks = [[side[problem_id] for problem_id in shared] for side in (before, after)]
    difference = paired_bootstrap(*marks, seed=_SEED)
    return {
        "first": str(first.folder),
        "second": str(second.folder),
        "problems": len(shared),
        "accuracy": [fmean(side) for side in marks],
        "difference": difference.mean,
        "ci95": [difference.low, difference.high],
        "tokens_per_problem": [_cost(run, shared, "tokens") for run in (first, second)],
        "samples_per_problem": [_cost(run, shared, "samples") for run in (first, second)],
        "equal_cost": _equal_cost(first, second, shared),
        "notes": _notes(first, second),
    }


class Curve(NamedTuple):
    """maj@k of each problem, [levels, problems], with k and the cost of each level."""

    sizes: list[int]
    costs: list[float]
    accuracy: NDArray[np.float64]


def _check_comparable(first: StoredRun, second: StoredRun) -> None:
    one, other = first.config, second.config
    if one["benchmark"] != other["benchmark"]:
        raise InputError(
            f"{second.folder} is a run of {other['benchmark']}, {first.folder} of "
            f"{one['benchmark']}: only runs of one benchmark compare"
        )
    digests = [config.get("problems_digest") for config in (one, other)]
    ids = [{record.id for record in run.records} for run in (first, second)]
    are_finished = all(len(i) == c.get("problems") for i, c in zip(ids, (one, other), strict=True))
    if are_finished and ids[0] == ids[1] and digests[0] != digests[1]:
        raise InputError(
            f"{first.folder} and {second.folder} have problems of the same ids that differ in "
            "statement or reference: their accuracies do not compare"
        )


def _notes(first: StoredRun, second: StoredRun) -> list[str]:
    notes = []
    for key in ("model", "split", "engine"):
        values = [run.config.get(key) for run in (first, second)]
        if values[0] != values[1]:
            notes.append(f"other {key}: {values[0]} and {values[1]}")
    for name in _GRADERS:
        known = [run.versions.get(name) for run in (first, second)]
        if known[0] != known[1]:
            notes.append(f"graded by other versions of {name}: {known[0]} and {known[1]}")
    return notes


def _equal_cost(first: StoredRun, second: StoredRun, shared: Sequence[str]) -> dict[str, Any]:
    unit = "samples"
    if all(_cost(run, shared, "tokens") is not None for run in (first, second)):
        unit = "tokens"
    curve = voting_curve(first, shared, unit)
    if curve is None:
        return {"reason": "the first run has no two whole samples of each problem to vote over"}
    cost = _cost(second, shared, unit) or 0.0
    if not curve.costs[0] <= cost <= curve.costs[-1]:
        return {
            "reason": f"the second run spent {cost:,.1f} {unit} a problem; voting over the first "
            f"run's samples is known from {curve.costs[0]:,.1f} to {curve.costs[-1]:,.1f}"
        }
    after = accuracy_by_problem(second.records)
    reached = np.array([after[problem_id] for problem_id in shared])
    at_cost = [interpolate_accuracy(curve.costs, column, cost) for column in curve.accuracy.T]
    difference = paired_bootstrap(at_cost, reached.tolist(), seed=_SEED)
    same = interpolate_cost(
        curve.costs, curve.accuracy.mean(axis=1).tolist(), float(reached.mean())
    )
    low, high = _ratio_interval(curve, reached, _costs(second, shared, unit))
    return {
        "unit": unit,
        "cost": cost,
        "accuracy": [fmean(at_cost), float(reached.mean())],
        "difference": difference.mean,
        "ci95": [difference.low, difference.high],
        "cost_of_same_accuracy": same,
        "ratio": None if same is None else cost / same,
        "ratio_ci95": [low, high],
    }


def voting_curve(run: StoredRun, shared: Sequence[str], unit: str) -> Curve | None:
    """Return voting over 1, 2, 4, ... of a run's samples, at what those cost on average.

    Args:
        run: Whose samples vote.
        shared: Ids of the problems, in order.
        unit: "tokens" (generated) or "samples".

    Returns:
        None where samples were cut off, or a problem has fewer than two.
    """
    by_problem = _by_problem(run, shared)
    records = [record for group in by_problem for record in group]
    fewest = fewest_drafts(records)
    if fewest < 2:
        return None
    each = 1.0
    if unit == "tokens":
        each = fmean(float(a.tokens or 0) for record in records for a in record.drafts)
    sizes = sorted({fewest, *powers_of_two(fewest)})
    accuracy = [[fmean(maj_at(r, k) for r in group) for group in by_problem] for k in sizes]
    return Curve(sizes, [k * each for k in sizes], np.array(accuracy))


def _ratio_interval(
    curve: Curve, reached: NDArray[np.float64], costs: NDArray[np.float64]
) -> tuple[float, float | None]:
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
    return float(low), float(high)


def _by_problem(run: StoredRun, shared: Sequence[str]) -> list[list[Record]]:
    groups: Mapping[str, list[Record]] = defaultdict(list)
    for record in run.records:
        groups[record.id].append(record)
    return [groups[problem_id] for problem_id in shared]


def _cost(run: StoredRun, shared: Sequence[str], unit: str) -> float | None:
    """Return the mean cost of a problem and repeat; None where tokens were not counted."""
    spent = [_spent(record, unit) for group in _by_problem(run, shared) for record in group]
    known = [value for value in spent if value is not None]
    return fmean(known) if len(known) == len(spent) else None


def _costs(run: StoredRun, shared: Sequence[str], unit: str) -> NDArray[np.float64]:
    groups = _by_problem(run, shared)
    return np.array([fmean(_spent(record, unit) or 0.0 for record in group) for group in groups])


def _spent(record: Record, unit: str) -> float | None:
    return record.usage.generated_tokens if unit == "tokens" else float(record.usage.calls)
