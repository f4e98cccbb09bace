"""The figures of a run: from finished problems to its summary."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

from tts.errors import InputError
from tts.evals.independent_samples import fewest_samples, maj_at, pass_at, powers_of_two
from tts.evals.metrics import bootstrap_interval, wilson_interval
from tts.evals.records import Record
from tts.evals.stored_run import StoredRun
from tts.evals.units import cost_of, mean_cost
from tts.types import sum_usage
from tts.types.figures import Interval, KVBytes, Summary, Tokens, is_replay

_BOOTSTRAP_SEED = 0


def summarise(
    config: Mapping[str, Any],
    records: Sequence[Record],
    *,
    seconds: float,
    out: Path,
    lost: int = 0,
    unanswered: Sequence[str] = (),
    joules: float | None = None,
) -> Summary:
    """Return the figures of a run.

    Args:
        config: The run's configuration (`tts.evals.plan.Plan.config`).
        records: What is finished; at least one.
        seconds: Wall time of its sessions.
        out: Its folder.
        lost: Generated tokens that were in flight when a session was killed.
        unanswered: Problems that a server has left without answers.
        joules: Of a problem and repeat.
    """
    usage = sum_usage(record.usage for record in records)
    shares = accuracy_by_problem(records)
    replayed = is_replay(config["engine"])
    cost = mean_cost(cost_of(record, is_replay=replayed) for record in records)
    return Summary(
        benchmark=config["benchmark"],
        preset=config["preset"],
        model=config["model"],
        engine=config["engine"],
        engines=tuple(config.get("engines", ())),
        seed=config["seed"],
        repeats=config["repeats"],
        planned=config["problems"] * config["repeats"],
        done=len(records),
        problems=len(shares),
        answered=sum(record.answer is not None for record in records),
        samples=sum(len(record.samples) for record in records),
        accuracy=fmean(shares.values()),
        interval=_accuracy_interval(records, shares),
        pass_at_k=_at_powers_of_two(records, pass_at),
        maj_at_k=_at_powers_of_two(records, maj_at),
        cost=replace(cost, joules=joules),
        tokens=Tokens(
            prompt=usage.prompt_tokens,
            cached=usage.cached_tokens,
            scored=usage.scored_tokens,
            generated=usage.generated_tokens,
            wasted=usage.wasted_tokens,
            reused=usage.reused_tokens,
            lost=lost,
        ),
        kv_bytes=KVBytes(read=usage.kv_bytes, dense=usage.dense_kv_bytes),
        seconds=round(seconds, 3),
        out=str(out),
        short=sum(record.facts.failed > 0 for record in records),
        unanswered=tuple(unanswered),
    )


def summary_of(run: StoredRun) -> Summary:
    """Return a stored run's figures, of what is finished if it was interrupted.

    Raises:
        InputError: Nothing is finished.
    """
    if run.summary is not None:
        return replace(run.summary, out=str(run.folder))
    if not run.records:
        raise InputError(f"{run.folder}: no problem is finished yet")
    return summarise(
        run.config,
        run.records,
        seconds=run.seconds,
        out=run.folder,
        lost=run.lost_tokens,
        joules=run.joules_each,
    )


def accuracy_by_problem(records: Iterable[Record]) -> dict[str, float]:
    """Return each problem's share of repeats with a right answer."""
    marks: dict[str, list[bool]] = defaultdict(list)
    for record in records:
        marks[record.id].append(record.correct is True)
    return {problem_id: fmean(values) for problem_id, values in marks.items()}


def _accuracy_interval(records: Sequence[Record], shares: Mapping[str, float]) -> Interval:
    if len(records) == len(shares):
        return wilson_interval(sum(record.correct is True for record in records), len(records))
    return bootstrap_interval(list(shares.values()), seed=_BOOTSTRAP_SEED)


def _at_powers_of_two(
    records: Sequence[Record], figure: Callable[[Record, int], float]
) -> dict[int, float]:
    sizes = powers_of_two(fewest_samples(records))
    return {k: fmean(figure(record, k) for record in records) for k in sizes}
