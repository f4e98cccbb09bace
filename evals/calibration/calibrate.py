"""From runs on calibration problems to a policy: belief, price of a budget, curves by difficulty.

Every accuracy in a policy is cross-validated: belief and difficulty model are fitted on one half of
the problems and used on the other, both ways round; what the file keeps is then fitted on all.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tts.allocation.curves import Stopped, stop_at_prices
from tts.allocation.difficulty import DifficultyModel, fit_difficulty, probe_features
from tts.allocation.fit import Recorded, draw_orders, fit_belief, follow_votes
from tts.allocation.policy_file import BeliefPart, CurvePoint, Policy, PricePoint
from tts.allocation.race import GainTable
from tts.errors import InputError
from tts.evals.calibration.ladder import fit_ladder
from tts.evals.calibration.samples import (
    LEAST_SAMPLES,
    Key,
    best_records,
    dearer_strategies,
    to_recorded,
)
from tts.evals.drafts import answered, common_verifiers, missing_scores
from tts.evals.metrics import bootstrap_interval
from tts.evals.run_store import Record, StoredRun

PRICES = tuple(float(p) for p in np.geomspace(0.1, 1e-5, 25))
_NUM_ORDERS = 8
_PROBE = 4
_FEW_PROBLEMS = 50
_TERCILES = ("easy", "medium", "hard")


def calibrate(
    runs: Sequence[StoredRun], *, seed: int = 0, provenance: Mapping[str, Any] | None = None
) -> Policy:
    """Return the policy that runs of one model give.

    Samples come from the run with the most of them on each problem, drawn and not cut short; every
    preset's own figures go into the curves.

    Args:
        runs: Finished runs, of one model.
        seed: Of halves and orders.
        provenance: Noted in the policy, beside what the runs say.

    Raises:
        InputError: No runs, several models, or too few problems with samples to fit anything.
    """
    models = {str(run.config["model"]) for run in runs}
    if len(models) != 1:
        raise InputError(
            f"a policy is for one model, these runs have {', '.join(models) or 'none'}"
        )
    best = best_records(runs)
    verifier = min(common_verifiers(list(best.values())), default=None)
    in_tokens = all(draft.tokens is not None for record in best.values() for draft in record.drafts)
    recorded = {k: to_recorded(record, in_tokens, verifier) for k, record in best.items()}
    if len(recorded) < 4:
        raise InputError(
            f"calibration needs four problems with {LEAST_SAMPLES} whole samples each, got "
            f"{len(recorded)}; add a preset that draws them, such as self_consistency"
        )
    keys = sorted(recorded)
    halves = _halves(keys, seed)
    hardness, model = _difficulties(recorded, keys, halves)
    by_preset = _by_preset(runs)
    curves = {name: _curve(records, hardness, in_tokens) for name, records in by_preset.items()}
    belief = fit_belief(list(recorded.values()), seed=seed)
    return Policy(
        schema=1,
        model=models.pop(),
        provenance={**_provenance(runs, seed, len(recorded)), **(provenance or {})},
        belief=BeliefPart(
            concentration=belief.concentration, shares=belief.shares, trust=belief.trust
        ),
        prices=_prices(recorded, keys, halves, in_tokens=in_tokens, seed=seed),
        curves=curves,
        difficulty={} if model is None else model.to_mapping(),
        ladder=None
        if verifier is None
        else fit_ladder(
            [recorded[key] for key in keys],
            [[keys.index(key) for key in half] for half in halves],
            verifier=verifier,
            in_tokens=in_tokens,
            dearer=dearer_strategies(runs, best, keys),
            seed=seed,
        ),
        notes=(*_notes(recorded, is_graded=model is not None), *_score_notes(best.values())),
    )


def _halves(keys: Sequence[Key], seed: int) -> tuple[list[Key], list[Key]]:
    """Split by problem, so that repeats of one problem stay together."""
    problems = sorted({key[:2] for key in keys})
    order = np.random.default_rng(seed).permutation(len(problems))
    first = {problems[i] for i in order[: len(problems) // 2]}
    return [k for k in keys if k[:2] in first], [k for k in keys if k[:2] not in first]


def _prices(
    recorded: Mapping[Key, Recorded],
    keys: Sequence[Key],
    halves: tuple[list[Key], list[Key]],
    *,
    in_tokens: bool,
    seed: int,
) -> tuple[PricePoint, ...]:
    stopped: dict[Key, Stopped] = {}
    rng = np.random.default_rng(seed)
    for test, train in (halves, halves[::-1]):
        belief = fit_belief([recorded[key] for key in train], seed=seed)
        table = GainTable(belief.concentration)
        for key in test:
            problem = recorded[key]
            course = follow_votes(problem, draw_orders(rng, _NUM_ORDERS, len(problem.classes)))
            stopped[key] = stop_at_prices(belief, table, course, PRICES)
    points = []
    for i, price in enumerate(PRICES):
        marks = [float(stopped[key].accuracy[i]) for key in keys]
        low, high = bootstrap_interval(marks, seed=seed, num_resamples=1_000)
        points.append(
            PricePoint(
                price=price,
                samples=fmean(float(stopped[key].samples[i]) for key in keys),
                tokens=fmean(float(stopped[key].cost[i]) for key in keys) if in_tokens else None,
                accuracy=min(1.0, fmean(marks)),
                low=low,
                high=min(1.0, high),
            )
        )
    return tuple(points)


def _difficulties(
    recorded: Mapping[Key, Recorded], keys: Sequence[Key], halves: tuple[list[Key], list[Key]]
) -> tuple[dict[Key, str], DifficultyModel | None]:
    """Return each problem's tercile by its probe, judged by the other half, and a model of all."""
    features = {key: _features(recorded[key]) for key in keys}
    try:
        means: dict[Key, float] = {}
        for test, train in (halves, halves[::-1]):
            model = _fit(recorded, features, train)
            means |= {key: model.estimate(features[key]).mean for key in test}
        whole = _fit(recorded, features, keys)
    except InputError:  # all right or all wrong: no problem is harder than another
        return {}, None
    easiest_first = sorted(keys, key=lambda key: -means[key])
    parts: list[NDArray[np.int64]] = np.array_split(np.arange(len(keys)), len(_TERCILES))
    names = zip(_TERCILES, parts, strict=True)
    return {easiest_first[i]: name for name, part in names for i in part}, whole


def _features(problem: Recorded) -> dict[str, float]:
    return probe_features(problem.classes[:_PROBE], tokens=problem.costs[:_PROBE])


def _fit(
    recorded: Mapping[Key, Recorded], features: Mapping[Key, dict[str, float]], keys: Sequence[Key]
) -> DifficultyModel:
    # The probe itself is left out, unless nothing else was drawn.
    rest = {key: recorded[key].classes[_PROBE:] or recorded[key].classes for key in keys}
    right = [sum(c in recorded[key].right for c in rest[key]) for key in keys]
    return fit_difficulty([features[key] for key in keys], [len(rest[k]) for k in keys], right)


def _by_preset(runs: Iterable[StoredRun]) -> dict[str, list[tuple[Key, Record]]]:
    by_preset: dict[str, list[tuple[Key, Record]]] = defaultdict(list)
    for run in runs:
        benchmark = str(run.config["benchmark"])
        by_preset[str(run.config["preset"])] += [
            ((benchmark, record.id, record.repeat), record) for record in run.records
        ]
    return by_preset


def _curve(
    records: Sequence[tuple[Key, Record]], hardness: Mapping[Key, str], in_tokens: bool
) -> tuple[CurvePoint, ...]:
    groups = {"all": [record for _, record in records]}
    for name in _TERCILES:
        groups[name] = [record for key, record in records if hardness.get(key) == name]
    return tuple(_curve_point(name, group, in_tokens) for name, group in groups.items() if group)


def _curve_point(name: str, records: Sequence[Record], in_tokens: bool) -> CurvePoint:
    marks = [float(record.correct is True) for record in records]
    low, high = bootstrap_interval(marks, seed=0, num_resamples=1_000)
    tokens = [record.usage.generated_tokens for record in records]
    counted = [float(t) for t in tokens if t is not None]
    return CurvePoint(
        difficulty=name,
        samples=fmean(record.usage.calls for record in records),
        tokens=fmean(counted) if in_tokens and len(counted) == len(tokens) else None,
        accuracy=fmean(marks),
        low=low,
        high=high,
        problems=len(records),
    )


def _provenance(runs: Sequence[StoredRun], seed: int, num_problems: int) -> dict[str, Any]:
    return {
        "benchmarks": sorted({str(run.config["benchmark"]) for run in runs}),
        "splits": sorted({str(run.config.get("split", "")) for run in runs}),
        "presets": sorted({str(run.config["preset"]) for run in runs}),
        "fingerprints": sorted({str(run.config["fingerprint"]) for run in runs}),
        "run_seeds": sorted({int(run.config["seed"]) for run in runs}),
        "runs": [str(run.folder) for run in runs],
        "problems": num_problems,
        "halves_seed": seed,
    }


def _notes(recorded: Mapping[Key, Recorded], *, is_graded: bool) -> tuple[str, ...]:
    notes = []
    if not is_graded:
        notes.append("every sample is right, or every one wrong: difficulty could not be fitted")
    if len(recorded) < _FEW_PROBLEMS:
        notes.append(f"only {len(recorded)} problems: intervals are wide")
    return tuple(notes)


def _score_notes(records: Iterable[Record]) -> Iterator[str]:
    """Say which verifiers scored samples and give no ladder all the same."""
    samples = answered(records)
    for name, missing in missing_scores(samples).items():
        if missing:
            yield (
                f"no ladder by {name}: {missing} of {len(samples)} samples with an answer have no "
                "score of it in [0, 1]"
            )
