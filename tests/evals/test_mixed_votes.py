"""Votes over samples of two runs, by hand."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.evals.test_report import record, stored
from tts.errors import InputError
from tts.evals.mixed_votes import Ballot, mixed_vote, mixed_votes
from tts.storage.sealed_lines import encode_line


def ballot(right: set[int], *pools: dict[int | None, int]) -> Ballot:
    return Ballot([Counter(pool) for pool in pools], frozenset(right))


@pytest.mark.parametrize(
    ("one", "each", "accuracy"),
    [
        (ballot({0}, {0: 2}, {1: 2}), 1, 1 / 2),  # a tie
        (ballot({0}, {0: 2}, {0: 1, 1: 1}), 1, 3 / 4),  # won, or a tie
        (ballot({0}, {0: 1, 1: 1}, {0: 1, 2: 1}), 2, 1.0),  # 0 has two votes, others one
        (ballot({0}, {0: 1, None: 1}, {None: 2}), 1, 1 / 2),  # alone, or nobody votes
        (ballot({0, 3}, {0: 1}, {3: 1}), 1, 1.0),  # both are right
        (ballot(set(), {None: 2}, {None: 2}), 1, 0.0),
    ],
)
def test_a_vote_over_both(one: Ballot, each: int, accuracy: float) -> None:
    assert mixed_vote(one, each) == pytest.approx(accuracy, abs=0.04)


def written(folder: Path, name: str, answers: dict[str, list[str]], **config: Any) -> Any:
    """Return a run whose right answers are "1" and whose folder states the problems."""
    place = folder / name
    place.mkdir()
    lines = [encode_line({"problem": key, "answer_type": "integer"}) for key in answers]
    (place / "statements.jsonl").write_bytes(b"".join(lines))
    records = []
    for key, texts in answers.items():
        classes = {text: number for number, text in enumerate(dict.fromkeys(texts))}
        plain = record(key, "r" * len(texts))
        samples = [
            replace(s, answer=text, answer_class=classes[text], correct=float(text) == 1)
            for s, text in zip(plain.samples, texts, strict=True)
        ]
        records.append(replace(plain, samples=tuple(samples)))
    return replace(stored(*records, **config), folder=place)


def test_equal_answers_of_both_runs_vote_together(tmp_path: Path) -> None:
    # Of a, each run has one right sample of two, written otherwise; of b, nobody is right.
    texts = written(tmp_path, "texts", {"a": ["1", "2"], "b": ["5", "5"]})
    programs = written(tmp_path, "programs", {"a": ["1.0", "3"], "b": ["6", "6"]})
    one, two = mixed_votes(texts, programs, "tokens")
    # 1 + 1 of a: both right 1/4, one of them 1/2 with a tie, none 1/4: 1/2. 2 + 2: two against one.
    assert (one.each, one.cost, two.each, two.cost) == (1, 20, 2, 40)
    assert one.accuracy == pytest.approx(1 / 4, abs=0.02)
    assert two.accuracy == pytest.approx(1 / 2)
    # Alone, either run's vote of two is a tie: 1/2 of a. 40 tokens are beyond both.
    assert one.over[0] is not None and one.over[0].mean == pytest.approx(0, abs=0.02)
    assert two.over == (None, None)


def test_runs_that_cannot_be_mixed_say_so(tmp_path: Path) -> None:
    first = written(tmp_path, "first", {"a": ["1", "2"]})
    with pytest.raises(InputError, match="share no finished problem"):
        mixed_votes(first, written(tmp_path, "other", {"b": ["1", "2"]}), "tokens")
    with pytest.raises(InputError, match="no two independent samples"):
        mixed_votes(first, written(tmp_path, "single", {"a": ["1"]}), "tokens")
