"""What an imperfect verifier is worth: its rates, its ceiling, and verdicts against solutions."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from tts.allocation.efficiency import Split, split_cost
from tts.allocation.laws import Verified, best_num_samples, verified_accuracy
from tts.evals.independent_samples import answered, common_verifiers, maj_at, powers_of_two
from tts.evals.laws.series import Series
from tts.evals.records import Record
from tts.seeds import derive_seed

ACCEPT_AT = 0.5  # a sample passes a verifier at this share
_FALSE_POSITIVE_COST = 1.0
_DRAWS = 400


@dataclass(frozen=True, slots=True)
class Ceiling:
    """What a verifier lets through, and what no resampling passes when its first pass is taken.

    Attributes:
        verifier: Its name.
        problems: Those of which it scored every sample with an answer; the figures are theirs.
        accuracy: Share of problems that are right with samples without end.
        best_n: Samples of largest reward, if a wrong one that passes costs what a right one gains.
        false_positive_rate: Share of the wrong samples that pass; None where none is wrong.
        recall: Share of the right samples that pass; None where none is right.
    """

    verifier: str
    problems: int
    accuracy: float
    best_n: int
    false_positive_rate: float | None
    recall: float | None


def ceilings(records: Sequence[Record], accept_at: float = ACCEPT_AT) -> tuple[Ceiling, ...]:
    """Return the ceiling of each verifier, over the problems whose samples it scored.

    One with a score outside [0, 1] on any problem, such as tests passed times attempts that agree,
    has no share at which it accepts, and is left out.

    Args:
        records: Problems with their samples.
        accept_at: A sample passes whose score is this or more.
    """
    outside = {
        name
        for sample in answered(records)
        for name, score in sample.scores.items()
        if not 0.0 <= score <= 1.0
    }
    by_verifier: dict[str, list[Record]] = {}
    for record in records:
        for name in set(common_verifiers([record])) - outside:
            by_verifier.setdefault(name, []).append(record)
    return tuple(_ceiling(known, name, accept_at) for name, known in sorted(by_verifier.items()))


def _ceiling(records: Sequence[Record], verifier: str, accept_at: float) -> Ceiling:
    marks = [_passes(record, verifier, accept_at) for record in records]
    problems = [
        Verified(float(passes.mean()), float(right[passes].mean()) if passes.any() else 0.0)
        for passes, right in marks
    ]
    passes, right = (np.concatenate(column) for column in zip(*marks, strict=True))
    return Ceiling(
        verifier=verifier,
        problems=len(records),
        accuracy=verified_accuracy(problems, float("inf")),
        best_n=best_num_samples(problems, _FALSE_POSITIVE_COST),
        false_positive_rate=_share(passes[~right]),
        recall=_share(passes[right]),
    )


def _passes(
    record: Record, verifier: str, accept_at: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    samples = record.independent_samples
    scores = np.array([sample.scores.get(verifier, -1.0) for sample in samples])
    return scores >= accept_at, np.array([sample.correct for sample in samples])


def _share(marks: NDArray[np.bool_]) -> float | None:
    return float(marks.mean()) if len(marks) else None


@dataclass(frozen=True, slots=True)
class Splits:
    """Solutions against verdicts at equal cost; "When To Solve, When To Verify", arXiv:2504.01005.

    Attributes:
        verifier: That drew the verdicts.
        relative_tokens: Tokens of a verdict over tokens of a solution.
        splits: S solutions with V verdicts each: the solution of the best mean verdict, and without
            verdicts the vote.
    """

    verifier: str
    relative_tokens: float
    splits: tuple[Split, ...]


def splits_of(series: Series) -> tuple[Splits, ...]:
    """Return the grid of each verifier that drew verdicts; none where tokens were not counted.

    A score is the share of a sample's V verdicts that accept it, so fewer of them are drawn from
    these without replacement; so are fewer samples, in 400 draws of a fixed seed. With several such
    verifiers in one run nobody knows which of them the checking tokens belong to: then there is no
    grid.
    """
    if len(series.checks) != 1 or series.tokens is None:
        return ()
    ((verifier, most),) = series.checks.items()
    calls = sum(len(r.independent_samples) * most for r in series.records)
    checking = [record.usage.checking_tokens for record in series.records]
    counted = [number for number in checking if number is not None]
    if len(counted) < len(checking) or not sum(counted):
        return ()
    relative = sum(counted) / calls / series.tokens
    sizes = powers_of_two(series.samples)
    numbers = [0, *powers_of_two(most)]
    found = [
        Split(
            s, v, split_cost(s, v, relative), _mean_accuracy(series.records, verifier, most, s, v)
        )
        for s in sizes
        for v in numbers
        if s > 1 or v == 0  # one solution needs no choice
    ]
    return (Splits(verifier, relative, tuple(found)),)


def _mean_accuracy(
    records: Iterable[Record], verifier: str, most: int, solutions: int, verdicts: int
) -> float:
    if not verdicts:
        return fmean(maj_at(record, solutions) for record in records)
    return fmean(_chosen(record, verifier, most, solutions, verdicts) for record in records)


def _chosen(record: Record, verifier: str, most: int, solutions: int, verdicts: int) -> float:
    """Return how often the best by so many verdicts is right; equals win equally often."""
    samples = record.independent_samples
    shares = np.array([sample.scores.get(verifier, 0.0) for sample in samples])
    accepting = np.rint(shares * most).astype(np.int64)
    rng = np.random.default_rng(derive_seed(0, record.id, verifier, f"{solutions}/{verdicts}"))
    said = rng.hypergeometric(accepting, most - accepting, verdicts, (_DRAWS, len(samples)))
    no_answer = np.array([sample.answer is None for sample in samples])
    ranks = np.where(no_answer, -1.0, said) + rng.random((_DRAWS, len(samples)))
    places = rng.permuted(np.tile(np.arange(len(samples)), (_DRAWS, 1)), axis=1)[:, :solutions]
    best = np.take_along_axis(
        places, np.take_along_axis(ranks, places, axis=1).argmax(axis=1)[:, None], axis=1
    )
    right = np.array([sample.correct for sample in samples])
    return float(right[best[:, 0]].mean())
