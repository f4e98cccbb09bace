"""What the laws of test-time scaling say of a run, and how far that is from what was measured.

All of it comes from the independent samples of a run; a run in which a rule decided how many
samples there are says nothing. A law is judged before it is believed: fitted to the first quarter
of each problem's samples, it has to predict the accuracy of all of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from tts.allocation.coverage import (
    Extrapolation,
    enough_samples,
    extrapolate_pass_at_k,
    extrapolated_pass_at_k,
    fit_coverage,
)
from tts.allocation.laws import fit_saturation, saturating_accuracy
from tts.errors import InputError
from tts.evals.independent_samples import fewest_samples, maj_at, pass_at, powers_of_two
from tts.evals.laws.verification import ACCEPT_AT, Ceiling, ceilings
from tts.evals.records import Record

LEAST_GAIN = 0.005  # half a point for one more sample
_FURTHER = 4  # times the samples that a law was fitted to
_LEAST_SAMPLES = 2 * _FURTHER  # a curve needs two sizes
_CREDIBLE = 0.05  # a law that misses by more says nothing of what comes after
_Figure = Callable[[Record, int], float]


@dataclass(frozen=True, slots=True)
class HeldOut:
    """A law fitted to few samples of each problem, and what it says of all of them.

    Attributes:
        law: "beta-binomial" (a Beta law of the chance per sample, arXiv:2502.17578) or "TTSPM" (one
            rate for all problems, arXiv:2505.20522).
        figure: "pass" or "maj".
        fitted: Samples of each problem that it was fitted to.
        k: Samples of each problem that there are.
        predicted: Accuracy at `k` by the law.
        measured: Accuracy at `k`.
        enough: Samples after which one more gains less than half a point of pass@k, by the
            beta-binomial law fitted to all samples; None where that law misses what was measured by
            more than five points. TTSPM's single rate promises plateaus that mixed problems do not
            have, so it gives none.
    """

    law: str
    figure: str
    fitted: int
    k: int
    predicted: float
    measured: float
    enough: int | None = None

    @property
    def error(self) -> float:
        """Predicted less measured."""
        return self.predicted - self.measured


@dataclass(frozen=True, slots=True)
class Laws:
    """What the laws say of one run.

    Attributes:
        held_out: Each law beside what was measured; without the beta-binomial where every sample is
            right, or every one wrong.
        further_k: Four times the samples drawn.
        further: pass@k there by the beta-binomial law; None where it misses what was measured.
        ceilings: For each verifier that scored all samples with an answer.
    """

    held_out: tuple[HeldOut, ...]
    further_k: int
    further: Extrapolation | None
    ceilings: tuple[Ceiling, ...]


def laws_of(records: Sequence[Record], accept_at: float = ACCEPT_AT) -> Laws | None:
    """Return what the laws say of a run; None with fewer than eight whole samples of a problem.

    Args:
        records: Of the run.
        accept_at: Score from which a verifier accepts a sample.
    """
    fewest = fewest_samples(records)
    if fewest < _LEAST_SAMPLES:
        return None
    coverage = _beta_binomial(records, fewest)
    curves = [_ttspm(name, figure, records, fewest) for name, figure in _FIGURES.items()]
    return Laws(
        held_out=(*([] if coverage is None else [coverage]), *curves),
        further_k=_FURTHER * fewest,
        further=_further(records, _FURTHER * fewest) if coverage and coverage.enough else None,
        ceilings=ceilings(records, accept_at),
    )


_FIGURES: dict[str, _Figure] = {"pass": pass_at, "maj": maj_at}


def _beta_binomial(records: Sequence[Record], k: int) -> HeldOut | None:
    few = k // _FURTHER
    try:
        fitted = fit_coverage(*_counts([_first(record, few) for record in records]))
        enough = enough_samples(fit_coverage(*_counts(records)), LEAST_GAIN)
    except InputError:
        return None
    measured = fmean(pass_at(record, k) for record in records)
    found = HeldOut("beta-binomial", "pass", few, k, extrapolated_pass_at_k(fitted, k), measured)
    return replace(found, enough=enough) if abs(found.error) <= _CREDIBLE else found


def _ttspm(name: str, figure: _Figure, records: Sequence[Record], k: int) -> HeldOut:
    few = k // _FURTHER
    firsts, sizes = [_first(record, few) for record in records], powers_of_two(few)
    shares = [min(1.0, fmean(figure(record, size) for record in firsts)) for size in sizes]
    predicted = saturating_accuracy(fit_saturation(sizes, shares), k)
    return HeldOut("TTSPM", name, few, k, predicted, fmean(figure(r, k) for r in records))


def _first(record: Record, number: int) -> Record:
    return replace(record, samples=record.independent_samples[:number])


def _counts(records: Sequence[Record]) -> tuple[list[int], list[int]]:
    samples = [record.independent_samples for record in records]
    return [len(each) for each in samples], [sum(s.correct for s in each) for each in samples]


def _further(records: Sequence[Record], k: int) -> Extrapolation:
    return extrapolate_pass_at_k(*_counts(records), k, num_resamples=50)
