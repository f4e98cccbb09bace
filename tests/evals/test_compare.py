"""Comparing at equal cost, by hand; runs that do not compare say so."""

from dataclasses import replace
from typing import Any

import pytest

from tests.evals.test_report import record, stored
from tts.errors import InputError
from tts.evals.compare import compare
from tts.types import Usage


def spending(problem_id: str, mark: str, tokens: int | None) -> Any:
    usage = Usage(generated_tokens=tokens, calls=2)
    return replace(record(problem_id, mark), usage=usage)


def test_voting_over_the_first_run_at_what_the_second_spent() -> None:
    # Of rra: maj@1 = 2/3, maj@3 = 1, maj@2 = (rr 1, ra 1/2, ra 1/2) / 3 = 2/3; 10 tokens a sample.
    first = stored(record("p", "rra"), record("q", "aaa"))
    second = stored(spending("p", "r", 20), spending("q", "r", 10))
    figures = compare(first, second)["equal_cost"]
    assert (figures["unit"], figures["cost"]) == ("tokens", 15)
    # Between 10 and 20 tokens the curve is level at 2/3 for p, 0 for q.
    assert figures["accuracy"] == pytest.approx([1 / 3, 1.0])
    assert figures["difference"] == pytest.approx(2 / 3)
    assert figures["cost_of_same_accuracy"] is None and figures["ratio"] is None


def test_the_cost_of_the_same_accuracy() -> None:
    first = stored(record("p", "rra"), record("q", "rrr"))
    second = stored(spending("p", "r", 12), spending("q", "r", 12))
    figures = compare(first, second)["equal_cost"]
    # All right at k = 3, 30 tokens, and not before: 12 / 30.
    assert figures["cost_of_same_accuracy"] == pytest.approx(30)
    assert figures["ratio"] == pytest.approx(0.4)
    low, high = figures["ratio_ci95"]
    assert low <= 0.4 <= high


def test_samples_are_the_cost_where_tokens_were_not_counted() -> None:
    first = stored(record("p", "rraa"))
    figures = compare(first, stored(spending("p", "r", None)))
    assert figures["tokens_per_problem"] == [40, None]
    assert (figures["equal_cost"]["unit"], figures["equal_cost"]["cost"]) == ("samples", 2)


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        (record("p", "r"), record("p", "rr"), "no two whole samples"),
        (record("p", "rr", is_cut=True), record("p", "r"), "no two whole samples"),
        (record("p", "rr"), record("p", "rrr"), "known from 10.0 to 20.0"),
    ],
)
def test_without_a_curve_there_is_a_reason(first: Any, second: Any, reason: str) -> None:
    assert reason in compare(stored(first), stored(second))["equal_cost"]["reason"]


def test_other_problems_under_the_same_ids_are_refused() -> None:
    same = {"problems": 1}
    first = stored(record("p", "r"), problems_digest="a", **same)
    with pytest.raises(InputError, match="differ in statement or reference"):
        compare(first, stored(record("p", "r"), problems_digest="b", **same))
    compare(first, stored(record("p", "r"), problems_digest="a", **same))


def test_what_else_differs_is_noted() -> None:
    first = replace(stored(record("p", "r")), versions={"math-verify": "0.8"})
    second = replace(stored(record("p", "r"), model="n"), versions={"math-verify": "0.9"})
    assert compare(first, second)["notes"] == [
        "other model: m and n",
        "graded by other versions of math-verify: 0.8 and 0.9",
    ]
