"""The figures of a run: from finished problems to one summary, and summaries side by side."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from tts.errors import InputError
from tts.evals.drafts import fewest_drafts, maj_at, pass_at, powers_of_two
from tts.evals.metrics import Interval, bootstrap_interval, wilson_interval
from tts.evals.run_store import Record, StoredRun
from tts.types import sum_usage

_BOOTSTRAP_SEED = 0


def summarise(
    config: Mapping[str, Any], records: Sequence[Record], *, seconds: float, out: Path
) -> dict[str, Any]:
    """Return the figures of a run: `summary.json`, and one element of `tts eval --json`.

    A problem without an answer counts as wrong. pass@k and maj@k stand at powers of two up to the
    fewest drafts of any problem, the samples that were drawn in view of no other; they are left out
    where samples were aborted or refused, because those that are left are no fair draw.

    Args:
        config: The run's configuration.
        records: What is finished; at least one.
        seconds: Time that the run took.
        out: Its folder.
    """
    usage = sum_usage(record.usage for record in records)
    shares = accuracy_by_problem(records)
    return {
        "benchmark": config["benchmark"],
        "preset": config["preset"],
        "model": config["model"],
        "engine": config["engine"],
        "seed": config["seed"],
        "problems": len(shares),
        "repeats": config["repeats"],
        "answered": sum(record.answer is not None for record in records),
        "samples": sum(len(record.attempts) for record in records),
        "accuracy": fmean(shares.values()),
        "ci95": list(_accuracy_interval(records, shares)),
        "pass_at_k": _at_powers_of_two(records, pass_at),
        "maj_at_k": _at_powers_of_two(records, maj_at),
        "tokens": {
            "prompt": usage.prompt_tokens,
            "scored": usage.scored_tokens,
            "cached": usage.cached_tokens,
            "generated": usage.generated_tokens,
            "wasted": usage.wasted_tokens,
            "reused": usage.reused_tokens,
        },
        "flops": usage.flops,
        "kv_bytes": {"read": usage.kv_bytes, "dense": usage.dense_kv_bytes},
        "seconds": round(seconds, 3),
        "out": str(out),
    }


def summary_of(run: StoredRun) -> Mapping[str, Any]:
    """Return a stored run's figures, of what is finished if it was interrupted.

    Raises:
        InputError: Nothing is finished.
    """
    if run.summary is not None:
        return run.summary
    if not run.records:
        raise InputError(f"{run.folder}: no problem is finished yet")
    return summarise(run.config, run.records, seconds=run.seconds, out=run.folder)


def accuracy_by_problem(records: Iterable[Record]) -> dict[str, float]:
    """Return each problem's share of repeats with a right answer."""
    marks: dict[str, list[bool]] = defaultdict(list)
    for record in records:
        marks[record.id].append(record.correct is True)
    return {problem_id: fmean(values) for problem_id, values in marks.items()}


def generated_per_problem(summary: Mapping[str, Any]) -> float | None:
    """Return the generated tokens of one problem and repeat, on average."""
    generated = summary["tokens"]["generated"]
    return None if generated is None else generated / (summary["problems"] * summary["repeats"])


def _accuracy_interval(records: Sequence[Record], shares: Mapping[str, float]) -> Interval:
    if len(records) == len(shares):
        return wilson_interval(sum(record.correct is True for record in records), len(records))
    return bootstrap_interval(list(shares.values()), seed=_BOOTSTRAP_SEED)


def _at_powers_of_two(
    records: Sequence[Record], figure: Callable[[Record, int], float]
) -> dict[str, float]:
    sizes = powers_of_two(fewest_drafts(records))
    return {str(k): fmean(figure(record, k) for record in records) for k in sizes}
