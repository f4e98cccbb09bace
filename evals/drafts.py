"""The samples of finished problems, and what votes and choices over `k` of them are worth.

Only drafts count, the samples that were drawn in view of no other: a revision or a comparison is no
further draw.
"""

from collections.abc import Iterable, Sequence

from tts.evals.metrics import best_of_k, maj_at_k, pass_at_k
from tts.evals.run_store import Attempt, Record


def powers_of_two(most: int) -> list[int]:
    """Return 1, 2, 4, ... up to `most`; empty below 1."""
    return [2**i for i in range(most.bit_length()) if 2**i <= most]


def fewest_drafts(records: Iterable[Record]) -> int:
    """Return how many samples every problem has; 0 of none, or where samples were cut off.

    Those that are left after an early stop are no fair draw of them all.
    """
    return min((0 if record.is_cut else len(record.drafts) for record in records), default=0)


def classes(record: Record) -> list[int | None]:
    """Return the class of equal answers of each sample; None without an answer."""
    return [draft.group for draft in record.drafts]


def right_classes(record: Record) -> frozenset[int]:
    """Return the classes of answers that are right."""
    return frozenset(d.group for d in record.drafts if d.correct and d.group is not None)


def pass_at(record: Record, k: int) -> float:
    """Return the chance that one of `k` samples is right (`tts.evals.metrics.pass_at_k`)."""
    return pass_at_k(len(record.drafts), sum(draft.correct for draft in record.drafts), k)


def maj_at(record: Record, k: int) -> float:
    """Return the accuracy of a vote over `k` samples (`tts.evals.metrics.maj_at_k`)."""
    return maj_at_k(classes(record), right_classes(record), k)


def best_at(record: Record, verifier: str, k: int) -> float:
    """Return the accuracy of the best-scored of `k` samples (`tts.evals.metrics.best_of_k`)."""
    scores = [draft.scores.get(verifier) for draft in record.drafts]
    return best_of_k(scores, [draft.correct for draft in record.drafts], k)


def shares(record: Record, verifier: str) -> list[float]:
    """Return each sample's score as a share; 0 where there is none in [0, 1]."""
    scores = [draft.scores.get(verifier, 0.0) for draft in record.drafts]
    return [score if 0.0 <= score <= 1.0 else 0.0 for score in scores]


def common_verifiers(records: Sequence[Record]) -> list[str]:
    """Return the verifiers that scored every sample with an answer, in [0, 1]; by name."""
    missing = missing_scores(answered(records))
    return [verifier for verifier, number in missing.items() if not number]


def answered(records: Iterable[Record]) -> list[Attempt]:
    """Return the samples with an answer."""
    return [d for record in records for d in record.drafts if d.answer is not None]


def missing_scores(samples: Sequence[Attempt]) -> dict[str, int]:
    """Return how many samples have no score in [0, 1], by verifier that scored any; by name."""
    return {
        name: sum(not 0.0 <= sample.scores.get(name, -1.0) <= 1.0 for sample in samples)
        for name in sorted({name for sample in samples for name in sample.scores})
    }
