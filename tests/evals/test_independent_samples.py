"""The samples of finished problems: drafts alone, and their classes, votes and scores."""

from dataclasses import replace

import pytest

from tts.evals.independent_samples import (
    answer_classes,
    answered,
    best_at,
    common_verifiers,
    fewest_samples,
    maj_at,
    missing_scores,
    pass_at,
    powers_of_two,
    right_classes,
    shares,
)
from tts.evals.records import Record, Sample
from tts.types import Usage

# Answers 5, 5, 7, none; a revision of the third says 7, once more and right.
SAMPLES = (
    Sample("5", 0, False, 10, {"prm": 0.2, "length": 31.0}),
    Sample("5", 0, False, 10, {"prm": 0.4, "length": 2.0}),
    Sample("7", 1, True, 10, {"prm": 0.9, "judge": 1.0}),
    Sample(None, None, False, 10),
    Sample("7", 1, True, 10, {}, is_independent=False),
)
RECORD = Record("p", 0, "7", True, Usage(), 1.0, "", SAMPLES, False)


@pytest.mark.parametrize(
    ("most", "expected"), [(0, []), (1, [1]), (2, [1, 2]), (7, [1, 2, 4]), (8, [1, 2, 4, 8])]
)
def test_powers_of_two(most: int, expected: list[int]) -> None:
    assert powers_of_two(most) == expected


def test_samples_are_what_was_drawn_in_view_of_no_other() -> None:
    assert fewest_samples([RECORD]) == 4
    assert fewest_samples([RECORD, replace(RECORD, samples=SAMPLES[:3])]) == 3
    assert fewest_samples([RECORD, replace(RECORD, is_cut=True)]) == fewest_samples([]) == 0


def test_what_k_samples_are_worth_by_hand() -> None:
    assert answer_classes(RECORD) == [0, 0, 1, None] and set(right_classes(RECORD)) == {1}
    assert pass_at(RECORD, 2) == pytest.approx(1 / 2)  # 3 of 6 pairs hold the right one
    # Pairs 5-5, 5-7 twice, 5-none twice, 7-none: half of the two ties, and the last.
    assert maj_at(RECORD, 2) == pytest.approx((2 * 0.5 + 1) / 6)
    # It has the best score, so each pair that holds it is right.
    assert best_at(RECORD, "prm", 2) == pytest.approx(1 / 2)


def test_scores_that_are_no_shares_count_nothing() -> None:
    assert shares(RECORD, "prm") == [0.2, 0.4, 0.9, 0.0]
    assert shares(RECORD, "length") == [0.0] * 4
    assert common_verifiers([RECORD]) == ["prm"]  # the judge left two out
    assert missing_scores(answered([RECORD])) == {"judge": 2, "length": 3, "prm": 0}  # of three
    assert common_verifiers([]) == []
