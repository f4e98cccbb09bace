"""`auto` beside fixed strategies, by hand."""

import numpy as np
import pytest

from tts.bench.auto_figures import (
    Curve,
    at_equal_tokens,
    at_plateau,
    auto_curve,
    fixed_curves,
    oracle_curve,
    to_mapping,
)
from tts.errors import InputError
from tts.evals.records import Record, Sample
from tts.types import Usage


def record(
    name: str, *drawn: tuple[int, bool, float], correct: bool = True, tokens: int = 0
) -> Record:
    samples = tuple(
        Sample(str(index), index, is_right, 10, {"prm": score}) for index, is_right, score in drawn
    )
    usage = Usage(generated_tokens=tokens or 10 * len(samples), calls=len(samples))
    return Record(name, 0, "a", correct, usage, 1.0, "", samples, False)


# Two wrong samples that agree against a right one of high score.
SPLIT = record("p", (0, False, 0.1), (0, False, 0.2), (1, True, 0.9), (2, False, 0.1))


def test_fixed_strategies_from_one_run() -> None:
    voting, best, weighted = fixed_curves([SPLIT], "prm")
    assert voting.tokens == (10, 20, 40)
    # One of four is right; of all four, two agree on a wrong one.
    assert voting.accuracy == pytest.approx((0.25, voting.accuracy[1], 0.0))
    # The right one has the best score: in half of the pairs, and always among four.
    assert best.accuracy == pytest.approx((0.25, 0.5, 1.0))
    assert weighted.accuracy[-1] == 1.0  # 0.9 against 0.3
    assert oracle_curve([SPLIT]).accuracy == pytest.approx((0.25, 0.5, 1.0))


def test_at_the_plateau_auto_needs_less() -> None:
    fixed = Curve("best_of_n", (10.0, 20.0, 40.0), np.array([[0, 0], [1, 0], [1, 1]], dtype=float))
    auto = auto_curve(
        [
            [record("p", tokens=20), record("q", tokens=20)],
            [record("p", tokens=5), record("q", correct=False, tokens=5)],
        ]
    )
    assert auto.tokens == (5, 20) and auto.accuracy == (0.5, 1.0)
    found = at_plateau(fixed, auto)
    assert (found.num_samples, found.tokens, found.accuracy) == (4, 40.0, 1.0)
    assert found.needed == pytest.approx(20.0) and found.ratio == pytest.approx(0.5)
    assert found.low <= found.ratio <= found.high
    at_five, at_twenty = at_equal_tokens([fixed], auto)
    assert at_five.fixed_accuracy == 0.0 and at_five.accuracy == 0.5  # the curve's first point
    assert at_twenty.difference.mean == pytest.approx(0.5)


def test_never_as_right_is_said() -> None:
    fixed = Curve("best_of_n", (10.0,), np.ones((1, 2)))
    auto = auto_curve([[record("p", tokens=5), record("q", correct=False, tokens=5)]])
    assert at_plateau(fixed, auto).needed is None
    assert to_mapping(at_plateau(fixed, auto))["ratio"] is None


def test_cut_runs_are_refused() -> None:
    cut = Record("p", 0, None, False, Usage(), 1.0, "", SPLIT.samples, True)
    with pytest.raises(InputError, match="whole samples"):
        fixed_curves([cut], "prm")
