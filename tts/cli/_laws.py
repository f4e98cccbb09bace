"""The laws of test-time scaling, said of runs in lines for people."""

from collections.abc import Iterable, Iterator, Sequence

from tts.evals.laws.coverage import HeldOut, laws_of
from tts.evals.records import Record

_NAMES = {"beta-binomial": "the beta-binomial law", "TTSPM": "TTSPM (one rate for all problems)"}


def law_lines(runs: Iterable[tuple[str, Sequence[Record]]]) -> Iterator[str]:
    """Yield what the laws say of named runs, once where they say the same of several.

    Runs of the same samples are told apart by what was chosen of them, which no law looks at.
    """
    named: dict[str, list[str]] = {}
    for name, records in runs:
        for text in _texts(records):
            named.setdefault(text, []).append(name)
    for text, names in named.items():
        yield f"{', '.join(dict.fromkeys(names))}: {text}"


def _texts(records: Sequence[Record]) -> Iterator[str]:
    """Yield what the laws say of a run; nothing where its samples do not allow it."""
    laws = laws_of(records)
    if laws is None:
        return
    for held_out in laws.held_out:
        yield judged(held_out)
    if laws.further is not None:
        value, low, high = laws.further
        yield (
            f"pass@{laws.further_k} would be {value:.1%} [{low:.1%}, {high:.1%}] by the "
            "beta-binomial law"
        )
    for ceiling in laws.ceilings:
        yield (
            f"taking the first sample that {ceiling.verifier} accepts is right in at most "
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
