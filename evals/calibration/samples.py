"""What runs on calibration problems hold for a policy: samples, scores, other strategies."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tts.allocation.fit import Recorded
from tts.errors import InputError
from tts.evals.calibration.choices import Tried
from tts.evals.independent_samples import answer_classes, right_classes, shares
from tts.evals.records import Record
from tts.evals.stored_run import StoredRun
from tts.evals.units import cost_of, why_unknown
from tts.types.figures import LATENCIES, Counted

LEAST_SAMPLES = 4
Key = tuple[str, str, int]  # benchmark, problem, repeat


def best_records(runs: Iterable[StoredRun]) -> dict[Key, Record]:
    """Return, for each problem, the record with scores if there is one, and with most samples.

    A run that sampled from other engines too says nothing of its own model's samples.
    """
    best: dict[Key, Record] = {}
    for run in runs:
        if run.config.get("samplers"):
            continue
        for record in run.records:
            key = (str(run.config["benchmark"]), record.id, record.repeat)
            is_fair = not record.is_cut and len(record.independent_samples) >= LEAST_SAMPLES
            if is_fair and (key not in best or _worth(record) > _worth(best[key])):
                best[key] = record
    return best


def _worth(record: Record) -> tuple[bool, int]:
    samples = record.independent_samples
    return all(sample.scores for sample in samples), len(samples)


def to_recorded(record: Record, unit: Counted, verifier: str | None) -> Recorded:
    """Return a record's samples, with a verifier's scores if one is named.

    Raises:
        InputError: It is not known what they cost.
    """
    return Recorded(
        classes=tuple(-1 if index is None else index for index in answer_classes(record)),
        right=right_classes(record),
        costs=_sample_costs(record, unit),
        scores=() if verifier is None else tuple(shares(record, verifier)),
    )


def _sample_costs(record: Record, unit: Counted) -> tuple[float, ...]:
    """Return what each independent sample costs when it is drawn alone.

    What the problem has cost, checks of samples included, is shared out by generated tokens, or
    evenly. Of samples that were drawn together, the longest took all of the time.
    """
    whole = spent_on(record, unit)
    if whole is None:
        raise InputError(f"what {record.id!r} cost is not known in {unit}: {why_unknown(unit)}")
    tokens = [sample.tokens for sample in record.samples]
    is_even = unit == "calls" or None in tokens
    lengths = [1.0 if is_even else max(1.0, number or 0.0) for number in tokens]
    each = whole / (max(lengths) if unit in LATENCIES else sum(lengths))
    pairs = zip(record.samples, lengths, strict=True)
    return tuple(each * length for sample, length in pairs if sample.is_independent)


def spent_on(record: Record, unit: Counted) -> float | None:
    """Return what a problem has cost as its budget counts it; None where that is not known."""
    if unit == "sequential":
        return record.usage.latency_tokens or None
    return cost_of(record, is_replay=False).of(unit)


def labelled_scores(runs: Iterable[StoredRun]) -> dict[str, tuple[list[float], list[bool]]]:
    """Return each verifier's scores of samples with an answer, and whether those are right."""
    found: dict[str, tuple[list[float], list[bool]]] = {}
    for run in runs:
        for sample in (sample for record in run.records for sample in record.samples):
            for name, score in sample.scores.items():
                if sample.answer is not None:
                    scores, labels = found.setdefault(name, ([], []))
                    scores.append(score)
                    labels.append(sample.correct)
    return found


def tried_strategies(
    runs: Iterable[StoredRun], best: Mapping[Key, Record], keys: Sequence[Key], unit: Counted
) -> list[Tried]:
    """Return what strategies that draw samples of their own did on each problem.

    One that decides over the very samples that were recorded has nothing to add to them.
    """
    by_preset: dict[str, dict[Key, Record]] = defaultdict(dict)
    values: dict[str, Mapping[str, Any]] = {}
    for run in runs:
        given = run.config.get("preset_values", {})
        if "strategy" in given:
            name = str(run.config["preset"])
            values[name] = given
            benchmark = str(run.config["benchmark"])
            by_preset[name] |= {(benchmark, r.id, r.repeat): r for r in run.records}
    return [
        Tried(
            name,
            str(values[name]["strategy"]),
            values[name].get("parameters") or {},
            np.array([key in records and records[key].correct is True for key in keys]),
            np.array([_cost(records.get(key), unit) for key in keys]),
        )
        for name, records in by_preset.items()
        if not any(_are_its_samples(records[key], best[key]) for key in keys if key in records)
    ]


def _cost(record: Record | None, unit: Counted) -> float:
    """Return what a problem has cost; NaN where nobody knows."""
    spent = None if record is None else spent_on(record, unit)
    return float("nan") if spent is None else float(spent)


def _are_its_samples(record: Record, other: Record) -> bool:
    pairs = list(zip(record.samples, other.samples, strict=False))
    return bool(pairs) and all(a.answer == b.answer and a.tokens == b.tokens for a, b in pairs)
