"""Optimal stopping on paths made by hand."""

import numpy as np
import pytest

from tts.allocation.evidence import AnswerModel, gather
from tts.allocation.optimal_stopping import (
    NUM_FACTS,
    Paths,
    StoppingRule,
    fit_stopping,
    follow,
    standing,
)
from tts.errors import InputError


def paths(chance: list[list[float]], right: list[list[int]], repeat: int = 200) -> Paths:
    """Two or three steps of 1, 2 and 4 samples; each path many times, so that no prior counts."""
    p = np.repeat(np.array(chance), repeat, axis=0)
    facts = np.stack([np.ones_like(p), p, p**2, 0 * p, 0 * p, 0 * p], axis=-1)
    cost = np.broadcast_to(2.0 ** np.arange(p.shape[1]), p.shape)
    is_right = np.repeat(np.array(right, dtype=bool), repeat, axis=0)
    value = is_right.astype(float)
    return Paths(facts, is_right, value, cost, np.ones(len(p)), np.zeros_like(p))


def test_on_where_it_pays_and_no_further() -> None:
    # Sure problems are right at once, doubtful ones only after a second sample.
    found = paths([[0.9, 0.9], [0.4, 0.9]], [[1, 1], [0, 1]])
    rule = fit_stopping(found, (1, 2), price=0.1)
    outcome = follow(rule, found)
    assert outcome.is_right.all()
    assert outcome.cost.mean() == pytest.approx(1.5)  # 1 for the sure ones, 2 for the others
    dear = follow(fit_stopping(found, (1, 2), price=1.5), found)
    assert dear.cost.mean() == 1.0 and dear.is_right.mean() == 0.5


def test_a_step_counts_for_what_comes_after_it() -> None:
    # The second sample changes nothing, the fourth does: 1 gained for 3 more samples.
    found = paths([[0.4, 0.4, 0.9]], [[0, 0, 1]])
    assert follow(fit_stopping(found, (1, 2, 4), price=0.3), found).cost.mean() == 4.0
    assert follow(fit_stopping(found, (1, 2, 4), price=0.4), found).cost.mean() == 1.0


def test_what_an_answer_costs_beside_the_samples_counts() -> None:
    # Asking somebody else after the first sample costs 3, drawing another costs 1; both are right.
    found = paths([[0.4, 0.9]], [[1, 1]])
    extra = np.zeros_like(found.cost)
    extra[:, 0] = 3.0
    rule = fit_stopping(found._replace(extra=extra), (1, 2), price=0.1)
    assert follow(rule, found._replace(extra=extra)).cost.mean() == 2.0
    dear = follow(StoppingRule((1, 2), ((-1.0,) + (0.0,) * 5,)), found._replace(extra=extra))
    assert dear.cost.mean() == 4.0


def test_a_free_sample_is_drawn_unless_it_harms() -> None:
    better = paths([[0.5, 0.9]], [[0, 1]])
    worse = paths([[0.5, 0.9]], [[1, 0]])
    assert follow(fit_stopping(better, (1, 2), price=0.0), better).step.tolist() == [1] * 200
    assert follow(fit_stopping(worse, (1, 2), price=0.0), worse).step.tolist() == [0] * 200


def test_after_the_last_step_nothing_is_gained() -> None:
    rule = StoppingRule((1, 2), ((1.0,) + (0.0,) * 5,))
    assert rule.gain(0, np.ones(NUM_FACTS)) == 1.0
    assert rule.gain(1, np.ones(NUM_FACTS)) == -np.inf


@pytest.mark.parametrize(
    ("sizes", "weights"),
    [((2, 1), ((0.0,) * 6,)), ((), ()), ((0, 1), ((0.0,) * 6,)), ((1, 2), ()), ((1, 2), ((0.0,),))],
)
def test_what_is_no_rule_is_refused(
    sizes: tuple[int, ...], weights: tuple[tuple[float, ...], ...]
) -> None:
    with pytest.raises(InputError, match="stopping rule needs"):
        StoppingRule(sizes, weights)


def test_a_negative_price_is_refused() -> None:
    with pytest.raises(InputError, match="price"):
        fit_stopping(paths([[0.5, 0.9]], [[0, 1]]), (1, 2), price=-1.0)


def test_a_rule_goes_by_what_answers_are_taken_to_be_worth() -> None:
    # By chance the second sample gained nothing on the recorded paths; on others it will.
    found = paths([[0.5, 0.9]], [[1, 1]])
    assert follow(fit_stopping(found, (1, 2), price=0.1), found).cost.mean() == 1.0
    found = found._replace(value=found.facts[..., 1])
    assert follow(fit_stopping(found, (1, 2), price=0.1), found).cost.mean() == 2.0


def test_the_leader_has_most_chance_or_most_scores() -> None:
    # Three votes with 0.1 each against one with 0.8; this model goes by the share of the votes.
    model = AnswerModel((0.0, 1.0) + (0.0,) * 10)
    evidence = gather([0, 0, 0, 1], [0.1, 0.1, 0.1, 0.8])
    by_chance, by_scores = standing(model, evidence), standing(model, evidence, "scores")
    large, small = 1 / (1 + np.exp(-0.75)), 1 / (1 + np.exp(-0.25))
    assert [int(by_chance.answer), int(by_scores.answer)] == [0, 1]
    # 1, the leader's chance, its square, the other's chance, mean score, largest share.
    assert by_chance.facts == pytest.approx([1, large, large**2, small, 0.275, 0.75])
    assert by_scores.facts == pytest.approx([1, small, small**2, large, 0.275, 0.75])
    nothing = standing(model, gather([-1, -1], [0.9, 0.9]), "scores")
    assert nothing.chance == 0.0
