"""Comparing at equal cost, by hand; runs that do not compare say so."""

import math
from dataclasses import replace
from typing import Any

import pytest

from tests.evals.test_report import record, stored
from tts.errors import InputError
from tts.evals.compare import compare
from tts.types import Usage
from tts.types.figures import Unit


def spending(problem_id: str, mark: str, tokens: int | None) -> Any:
    usage = Usage(generated_tokens=tokens, calls=2)
    return replace(record(problem_id, mark), usage=usage)


def test_voting_over_the_first_run_at_what_the_second_spent() -> None:
    # Of rra: maj@1 = 2/3, maj@3 = 1, maj@2 = (rr 1, ra 1/2, ra 1/2) / 3 = 2/3; 10 tokens a sample.
    first = stored(record("p", "rra"), record("q", "aaa"))
    second = stored(spending("p", "r", 20), spending("q", "r", 10))
    figures = compare(first, second)
    equal = figures.equal_cost
    assert equal is not None and (figures.unit, equal.cost, figures.reason) == ("tokens", 15, "")
    # Between 10 and 20 tokens the curve is level at 2/3 for p, 0 for q.
    assert equal.accuracy == pytest.approx((1 / 3, 1.0))
    assert equal.difference.mean == pytest.approx(2 / 3)
    assert equal.cost_of_same_accuracy is None and equal.ratio is None


def test_the_cost_of_the_same_accuracy() -> None:
    first = stored(record("p", "rra"), record("q", "rrr"))
    second = stored(spending("p", "r", 12), spending("q", "r", 12))
    equal = compare(first, second).equal_cost
    assert equal is not None
    # All right at k = 3, 30 tokens, and not before: 12 / 30.
    assert equal.cost_of_same_accuracy == pytest.approx(30)
    assert equal.ratio == pytest.approx(0.4)
    assert equal.ratio_interval.low <= 0.4 <= equal.ratio_interval.high


def test_samples_are_the_cost_where_tokens_were_not_counted() -> None:
    figures = compare(stored(record("p", "rraa")), stored(spending("p", "r", None)))
    assert (figures.unit, figures.cost) == ("calls", (4, 2))
    assert figures.equal_cost is not None and figures.equal_cost.cost == 2


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        (record("p", "r"), record("p", "rr"), "no two independent samples"),
        (record("p", "rr", is_cut=True), record("p", "r"), "a rule decided how many samples"),
        (record("p", "rr"), record("p", "rrr"), "known from 10 to 20"),
    ],
)
def test_without_a_curve_there_is_a_reason(first: Any, second: Any, reason: str) -> None:
    figures = compare(stored(first), stored(second))
    assert figures.equal_cost is None and reason in figures.reason


def test_a_run_that_stopped_by_a_rule_gives_no_difference_to_one_with_the_same_samples() -> None:
    # Both drew r first of each problem; where the rule went on, its second sample was wrong.
    stopped = stored(record("p", "r", is_cut=True), record("q", "ra", is_cut=True))
    plain = stored(record("p", "r"), record("q", "r"))
    assert compare(stopped, plain).equal_cost is None
    assert compare(plain, stopped).equal_cost is None


@pytest.mark.parametrize(
    ("unit", "cost"),
    [("flops", (40.0, 6.0)), ("eflops", (40 + 562.5 * 8, 6 + 562.5 * 2)), ("sequential", (10, 20))],
)
def test_a_unit_may_be_chosen(unit: Unit, cost: tuple[float, float]) -> None:
    usage = Usage(generated_tokens=40, calls=4, flops=40.0, kv_bytes=8)
    other = replace(usage, flops=6.0, kv_bytes=2)
    first = replace(record("p", "rraa"), usage=usage, sequential_tokens=10)
    second = replace(record("p", "r"), usage=other, sequential_tokens=20)
    figures = compare(stored(first), stored(second), unit=unit)
    assert figures.unit == unit
    assert figures.cost == pytest.approx(cost)


def test_samples_drawn_at_once_take_as_long_as_the_longest_of_them() -> None:
    # Of 10, 20 and 60 tokens: one of them 30 in the mean, the longest of two 20, 60 or 60, of all
    # three 60. maj@1 = 2/3, maj@2 = (1 + 1/2 + 1/2) / 3 = 2/3, maj@3 = 1.
    drawn = record("p", "rra")
    tokens = zip(drawn.samples, (10, 20, 60), strict=True)
    samples = tuple(replace(sample, tokens=number) for sample, number in tokens)
    first = stored(replace(drawn, samples=samples, sequential_tokens=60))
    second = stored(replace(record("p", "r"), sequential_tokens=50))
    equal = compare(first, second, unit="sequential").equal_cost
    assert equal is not None
    # Voting is as right as the second run with all three, after 60 tokens.
    assert equal.cost_of_same_accuracy == pytest.approx(60)
    at = (math.log(50) - math.log(140 / 3)) / (math.log(60) - math.log(140 / 3))
    assert equal.accuracy[0] == pytest.approx(2 / 3 + at / 3)


def test_a_cost_that_is_not_known_says_why() -> None:
    figures = compare(stored(record("p", "rr")), stored(record("p", "r")), unit="usd")
    assert figures.cost == (None, None)
    assert "usd are not known: no price is known; say a server's" in figures.reason


def test_models_that_differ_are_compared_in_eflops() -> None:
    usage = Usage(generated_tokens=10, calls=1, flops=5.0, kv_bytes=2)
    one = stored(replace(record("p", "r"), usage=usage), fingerprint="a")
    other = stored(replace(record("p", "r"), usage=usage), fingerprint="b")
    assert compare(one, other).unit == "eflops"
    assert compare(one, one).unit == "tokens"
    bare = stored(record("p", "r"), fingerprint="b")  # its FLOPs are known, 0, and so no measure
    assert compare(bare, replace(bare, config={**bare.config, "model": "n"})).unit == "tokens"


def test_an_unfinished_run_is_compared_on_what_both_have_with_a_warning() -> None:
    whole = stored(*(record(name, "r", repeat=i) for name in "pqs" for i in (0, 1)), repeats=2)
    half = stored(record("p", "a"), record("q", "r", repeat=1), problems=3, repeats=2)
    figures = compare(whole, half)
    # p and q, and of each only the repeat that both have: 1 against 0, 1 against 1.
    assert (figures.problems, figures.accuracy) == (2, (1.0, 0.5))
    assert figures.calls == (1, 1)
    assert any("unfinished, 2 of 6: easy problems finish first" in n for n in figures.notes)


def test_other_problems_under_the_same_ids_are_refused() -> None:
    first = stored(record("p", "r"), problems_digest="a")
    with pytest.raises(InputError, match="differ in statement or reference"):
        compare(first, stored(record("p", "r"), problems_digest="b"))
    compare(first, stored(record("p", "r"), problems_digest="a"))


def test_what_else_differs_is_noted() -> None:
    first = replace(stored(record("p", "r")), versions={"math-verify": "0.8"})
    second = replace(stored(record("p", "r"), model="n"), versions={"math-verify": "0.9"})
    assert compare(first, second).notes == (
        "other model: m and n",
        "graded by other versions of math-verify: 0.8 and 0.9",
    )


def scored(problem_id: str, marks: str, values: tuple[float, ...]) -> Any:
    plain = record(problem_id, marks)
    pairs = zip(plain.samples, values, strict=True)
    return replace(plain, samples=tuple(replace(s, scores={"tests": v}) for s, v in pairs))


def test_choosing_by_scores_stands_in_for_voting_where_it_is_asked_for() -> None:
    # The right one of aar scores highest: best of 1 = 1/3, of 2 = 2/3, of 3 = 1; the vote has a.
    first = stored(scored("p", "aar", (0.0, 0.5, 1.0)))
    second = stored(spending("p", "a", 20))
    by_scores, by_votes = (compare(first, second, by=by).equal_cost for by in ("tests", None))
    assert by_scores is not None and by_votes is not None
    assert by_scores.accuracy == pytest.approx((2 / 3, 0.0))
    assert by_votes.accuracy == pytest.approx((1 / 3, 0.0))
    with pytest.raises(InputError, match=r"'prm' has scored none of its samples.*: 'tests'"):
        compare(first, second, by="prm")
    with pytest.raises(InputError, match="verifiers that have: none"):
        compare(second, first, by="prm")
