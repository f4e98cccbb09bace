"""Records of problems: their lines, and how long their chains of samples are."""

import json

import pytest

from tts.evals.records import Record, Sample
from tts.runtime.result import sequential_tokens
from tts.storage.sealed_lines import decode_line, encode_line
from tts.types import Origin, Trajectory, Usage
from tts.types.facts import RunFacts, Stop


def test_a_line_is_read_as_it_was_written() -> None:
    sample = Sample("7", 0, True, 5, {"prm": 0.5}, False, id="sample:0", node="sample", seed=3)
    facts = RunFacts(asked=2, granted=1, stopped_by=(Stop("vote", "settled"),))
    usage = Usage(generated_tokens=5, usd=None)
    record = Record("p", 2, "7", True, usage, 0.5, "", (sample,), True, facts, 5)
    line = encode_line(record.to_line(trace_end=9))
    values = decode_line(line)
    assert values is not None and Record.from_line(values) == record
    assert json.loads(line)["problem"] == "p" and values["trace_end"] == 9


def drawn(name: str, tokens: int | None, *parents: str, path: int = 0) -> Trajectory:
    return Trajectory(
        id=name,
        origin=Origin("n", 0, 0),
        text="",
        finish_reason="stop",
        parents=parents,
        token_ids=tuple(range(path)),
        usage=Usage(generated_tokens=tokens),
    )


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ([], 0),
        ([drawn("a", 5), drawn("b", 9)], 9),  # side by side
        ([drawn("a", 5), drawn("b", 9), drawn("c", 2, "a"), drawn("d", 3, "c")], 10),  # a, c, d
        ([drawn("m", 1, "a", "b"), drawn("a", 5), drawn("b", 9)], 10),  # waits for both
        ([drawn("leaf", 4, "partial", path=30)], 30),  # a search's solution holds its whole path
        ([drawn("a", None), drawn("b", 9)], None),
    ],
)
def test_the_longest_chain_of_samples(samples: list[Trajectory], expected: int | None) -> None:
    assert sequential_tokens(samples) == expected
