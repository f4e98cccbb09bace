"""What scores of samples are worth, worked out by hand."""

import math

import numpy as np
import pytest

from tts.evals.records import Record, Sample
from tts.evals.score_figures import ScoredSamples, progress_of_steps, score_figures
from tts.types import Usage

# Problem 0: right, wrong, wrong, where the wrong ones agree. Problem 1: wrong, right. Problem 2:
# wrong twice, once without an answer.
SAMPLES = ScoredSamples(
    problem=np.array([0, 0, 0, 1, 1, 2, 2]),
    answer_class=np.array([0, 1, 1, 0, 1, 0, -1]),
    is_right=np.array([True, False, False, False, True, False, False]),
    tokens=np.array([10.0, 20.0, 30.0, 10.0, 10.0, 5.0, 5.0]),
)
CHANCES = np.array([0.9, 0.5, 0.2, 0.4, 0.3, 0.1, 0.8])


def test_a_score_is_measured_within_problems_and_over_all() -> None:
    figures = score_figures(SAMPLES, CHANCES)
    # Of the pairs of one problem .9 beats .5 and .2, and .3 loses to .4.
    assert figures.auroc_within == pytest.approx(2 / 3)
    # Of all ten, .9 beats all five wrong ones, and .3 beats .2 and .1.
    assert figures.auroc == pytest.approx(7 / 10)
    assert figures.brier == pytest.approx(np.mean((CHANCES - SAMPLES.is_right) ** 2))
    assert figures.scored == 7
    # Resampled, problem 0 alone gives 1 and problem 1 alone gives 0.
    assert (figures.low, figures.high) == (0.0, 1.0)


def test_what_is_chosen_by_it_is_set_against_the_plain_vote() -> None:
    figures = score_figures(SAMPLES, CHANCES)
    plain = SAMPLES.votes(np.ones(7))
    assert plain.tolist() == [0.0, 0.5, 0.0]  # two agree and are wrong; a tie; none is right
    assert figures.weighted_vote is not None
    assert figures.weighted_vote.accuracy == pytest.approx(1 / 3)  # .9 outweighs .5 + .2
    assert figures.weighted_vote.gain == pytest.approx(1 / 3 - 0.5 / 3)
    assert figures.best.accuracy == pytest.approx(1 / 3)
    assert (SAMPLES.pass_at_1, SAMPLES.pass_at_n) == pytest.approx(((1 / 3 + 1 / 2) / 3, 2 / 3))


def test_scores_that_are_no_chances_have_no_brier_and_below_zero_no_weight() -> None:
    large = score_figures(SAMPLES, CHANCES * 20)
    assert large.brier is None and large.calibration_error is None
    assert large.weighted_vote is not None
    figures = score_figures(SAMPLES, -SAMPLES.tokens)
    assert figures.weighted_vote is None
    assert figures.auroc_within == pytest.approx(2.5 / 3)  # a tie counts half


def test_a_missing_score_neither_votes_nor_is_chosen() -> None:
    scores = CHANCES.copy()
    scores[0] = math.nan
    figures = score_figures(SAMPLES, scores)
    assert figures.scored == 6
    assert figures.weighted_vote is not None and figures.weighted_vote.accuracy == 0.0
    assert figures.best.accuracy == 0.0
    assert figures.auroc_within == 0.0  # .3 against .4 is the one pair that is left
    with pytest.raises(ValueError, match="no sample has a score"):
        score_figures(SAMPLES, np.full(7, math.nan))


def test_steps_are_worth_what_is_known_by_then() -> None:
    # The right one is behind after a half and ahead at the end; the other problem has no steps.
    steps = [(0.1, 0.9), (0.2, 0.3, 0.4, 0.5), None, None, None, None, None]
    quarter, half, most, end = progress_of_steps(SAMPLES, steps)
    assert (quarter.samples, half.samples, most.samples, end.samples) == (1, 2, 2, 2)
    assert math.isnan(quarter.auroc_within)
    assert (half.auroc_within, most.auroc_within, end.auroc_within) == (0.0, 0.0, 1.0)


def test_records_give_their_independent_samples() -> None:
    drawn = (Sample("1", 0, True, 7), Sample(None, None, False, None))
    revised = Sample("1", 0, True, 7, is_independent=False)
    record = Record("p", 0, "1", True, Usage(), 1.0, "", (*drawn, revised), False)
    samples = ScoredSamples.of_records([record, record])
    assert samples.problem.tolist() == [0, 0, 1, 1]
    assert samples.answer_class.tolist() == [0, -1, 0, -1]
    assert samples.tokens[0] == 7 and math.isnan(samples.tokens[1])
