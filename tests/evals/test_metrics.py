"""Every figure against a hand-worked value, and against counting all subsets."""

import math
from collections import Counter
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts.evals import metrics
from tts.evals.metrics import (
    best_of_k,
    bootstrap_interval,
    largest_of_k,
    maj_at_k,
    paired_bootstrap,
    pass_at_k,
    wilson_interval,
)

CLASSES = st.lists(st.one_of(st.none(), st.integers(0, 3)), min_size=1, max_size=8)


@pytest.mark.parametrize(
    ("num_samples", "num_correct", "k", "expected"),
    [
        (4, 1, 2, 0.5),  # 1 - C(3,2)/C(4,2) = 1 - 3/6
        (4, 0, 3, 0.0),
        (4, 2, 3, 1.0),  # only two are wrong, so any three hold a right one
        (10, 3, 1, 0.3),  # pass@1 is the share of correct samples
        (5, 5, 5, 1.0),
        (2000, 1, 1000, 0.5),  # 1 - C(1999,1000)/C(2000,1000) = 1 - 1000/2000
    ],
)
def test_pass_at_k(num_samples: int, num_correct: int, k: int, expected: float) -> None:
    assert pass_at_k(num_samples, num_correct, k) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("num_samples", "num_correct", "k", "message"),
    [
        (3, 1, 4, "pass@4 needs at least 4 samples, got 3"),
        (0, 0, 1, "got 0"),
        (3, 1, 0, "at least 1"),
        (3, 4, 1, "4 of 3 samples cannot be correct"),
    ],
)
def test_pass_at_k_refuses(num_samples: int, num_correct: int, k: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pass_at_k(num_samples, num_correct, k)


@given(data=st.data(), num_samples=st.integers(1, 60))
def test_pass_at_k_grows_with_k(data: st.DataObject, num_samples: int) -> None:
    num_correct = data.draw(st.integers(0, num_samples))
    values = [pass_at_k(num_samples, num_correct, k) for k in range(1, num_samples + 1)]
    assert values == sorted(values)
    assert values[-1] == float(num_correct > 0)


@pytest.mark.parametrize(
    ("classes", "k", "expected"),
    [
        ([0, 0, 1], 1, 2 / 3),  # one vote: the share of correct samples
        ([0, 0, 1], 2, 2 / 3),  # {0,0} wins; {0,1} twice, a tie: (1 + 2 * 1/2) / 3
        ([0, 0, 1], 3, 1.0),  # 2 votes to 1
        ([0, 1, 1], 3, 0.0),
        ([0, 1, 2], 3, 1 / 3),  # a tie of three
        ([0, None], 1, 1 / 2),  # the missing answer alone is wrong
        ([0, None], 2, 1.0),  # and beside another does not vote
        ([None, None], 1, 0.0),
        ([1, 1], 2, 0.0),  # no sample is correct
    ],
)
def test_maj_at_k(classes: list[int | None], k: int, expected: float) -> None:
    assert maj_at_k(classes, {0}, k) == pytest.approx(expected)


def _vote_by_hand(classes: list[int | None], correct: set[int], k: int) -> float:
    shares = []
    for subset in combinations(classes, k):
        votes = Counter(index for index in subset if index is not None)
        leaders = [index for index in votes if votes[index] == max(votes.values())]
        shares.append(sum(index in correct for index in leaders) / max(1, len(leaders)))
    return sum(shares) / len(shares)


@given(data=st.data(), classes=CLASSES, correct=st.sets(st.integers(0, 3), max_size=2))
def test_maj_at_k_is_the_mean_over_all_subsets(
    data: st.DataObject, classes: list[int | None], correct: set[int]
) -> None:
    k = data.draw(st.integers(1, len(classes)))
    expected = _vote_by_hand(classes, correct, k)
    assert maj_at_k(classes, correct, k) == pytest.approx(expected, abs=1e-12)
    shuffled = data.draw(st.permutations(classes))
    assert maj_at_k(shuffled, correct, k) == pytest.approx(expected, abs=1e-12)


def test_drawn_votes_agree_with_counted_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    classes = [0] * 12 + [1] * 14 + [2] * 8 + [None] * 6
    exact = maj_at_k(classes, {0}, 16)
    monkeypatch.setattr(metrics, "_MAX_EXACT_VOTE", 0)
    drawn = maj_at_k(classes, {0}, 16, seed=3)
    assert drawn == maj_at_k(classes, {0}, 16, seed=3)
    # The standard error of 10,000 draws of a value in [0, 1] is at most 0.005; four of them.
    assert drawn != exact
    assert drawn == pytest.approx(exact, abs=0.02)


def test_maj_at_k_of_many_samples_is_drawn_and_quick() -> None:
    classes = [index % 7 for index in range(700)]
    # Seven classes of equal size: each wins a seventh of the draws.
    assert maj_at_k(classes, {0}, 64) == pytest.approx(1 / 7, abs=0.02)


def test_maj_at_k_refuses_more_than_there_are() -> None:
    with pytest.raises(ValueError, match="maj@3 needs at least 3 samples, got 2"):
        maj_at_k([0, 1], {0}, 3)


@pytest.mark.parametrize(
    ("scores", "correct", "k", "expected"),
    [
        # Best first: right, wrong, right. k = 2: the best of {1,2}, {1,3} is 1, of {2,3} is 2.
        ([3.0, 2.0, 1.0], [True, False, True], 2, 2 / 3),
        ([3.0, 2.0, 1.0], [True, False, True], 1, 2 / 3),  # the share of correct samples
        ([3.0, 2.0, 1.0], [True, False, True], 3, 1.0),  # the best of all
        ([1.0, 1.0, 1.0], [True, False, False], 2, 1 / 3),  # no information: as if k = 1
        # {a,b} ties 1/2, {a,c} right, {b,c} wrong: a and b score 2, c scores 1.
        ([2.0, 2.0, 1.0], [True, False, False], 2, (0.5 + 1 + 0) / 3),
        ([None, 0.0], [True, False], 2, 0.0),  # without a score it ranks last
        ([None, None], [True, False], 2, 0.5),
    ],
)
def test_best_of_k(
    scores: list[float | None], correct: list[bool], k: int, expected: float
) -> None:
    assert best_of_k(scores, correct, k) == pytest.approx(expected)


@given(
    data=st.data(),
    marks=st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=8),
)
def test_best_of_k_is_the_mean_over_all_subsets(
    data: st.DataObject, marks: list[tuple[int, bool]]
) -> None:
    k = data.draw(st.integers(1, len(marks)))
    shares = []
    for subset in combinations(marks, k):
        best = [mark for score, mark in subset if score == max(score for score, _ in subset)]
        shares.append(sum(best) / len(best))
    scores, correct = zip(*marks, strict=True)
    assert best_of_k(scores, correct, k) == pytest.approx(sum(shares) / len(shares))


@given(marks=st.lists(st.booleans(), min_size=1, max_size=40), data=st.data())
def test_a_perfect_verifier_reaches_pass_at_k(marks: list[bool], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(marks)))
    perfect = best_of_k([float(mark) for mark in marks], marks, k)
    assert perfect == pytest.approx(pass_at_k(len(marks), sum(marks), k))


@pytest.mark.parametrize(
    ("scores", "correct", "k", "message"),
    [
        ([1.0], [True, False], 1, "1 scores for 2 samples"),
        ([math.nan], [True], 1, "not a number"),
        ([], [], 1, "got 0"),
    ],
)
def test_best_of_k_refuses(
    scores: list[float | None], correct: list[bool], k: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        best_of_k(scores, correct, k)


def test_wilson_interval() -> None:
    # p = 0.5, n = 100, z = 1.96, z^2 = 3.8415: middle (0.5 + 0.019207) / 1.038415 = 0.5 and half
    # 1.96 * sqrt(0.0025 + 0.000096037) / 1.038415 = 0.096169.
    assert wilson_interval(50, 100) == pytest.approx((0.403832, 0.596168), abs=1e-6)
    # p = 0: high = z^2/n / (1 + z^2/n) = 0.38415 / 1.38415.
    assert wilson_interval(0, 10) == pytest.approx((0.0, 0.277533), abs=1e-6)
    assert wilson_interval(10, 10) == pytest.approx((0.722467, 1.0), abs=1e-6)
    assert wilson_interval(0, 0) == (0.0, 1.0)  # nothing is known
    with pytest.raises(ValueError, match="3 of 2"):
        wilson_interval(3, 2)


@given(total=st.integers(1, 10_000), data=st.data())
def test_wilson_interval_holds_the_share(total: int, data: st.DataObject) -> None:
    correct = data.draw(st.integers(0, total))
    low, high = wilson_interval(correct, total)
    assert 0 <= low <= correct / total <= high <= 1


def test_bootstrap_interval() -> None:
    # The resampled mean of 50 zeros and 50 ones is binomial(100, 1/2) / 100: standard deviation
    # 0.05; its 2.5 % and 97.5 % quantiles are 0.40 and 0.60.
    low, high = bootstrap_interval([0.0, 1.0] * 50, seed=0)
    assert (low, high) == pytest.approx((0.40, 0.60), abs=0.011)
    assert (low, high) == bootstrap_interval([0.0, 1.0] * 50, seed=0)
    assert bootstrap_interval([0.7], seed=0) == (0.7, 0.7)
    with pytest.raises(ValueError, match="at least one value"):
        bootstrap_interval([], seed=0)


def test_bootstrap_in_chunks_is_as_wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_CHUNK_ELEMENTS", 1_000)  # ten resamples at once
    low, high = bootstrap_interval([0.0, 1.0] * 50, seed=0)
    assert (low, high) == pytest.approx((0.40, 0.60), abs=0.011)


def test_paired_bootstrap() -> None:
    # Two problems in ten are gained: differences 1, 1 and eight zeros, mean 0.2. The resampled
    # mean is binomial(10, 0.2) / 10: P(0) = 0.107 > 0.025, so the lower bound is 0;
    # P(X <= 4) = 0.967 and P(X <= 5) = 0.994, so the upper one is 0.5.
    first = [0.0, 0.0, *[1.0] * 4, *[0.0] * 4]
    second = [1.0, 1.0, *[1.0] * 4, *[0.0] * 4]
    assert paired_bootstrap(first, second, seed=0) == pytest.approx((0.2, 0.0, 0.5))
    assert paired_bootstrap(second, first, seed=0) == pytest.approx((-0.2, -0.5, 0.0))
    assert paired_bootstrap(first, first, seed=0) == (0.0, 0.0, 0.0)
    with pytest.raises(ValueError, match="10 and 1 values cannot be paired"):
        paired_bootstrap(first, [1.0], seed=0)


def test_the_largest_of_k() -> None:
    # Of 1, 2 and 4: the pairs' largest are 2, 4 and 4.
    assert largest_of_k([4, 1, 2], 2) == pytest.approx(10 / 3)
    assert largest_of_k([4, 1, 2], 1) == pytest.approx(7 / 3)
    assert largest_of_k([4, 1, 2], 3) == 4
    with pytest.raises(ValueError, match="at least 4 samples"):
        largest_of_k([4, 1, 2], 4)
