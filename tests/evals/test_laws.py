"""The laws read off a run's own samples."""

import pytest

from tts.evals.laws import laws_of
from tts.evals.run_store import Attempt, Record
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
    attempts = tuple(
        Attempt(mark, ord(mark), mark == "r", 10, {"prm": scores[i]} if scores else {})
        for i, mark in enumerate(marks)
    )
    attempts += tuple(Attempt(m, ord(m), m == "r", 10, is_draft=False) for m in revisions)
    return Record(name, 0, "a", True, Usage(), 1.0, "", attempts, is_cut)


def test_laws_of_a_run_by_hand() -> None:
    laws = laws_of([record("p", "rrrr"), record("q", "rabc"), record("s", "abcd")])
    assert laws is not None and laws.further_k == 16
    maj, passed = laws.saturating
    assert (maj.figure, passed.figure) == ("maj", "pass")
    # pass@1, 2, 4 are (1 + 1/4) / 3, (1 + 1/2) / 3, 2 / 3.
    assert passed.curve.ceiling == pytest.approx(0.7, abs=0.1)
    assert passed.enough > maj.enough >= 0
    assert laws.further is not None and laws.further.low <= laws.further.value <= laws.further.high
    assert laws.ceilings == ()


def test_a_verifier_caps_what_resampling_reaches() -> None:
    first = record("p", "rrab", (0.9, 0.8, 0.7, 0.1))  # passes 3 of 4, two of them right
    second = record("q", "abcd", (0.1, 0.1, 0.1, 0.9))  # passes a wrong one
    laws = laws_of([first, second])
    assert laws is not None
    (ceiling,) = laws.ceilings
    assert ceiling.verifier == "prm"
    assert ceiling.accuracy == pytest.approx((2 / 3 + 0) / 2)
    # Rewards: 1/3 (1 - 1/4 ** n) for p, -(1 - 3/4 ** n) for q: even one sample nets 0.
    assert ceiling.best_n == 0


def test_revisions_are_no_further_samples() -> None:
    drafts = [record("p", "rrab"), record("q", "abcd")]
    revised = [record("p", "rrab", revisions="rrrr"), record("q", "abcd", revisions="r")]
    assert laws_of(revised) == laws_of(drafts) is not None
    assert laws_of([record("p", "rr", revisions="rr")]) is None


def test_one_sided_runs_are_not_extrapolated_and_cut_ones_say_nothing() -> None:
    laws = laws_of([record("p", "rrrr")])
    assert laws is not None and laws.further is None
    assert laws_of([record("p", "rrrr", is_cut=True)]) is None
    assert laws_of([record("p", "rr")]) is None and laws_of([]) is None
