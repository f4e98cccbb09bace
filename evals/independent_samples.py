"""The independent samples of finished problems, and what votes and choices over `k` are worth.

Only samples that were drawn in view of no other count: a revision or a comparison is no further
draw.
"""

from collections.abc import Iterable, Sequence

from tts.evals.metrics import best_of_k, maj_at_k, pass_at_k
from tts.evals.records import Record, Sample


def powers_of_two(most: int) -> list[int]:
    """Return 1, 2, 4, ... up to `most`; empty below 1."""
    return [2**i for i in range(most.bit_length()) if 2**i <= most]


def fewest_samples(records: Iterable[Record]) -> int:
    """Return how many samples every problem has; 0 of none, or where a rule decided how many.

    Those that are left after an early stop are no fair draw of them all.
    """
    return min(
        (0 if record.is_cut else len(record.independent_samples) for record in records), default=0
    )


def answer_classes(record: Record) -> list[int | None]:
    """Return the class of equal answers of each sample; None without an answer."""
    return [sample.answer_class for sample in record.independent_samples]


def right_classes(record: Record) -> frozenset[int]:
    """Return the classes of answers that are right."""
    samples = record.independent_samples
    return frozenset(s.answer_class for s in samples if s.correct and s.answer_class is not None)


def pass_at(record: Record, k: int) -> float:
    """Return the chance that one of `k` samples is right (`tts.evals.metrics.pass_at_k`)."""
    samples = record.independent_samples
    return pass_at_k(len(samples), sum(sample.correct for sample in samples), k)


def maj_at(record: Record, k: int) -> float:
    """Return the accuracy of a vote over `k` samples (`tts.evals.metrics.maj_at_k`)."""
    return maj_at_k(answer_classes(record), right_classes(record), k)


def best_at(record: Record, verifier: str, k: int) -> float:
    """Return the accuracy of the best-scored of `k` samples (`tts.evals.metrics.best_of_k`)."""
    samples = record.independent_samples
    scores = [sample.scores.get(verifier) for sample in samples]
    return best_of_k(scores, [sample.correct for sample in samples], k)


def shares(record: Record, verifier: str) -> list[float]:
    """Return each sample's score as a share; 0 where there is none in [0, 1]."""
    scores = [sample.scores.get(verifier, 0.0) for sample in record.independent_samples]
    return [score if 0.0 <= score <= 1.0 else 0.0 for score in scores]


def common_verifiers(records: Sequence[Record]) -> list[str]:
    """Return the verifiers that scored every sample with an answer, in [0, 1]; by name."""
    missing = missing_scores(answered(records))
    return [verifier for verifier, number in missing.items() if not number]


def answered(records: Iterable[Record]) -> list[Sample]:
    """Return the samples with an answer."""
    return [s for record in records for s in record.independent_samples if s.answer is not None]


def missing_scores(samples: Sequence[Sample]) -> dict[str, int]:
    """Return how many samples have no score in [0, 1], by verifier that scored any; by name."""
    return {
        name: sum(not 0.0 <= sample.scores.get(name, -1.0) <= 1.0 for sample in samples)
        for name in sorted({name for sample in samples for name in sample.scores})
    }
