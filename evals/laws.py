"""What the laws of test-time scaling say of a run: where its samples stop paying, and what caps it.

All of it comes from the samples that the run drew in view of no other (`tts.evals.drafts`); a run
whose samples were cut off says nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from tts.allocation.coverage import Extrapolation, extrapolate_pass_at_k
from tts.allocation.laws import (
    Saturation,
    Verified,
    best_num_samples,
    fit_saturation,
    saturation_point,
    verified_accuracy,
)
from tts.errors import InputError
from tts.evals.drafts import common_verifiers, fewest_drafts, maj_at, pass_at, powers_of_two
from tts.evals.run_store import Record

_LEAST_SAMPLES = 4
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
    fewest = fewest_drafts(records)
    if fewest < _LEAST_SAMPLES:
        return None
    sizes = powers_of_two(fewest)
    figures: dict[str, Callable[[Record, int], float]] = {"maj": maj_at, "pass": pass_at}
    return Laws(
        saturating=tuple(_fit(name, figure, records, sizes) for name, figure in figures.items()),
        further_k=_FURTHER * fewest,
        further=_further(records, _FURTHER * fewest),
        ceilings=tuple(_ceiling(records, name) for name in common_verifiers(records)),
    )


def _fit(
    name: str,
    figure: Callable[[Record, int], float],
    records: Sequence[Record],
    sizes: Sequence[int],
) -> Saturating:
    curve = fit_saturation(sizes, [fmean(figure(record, k) for record in records) for k in sizes])
    return Saturating(name, curve, saturation_point(curve, _LEAST_GAIN))


def _further(records: Sequence[Record], k: int) -> Extrapolation | None:
    counts = [len(record.drafts) for record in records]
    right = [sum(draft.correct for draft in record.drafts) for record in records]
    try:
        return extrapolate_pass_at_k(counts, right, k, num_resamples=50)
    except InputError:
        return None


def _ceiling(records: Sequence[Record], verifier: str) -> Ceiling:
    problems = [_verified(record, verifier) for record in records]
    best = best_num_samples(problems, _FALSE_POSITIVE_COST)
    return Ceiling(verifier, verified_accuracy(problems, float("inf")), best)


def _verified(record: Record, verifier: str) -> Verified:
    passed = [draft.correct for draft in record.drafts if draft.scores.get(verifier, 0.0) >= _BAR]
    return Verified(len(passed) / len(record.drafts), fmean(passed) if passed else 0.0)
