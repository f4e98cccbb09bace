"""The laws read off a run's own samples."""

import random

import pytest

from tts.cli._laws import law_lines
from tts.evals.laws.coverage import laws_of
from tts.evals.records import Record, Sample
from tts.types import Usage


def record(
    name: str,
    marks: str,
    scores: tuple[float, ...] = (),
    *,
    revisions: str = "",
    is_cut: bool = False,
) -> Record:
    """One sample a letter: r is right, any other a wrong answer of its own."""
    samples = tuple(
        Sample(mark, ord(mark), mark == "r", 10, {"prm": scores[i]} if scores else {})
        for i, mark in enumerate(marks)
    )
    samples += tuple(Sample(m, ord(m), m == "r", 10, is_independent=False) for m in revisions)
    return Record(name, 0, "a", True, Usage(), 1.0, "", samples, is_cut)


def test_what_laws_say_of_runs_of_the_same_samples_is_said_once() -> None:
    same = [record(str(i), ("r" if i % 2 else "a") * 8) for i in range(8)]
    other = [record(str(i), ("r" if i % 2 else "a") * 7 + "b") for i in range(8)]
    lines = list(law_lines([("vote", same), ("best", same), ("other", other)]))
    assert [line for line in lines if line.startswith("vote, best: the beta-binomial law")]
    assert [line for line in lines if line.startswith("other: the beta-binomial law")]
    assert len(lines) == len(set(lines))


def test_laws_are_judged_by_what_they_were_not_fitted_to() -> None:
    # Half of the problems are always right, half never: two samples tell as much as eight.
    laws = laws_of([record(str(i), ("r" if i % 2 else "a") * 8) for i in range(8)])
    assert laws is not None and laws.further_k == 32
    coverage, passed, voted = laws.held_out
    assert (coverage.law, passed.law, voted.law) == ("beta-binomial", "TTSPM", "TTSPM")
    assert (passed.figure, voted.figure) == ("pass", "maj")
    for held_out in laws.held_out:
        assert (held_out.fitted, held_out.k, held_out.measured) == (2, 8, 0.5)
        assert held_out.predicted == pytest.approx(0.5, abs=0.02)
        assert held_out.error == held_out.predicted - 0.5
    assert laws.further is not None and laws.further.value == pytest.approx(0.5, abs=0.02)
    assert laws.ceilings == ()


def test_a_law_that_misses_says_nothing_of_what_comes_after() -> None:
    # Right samples come last, so that the first two promise nothing: p is right once in two.
    laws = laws_of([record("p", "raaaaaaa"), *(record(n, "aaarrrrr") for n in "qstuv")])
    assert laws is not None
    coverage, passed, _ = laws.held_out
    # Any eight samples of a problem hold a right one.
    assert coverage.measured == passed.measured == 1.0
    assert coverage.error < -0.05 and coverage.enough is None and laws.further is None
    assert passed.error < -0.05


def test_one_rate_for_mixed_problems_gives_no_plateau() -> None:
    rng = random.Random(0)
    chances = [((i + 0.5) / 200) ** 2 for i in range(200)]  # Beta(1/2, 1)
    records = [
        record(str(i), "".join(rng.choices("rabcd", [4 * p, *[1 - p] * 4], k=32)))
        for i, p in enumerate(chances)
    ]
    laws = laws_of(records)
    assert laws is not None
    coverage, passed, voted = laws.held_out
    assert abs(coverage.error) < 0.05 < -passed.error
    assert passed.enough is voted.enough is None and coverage.enough is not None


def test_a_verifier_caps_what_resampling_reaches() -> None:
    first = record("p", "rrab" * 2, (0.9, 0.8, 0.7, 0.1) * 2)  # passes 3 of 4, two of them right
    second = record("q", "abcd" * 2, (0.1, 0.1, 0.1, 0.9) * 2)  # passes a wrong one
    laws = laws_of([first, second])
    assert laws is not None
    (ceiling,) = laws.ceilings
    assert ceiling.verifier == "prm"
    assert ceiling.accuracy == pytest.approx((2 / 3 + 0) / 2)
    # Rewards: 1/3 (1 - 1/4 ** n) for p, -(1 - 3/4 ** n) for q: even one sample nets 0.
    assert ceiling.best_n == 0


def test_what_scores_beyond_one_somewhere_accepts_at_no_share() -> None:
    # Counts of tests and attempts that agree: of q all are 0, which alone would look like shares.
    counted = [
        record("p", "rrab" * 2, (12.0, 12.0, 2.0, 0.0) * 2),
        record("q", "a" * 8, (0.0,) * 8),
    ]
    laws = laws_of(counted)
    assert laws is not None and laws.ceilings == ()


def test_revisions_are_no_further_samples() -> None:
    plain = [record("p", "rrabrrab"), record("q", "abcdabcd")]
    revised = [record("p", "rrabrrab", revisions="rrrr"), record("q", "abcdabcd", revisions="r")]
    assert laws_of(revised) == laws_of(plain) is not None
    assert laws_of([record("p", "rrrr", revisions="rrrr")]) is None


def test_one_sided_runs_are_not_extrapolated_and_cut_ones_say_nothing() -> None:
    laws = laws_of([record("p", "r" * 8)])
    assert laws is not None and laws.further is None
    assert [held_out.law for held_out in laws.held_out] == ["TTSPM", "TTSPM"]
    assert laws_of([record("p", "r" * 8, is_cut=True)]) is None
    assert laws_of([record("p", "r" * 7)]) is None and laws_of([]) is None
