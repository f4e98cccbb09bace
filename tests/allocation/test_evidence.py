"""Evidence by hand, and the regression on answers whose worth is known."""

import numpy as np
import pytest

from tts.allocation.evidence import (
    NUM_MEASURES,
    AnswerModel,
    fit_answers,
    gather,
    gather_along,
    measures,
)
from tts.errors import InputError


def test_evidence_by_hand() -> None:
    found = gather([0, 1, 0, -1], [0.5, 0.9, 0.25, 0.0])
    assert found.votes.tolist() == [2, 1]
    assert found.total.tolist() == pytest.approx([0.75, 0.9])
    assert found.best.tolist() == pytest.approx([0.5, 0.9])
    assert found.num_samples == 4
    first = measures(found)[0]
    expected = [1, 2 / 4, np.log(3), 2 / 4 * np.log(4), 0.75 / 1.65, 0.5, 0.375, 0.25, np.log(4)]
    # Summed scores .75, best .5, and .9 of the other answer.
    expected += [np.log(0.75), 0.0, np.log(0.9)]
    assert first.tolist() == pytest.approx(expected)
    second = measures(found)[1]
    assert second[-3:].tolist() == pytest.approx([np.log(0.9), np.log(0.9 / 0.1), np.log(0.75)])


def test_evidence_along_orders_is_that_of_each_beginning() -> None:
    classes, scores = [0, 1, 1, -1], [0.1, 0.8, 0.6, 0.0]
    orders = np.array([[0, 1, 2, 3], [3, 2, 1, 0]])
    found = gather_along(classes, scores, orders, (1, 3))
    for i, order in enumerate(orders):
        for j, size in enumerate((1, 3)):
            drawn = order[:size]
            alone = gather([classes[k] for k in drawn], [scores[k] for k in drawn])
            width = len(alone.votes)
            assert found.votes[i, j, :width].tolist() == alone.votes.tolist()
            assert found.best[i, j, :width].tolist() == pytest.approx(alone.best.tolist())


def test_no_samples_and_no_answers_have_no_chance() -> None:
    for classes in ([], [-1, -1]):
        assert AnswerModel().chances(gather(classes)).tolist() == [0.0]


def test_without_a_fit_more_votes_have_the_better_chance() -> None:
    chances = AnswerModel().chances(gather([0, 0, 0, 1]))
    assert chances[0] > 0.5 > chances[1]


def test_the_rule_is_the_one_that_the_samples_speak_for() -> None:
    # Half of the problems are settled by agreement and scored by chance; in the other half no two
    # samples agree and the score alone tells.
    rng = np.random.default_rng(0)
    seen = []
    for i in range(200):
        if i % 2:
            classes, right = rng.choice(3, 8, p=[0.6, 0.2, 0.2]), 0
            scores = rng.uniform(0.3, 0.7, 8)
        else:
            classes, right = np.arange(8), int(rng.integers(8))
            scores = np.where(classes == right, 0.95, rng.uniform(0.1, 0.6, 8))
        evidence = gather(classes.tolist(), scores.tolist())
        seen.append((evidence, np.arange(len(evidence.votes)) == right))
    model = fit_answers(seen)
    won = [int(model.chances(evidence).argmax()) for evidence, _ in seen]
    hits = [bool(right[place]) for place, (_, right) in zip(won, seen, strict=True)]
    assert np.mean(hits[0::2]) > 0.95 and np.mean(hits[1::2]) > 0.85
    best = np.array([model.chances(evidence).max() for evidence, _ in seen])
    assert best.mean() == pytest.approx(np.mean(hits), abs=0.12)  # chances are calibrated


@pytest.mark.parametrize(("classes", "scores"), [([0, 1], [0.5]), ([0], [1.5]), ([0], [-0.1])])
def test_scores_that_are_none_are_refused(classes: list[int], scores: list[float]) -> None:
    with pytest.raises(InputError, match=r"a score in \[0, 1\]"):
        gather(classes, scores)


def test_nothing_to_learn_from_is_refused() -> None:
    with pytest.raises(InputError, match="no calibration problem"):
        fit_answers([(gather([-1, -1]), np.array([False]))])
    with pytest.raises(InputError, match=f"has {NUM_MEASURES} weights"):
        AnswerModel((1.0,))
