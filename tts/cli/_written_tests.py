"""What tests that a model wrote were worth in a run, in a line for people."""

from collections.abc import Iterator, Sequence

from tts.evals.code_tests import rates_of
from tts.evals.records import Record
from tts.parts.catalog import parse_verifier


def written_test_lines(name: str, records: Sequence[Record]) -> Iterator[str]:
    """Yield a line for each verifier whose tests a model wrote; none where nobody can tell."""
    verifiers = {v for record in records for sample in record.samples for v in sample.tests}
    for verifier in sorted(verifiers):
        if parse_verifier(verifier)[0] != "written_tests":
            continue
        if rates := rates_of(records, verifier):
            yield (
                f"{name}: of {rates.tests} tests that the model wrote for the {rates.problems} "
                f"problems with right and wrong attempts, {rates.valid:.0%} are valid (some right "
                f"attempt passes), {rates.distinguish:.0%} distinguish and {rates.toxic:.0%} are "
                "toxic (some wrong attempt passes and no right one)"
            )
