"""What tests that a model wrote are worth, where it is known which attempts are right.

Source: R2E-Gym (Jain et al. 2025, arXiv:2504.07164), section 4: of the tests of problems that have
right and wrong attempts, the share that tells them apart and the share that is toxic.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from tts.evals.records import Record, Sample


@dataclass(frozen=True, slots=True)
class WrittenRates:
    """Figures of written tests.

    Attributes:
        problems: With right and wrong attempts and at least one test.
        tests: Of these problems, that a right and a wrong attempt were run on. An attempt that was
            not run on a test says nothing of it.
        distinguish: Share of tests that some right attempt passes and no wrong one, or the reverse.
        toxic: Share of tests that some wrong attempt passes and no right one.
        valid: Share of tests that a right attempt passes.
    """

    problems: int
    tests: int
    distinguish: float
    toxic: float
    valid: float


def rates_of(records: Iterable[Record], verifier: str) -> WrittenRates | None:
    """Return the rates of one verifier's tests; None where no problem can tell.

    Args:
        records: Of a run; samples hold what they passed in `tests`.
        verifier: With its options, as the run names it.
    """
    problems, pairs = 0, []
    for record in records:
        found = _passes(record.samples, verifier)
        problems += bool(found)
        pairs += found
    if not pairs:
        return None
    total = len(pairs)
    return WrittenRates(
        problems=problems,
        tests=total,
        distinguish=sum(right != wrong for right, wrong in pairs) / total,
        toxic=sum(wrong and not right for right, wrong in pairs) / total,
        valid=sum(right for right, _ in pairs) / total,
    )


def _passes(samples: Iterable[Sample], verifier: str) -> list[tuple[bool, bool]]:
    """Return of each test whether any right sample passes it, and whether any wrong one does."""
    marked = [(sample.correct, sample.tests.get(verifier)) for sample in samples]
    right = [marks for correct, marks in marked if marks and correct]
    wrong = [marks for correct, marks in marked if marks and not correct]
    if not right or not wrong:
        return []
    columns = zip(zip(*right, strict=True), zip(*wrong, strict=True), strict=True)
    return [
        ("1" in passed, "1" in fooled)
        for passed, fooled in columns
        if _is_run(passed) and _is_run(fooled)
    ]


def _is_run(marks: Iterable[str]) -> bool:
    return any(mark != "-" for mark in marks)
