"""The best model, number of samples, length and KV budget for each cost; Kinetics' law.

Accuracy comes from samples that were drawn: a sample that is longer than a length would have been
cut there, and has no answer. Cost comes from the model's shape: the prompt once, then every sample
to its end or to the length. Source: Sadhukhan et al. 2025, "Kinetics", arXiv:2506.05333.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from tts.costs.flops import Workload, decode_work, effective_flops, prefill_work
from tts.errors import InputError
from tts.evals.independent_samples import maj_at, pass_at, powers_of_two
from tts.evals.laws.series import Series
from tts.evals.metrics import largest_of_k
from tts.evals.records import Record, Sample
from tts.types import ModelInfo
from tts.types.figures import Unit

FRONTIER_UNITS: tuple[Unit, ...] = ("eflops", "flops", "tokens", "sequential")
FIGURES = {"maj": maj_at, "pass": pass_at}
PROMPT_TOKENS = 128  # of a prompt of which nobody counted the tokens
_SHORTEST = 32


@dataclass(frozen=True, slots=True)
class Point:
    """One way to spend.

    Attributes:
        series: Name of the samples.
        model: That drew them.
        n: Samples of a problem.
        length: Tokens after which each is cut; None for the longest that was drawn.
        kv_budget: Context tokens that a decoded token reads; None for all.
        cost: Of a problem.
        accuracy: Mean over problems.
    """

    series: str
    model: str
    n: int
    length: int | None
    kv_budget: int | None
    cost: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Way:
    """One way to spend, problem by problem.

    Attributes:
        n: Samples of a problem.
        length: Tokens after which each is cut; None for the longest that was drawn.
        costs: Expected, of each problem.
        accuracies: Likewise.
    """

    n: int
    length: int | None
    costs: tuple[float, ...]
    accuracies: tuple[float, ...]


def points_of(series: Series, *, unit: Unit = "eflops", figure: str = "maj") -> list[Point]:
    """Return every number of samples, 1, 2, 4, ..., at every length, 32, 64, ... and whole.

    Args:
        series: With counted tokens, and for operations with a shape.
        unit: Of the cost, one of `FRONTIER_UNITS`.
        figure: "maj" for votes, "pass" for coverage.

    Raises:
        InputError: Tokens were not counted, or the shape of the model is not known.
    """
    kept = None if series.sparse is None else series.sparse.kept_tokens
    return [
        Point(
            series.name,
            series.model,
            way.n,
            way.length,
            kept,
            cost=fmean(way.costs),
            accuracy=fmean(way.accuracies),
        )
        for way in ways_of(series, unit=unit, figure=figure)
    ]


def ways_of(series: Series, *, unit: Unit, figure: str) -> list[Way]:
    """Return what `points_of` takes the means of, with the same arguments and errors."""
    if series.tokens is None:
        raise InputError(f"{series.name}: tokens were not counted, so nobody knows what it cost")
    if unit in ("eflops", "flops") and series.shape is None:
        raise InputError(
            f"{series.name}: the shape of its model is not known; name it with --shape, such as "
            f'--shape "{series.name}=Llama-3.1-8B", or count in --unit tokens'
        )
    drawn = [s.tokens or 0 for record in series.records for s in record.independent_samples]
    lengths = [
        size for size in powers_of_two(max(drawn)) if size >= _SHORTEST and size < max(drawn)
    ]
    ways = []
    for length in (*lengths, None):
        records = [_cut(record, length) for record in series.records]
        costs = [_costs(record, series, unit) for record in records]
        for n in powers_of_two(series.samples):
            accuracies = tuple(FIGURES[figure](record, n) for record in records)
            spent = tuple(_cost(prompt, each, n, unit) for prompt, each in costs)
            ways.append(Way(n, length, spent, accuracies))
    return ways


def _cut(record: Record, length: int | None) -> Record:
    if length is None:
        return record
    return replace(record, samples=tuple(_cut_sample(s, length) for s in record.samples))


def _cut_sample(sample: Sample, length: int) -> Sample:
    if (sample.tokens or 0) <= length:
        return sample
    return replace(sample, answer=None, answer_class=None, correct=False, tokens=length)


def _costs(record: Record, series: Series, unit: Unit) -> tuple[float, list[float]]:
    """Return what a problem's prompt costs, and each of its samples."""
    tokens = [sample.tokens or 0 for sample in record.independent_samples]
    if unit not in ("eflops", "flops"):
        return 0.0, [float(number) for number in tokens]
    assert series.shape is not None, "checked before"
    usage = record.usage
    prompt = round(usage.prompt_tokens / usage.calls) if usage.prompt_tokens else PROMPT_TOKENS
    loads = [Workload(prompt, number, sparse=series.sparse) for number in tokens]
    first = _operations(series.shape, Workload(prompt, 0), unit, is_prompt=True)
    return first, [_operations(series.shape, load, unit) for load in loads]


def _operations(shape: ModelInfo, load: Workload, unit: Unit, *, is_prompt: bool = False) -> float:
    work = prefill_work(shape, load) if is_prompt else decode_work(shape, load)
    return effective_flops(work.flops, work.kv_bytes) if unit == "eflops" else work.flops


def _cost(prompt: float, each: Sequence[float], n: int, unit: Unit) -> float:
    """Return the expected cost of `n` of the samples; one after the other, of the longest."""
    return largest_of_k(each, n) if unit == "sequential" else prompt + n * fmean(each)
