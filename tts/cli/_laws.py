"""The laws of test-time scaling, said of a run in lines for people."""

from collections.abc import Iterator, Sequence

from tts.evals.laws import laws_of
from tts.evals.run_store import Record


def law_lines(name: str, records: Sequence[Record]) -> Iterator[str]:
    """Yield what the laws say of a run; nothing where its samples do not allow it."""
    laws = laws_of(records)
    if laws is None:
        return
    for fit in laws.saturating:
        yield (
            f"{name}: {fit.figure}@k levels off at {fit.curve.ceiling:.1%}; beyond {fit.enough} "
            "samples one more gains less than half a point"
        )
    if laws.further is not None:
        value, low, high = laws.further
        yield (
            f"{name}: pass@{laws.further_k} would be {value:.1%} [{low:.1%}, {high:.1%}], "
            "extrapolated"
        )
    for ceiling in laws.ceilings:
        yield (
            f"{name}: taking the first sample that {ceiling.verifier} accepts is right in at most "
            f"{ceiling.accuracy:.1%}; if a wrong one costs as much as a right one gains, draw "
            f"{ceiling.best_n}"
        )
