"""Agreement of our comparison with labelled pairs, counted by hand."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.commands import Outcome

ROWS = [
    {"gold": "7", "pred": "7.0", "equivalent": True, "kind": "answer"},
    {"gold": "7", "pred": "8", "equivalent": False, "kind": "answer"},
    {"gold": "1000", "pred": "1000", "equivalent": False, "kind": "answer"},  # a false label
    {"gold": "7", "pred": "9", "equivalent": True, "kind": "answer"},  # another one
    {"gold": "7", "pred": "x", "equivalent": True, "kind": "answer", "contested": "why not"},
    {"gold": "7", "pred": r"it is \boxed{7}", "equivalent": True, "kind": "text"},
]


@pytest.fixture
def data(tmp_path: Path) -> str:
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return str(path)


def test_agreement_is_counted_and_disagreements_are_listed(
    tts: Callable[..., Outcome], data: str
) -> None:
    outcome = tts("bench", "answers", "--data", data)
    assert outcome.code == 0
    first, contested, seconds, *wrong = outcome.out.splitlines()
    # Five uncontested pairs, two of them with a false label: 3 / 5.
    assert first == (
        "3 of 5 uncontested pairs agree with their label (60.00%): 1 false equal, 1 false different"
    )
    assert contested == "0 of 1 contested pairs agree"
    assert seconds.startswith("a comparison takes ") and seconds.endswith(" ms")
    assert wrong == ["false equal      '1000' / '1000'", "false different  '7' / '9'"]


def test_as_json(tts: Callable[..., Outcome], data: str) -> None:
    found = tts("bench", "answers", "--data", data, "--json").json
    assert (found["pairs"], found["agreeing"], found["contested"]) == (5, 3, 1)


@pytest.mark.parametrize("text", ["", "7\n", '{"gold": "7"}\n', "[]\n"])
def test_a_file_without_pairs_is_refused(
    tts: Callable[..., Outcome], tmp_path: Path, text: str
) -> None:
    path = tmp_path / "odd.jsonl"
    path.write_text(text)
    outcome = tts("bench", "answers", "--data", str(path))
    assert outcome.code == 2 and "odd.jsonl" in outcome.err
