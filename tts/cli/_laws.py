"""The laws of test-time scaling, said of a run in lines for people."""

from collections.abc import Iterator, Sequence

from tts.evals.laws.coverage import HeldOut, laws_of
from tts.evals.records import Record

_NAMES = {"beta-binomial": "the beta-binomial law", "TTSPM": "TTSPM (one rate for all problems)"}


def law_lines(name: str, records: Sequence[Record]) -> Iterator[str]:
    """Yield what the laws say of a run; nothing where its samples do not allow it."""
    laws = laws_of(records)
    if laws is None:
        return
    for held_out in laws.held_out:
        yield f"{name}: {judged(held_out)}"
    if laws.further is not None:
        value, low, high = laws.further
        yield (
            f"{name}: pass@{laws.further_k} would be {value:.1%} [{low:.1%}, {high:.1%}] by the "
            "beta-binomial law"
        )
    for ceiling in laws.ceilings:
        yield (
            f"{name}: taking the first sample that {ceiling.verifier} accepts is right in at most "
            f"{ceiling.accuracy:.1%}; if a wrong one costs as much as a right one gains, draw "
            f"{ceiling.best_n}"
        )


def judged(law: HeldOut) -> str:
    """Return what a law says of all samples, how far it is off, and how many are enough."""
    said = (
        f"{_NAMES[law.law]}, fitted to {law.fitted} samples a problem, says {law.figure}@{law.k} "
        f"is {law.predicted:.1%}; measured {law.measured:.1%} ({100 * law.error:+.1f} points)"
    )
    if law.enough is None:
        return said
    return f"{said}; beyond {law.enough} samples one more gains less than half a point of pass@k"
