"""What the laws of test-time scaling say of a run: where its samples stop paying, and what caps it.

All of it comes from the run's own samples; a run whose samples were cut off says nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from tts.budget.coverage import Extrapolation, extrapolate_pass_at_k
from tts.budget.laws import (
    Saturation,
    Verified,
    best_num_samples,
    fit_saturation,
    saturation_point,
    verified_accuracy,
)
from tts.errors import InputError
from tts.evals.metrics import maj_at_k, pass_at_k
from tts.evals.run_store import Record

_LEAST_GAIN = 0.005  # half a point for one more sample
_FURTHER = 4  # times the samples that were drawn
_BAR = 0.5  # a sample passes a verifier at this share
_FALSE_POSITIVE_COST = 1.0


@dataclass(frozen=True, slots=True)
class Saturating:
    """A saturating curve fitted to a figure at 1, 2, 4, ... samples (TTSPM).

    Attributes:
        figure: "maj" or "pass".
        curve: Ceiling and rate.
        enough: Samples after which one more gains less than half a point.
    """

    figure: str
    curve: Saturation
    enough: int


@dataclass(frozen=True, slots=True)
class Ceiling:
    """What no resampling passes when the first sample that the verifier accepts is taken.

    Attributes:
        verifier: That accepts samples whose share is 0.5 or more.
        accuracy: The ceiling.
        best_n: Samples of largest reward, if a wrong one that passes costs what a right one gains.
    """

    verifier: str
    accuracy: float
    best_n: int


@dataclass(frozen=True, slots=True)
class Laws:
    """What the laws say of one run.

    Attributes:
        saturating: Fits of maj@k and pass@k.
        further_k: Four times the samples drawn.
        further: pass@k there, extrapolated; None where every sample is right, or every one wrong.
        ceilings: For each verifier that scored all samples with an answer.
    """

    saturating: tuple[Saturating, ...]
    further_k: int
    further: Extrapolation | None
    ceilings: tuple[Ceiling, ...]


def laws_of(records: Sequence[Record]) -> Laws | None:
    """Return what the laws say of a run; None with fewer than four whole samples of a problem."""
    fewest = min((len(record.attempts) for record in records), default=0)
    if fewest < 4 or any(record.is_cut for record in records):
        return None
    sizes = [2**i for i in range(fewest.bit_length()) if 2**i <= fewest]
    figures: dict[str, Callable[[Record, int], float]] = {"maj": _maj, "pass": _pass}
    return Laws(
        saturating=tuple(_fit(name, figure, records, sizes) for name, figure in figures.items()),
        further_k=_FURTHER * fewest,
        further=_further(records, _FURTHER * fewest),
        ceilings=tuple(_ceiling(records, name) for name in _verifiers(records)),
    )


def _fit(
    name: str,
    figure: Callable[[Record, int], float],
    records: Sequence[Record],
    sizes: Sequence[int],
) -> Saturating:
    curve = fit_saturation(sizes, [fmean(figure(record, k) for record in records) for k in sizes])
    return Saturating(name, curve, saturation_point(curve, _LEAST_GAIN))


def _maj(record: Record, k: int) -> float:
    right = {a.group for a in record.attempts if a.correct and a.group is not None}
    return min(1.0, maj_at_k([a.group for a in record.attempts], right, k))


def _pass(record: Record, k: int) -> float:
    return pass_at_k(len(record.attempts), sum(a.correct for a in record.attempts), k)


def _further(records: Sequence[Record], k: int) -> Extrapolation | None:
    counts = [len(record.attempts) for record in records]
    right = [sum(a.correct for a in record.attempts) for record in records]
    try:
        return extrapolate_pass_at_k(counts, right, k, num_resamples=50)
    except InputError:
        return None


def _verifiers(records: Sequence[Record]) -> list[str]:
    answered = [
        {name for name, score in a.scores.items() if 0.0 <= score <= 1.0}
        for record in records
        for a in record.attempts
        if a.answer is not None
    ]
    return sorted(set.intersection(*answered)) if answered else []


def _ceiling(records: Sequence[Record], verifier: str) -> Ceiling:
    problems = [_verified(record, verifier) for record in records]
    best = best_num_samples(problems, _FALSE_POSITIVE_COST)
    return Ceiling(verifier, verified_accuracy(problems, float("inf")), best)


def _verified(record: Record, verifier: str) -> Verified:
    passed = [a.correct for a in record.attempts if a.scores.get(verifier, 0.0) >= _BAR]
    return Verified(len(passed) / len(record.attempts), fmean(passed) if passed else 0.0)
