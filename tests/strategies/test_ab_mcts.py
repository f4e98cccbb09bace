"""AB-MCTS: posteriors in closed form, wider against deeper, and whole searches."""

from typing import Literal

import numpy as np
import pytest

from tests.support.results import noted
from tests.support.searching import DigitVerifier, digits, grow, new_tree, search
from tts.engine.scripted import ScriptedEngine
from tts.search.tree import ROOT, SearchTree
from tts.strategies import ab_mcts
from tts.strategies.ab_mcts import (
    Policy,
    beta_posterior,
    finished_attempts,
    gaussian_posterior,
    is_first_step,
    observe,
)


def test_gaussian_posterior_in_closed_form() -> None:
    assert gaussian_posterior(observe([])) == (0.0, 1.0, 1.0, 0.1)
    # n = 2, y = .7, SS = 2 * .2^2 = .08: m' = 1.4 / 3; tau2' = (.1 + .08 + 2 * .49 / 3) / 3.
    mean, kappa, nu, tau2 = gaussian_posterior(observe([0.5, 0.9]))
    assert (mean, kappa, nu) == pytest.approx((1.4 / 3, 3.0, 3.0))
    assert tau2 == pytest.approx((0.1 + 0.08 + 0.98 / 3) / 3)


def test_beta_posterior_in_closed_form() -> None:
    assert beta_posterior(observe([0.5, 0.9])) == pytest.approx((1.9, 1.1))


def attempt(tree: SearchTree, begin: int, reward: float) -> list[int]:
    """Add an attempt of two steps and a solution; returns the two steps."""
    (first,) = grow(tree, begin, [0.5])
    (second,) = grow(tree, first, [0.5])
    grow(tree, second, [reward], finished=[0])
    return [first, second]


def places(
    tree: SearchTree, posterior: Literal["gaussian", "mixed"] = "gaussian", draws: int = 150
) -> list[int]:
    """Return where the next attempt begins, drawn many times."""
    policy = Policy(parallel=1, attempts=10_000, posterior=posterior)
    rng = np.random.default_rng(1)
    return [policy.decide(tree, rng).expand[0][0] for _ in range(draws)]


def test_attempts_and_where_they_begin() -> None:
    tree = new_tree()
    first, second = attempt(tree, ROOT, 0.4)  # nodes 1, 2 and the solution 3
    attempt(tree, second, 0.7)  # 4, 5, 6: it branches off after the second step
    assert [first, second] == [1, 2]
    assert is_first_step(tree).tolist() == [False, True, False, False, True, False, False]
    assert finished_attempts(tree) == [(1, 0.4), (4, 0.7)]


def test_it_goes_deeper_where_later_attempts_are_better() -> None:
    deep, wide = new_tree(), new_tree()
    for tree, early, late in ((deep, 0.1, 0.9), (wide, 0.9, 0.1)):
        for _ in range(4):
            first, _ = attempt(tree, ROOT, early)
            attempt(tree, first, late)
            attempt(tree, first, late)
    # At the root, GEN has seen the early attempts and CONT the late ones.
    assert places(deep).count(ROOT) < 30
    assert places(wide).count(ROOT) > 120


def test_it_descends_to_the_better_child() -> None:
    tree = new_tree()
    for reward in (0.1, 0.9):
        first, _ = attempt(tree, ROOT, reward)
        for _ in range(6):
            attempt(tree, first, reward)
    below = [place for place in places(tree) if place != ROOT]
    good = [place for place in below if place >= 1 + 3 * 7]  # the second child's subtree
    assert len(good) > 0.8 * len(below)


def test_no_more_attempts_are_begun_than_there_is_room_for() -> None:
    tree = new_tree()
    policy = Policy(parallel=3, attempts=4)
    assert policy.decide(tree, np.random.default_rng(0)).expand == ((ROOT, 3),)
    first = tree.add_children(ROOT, 3)
    assert policy.decide(tree, np.random.default_rng(0)).expand == ()
    tree.set_step(first, (1,), "s")
    tree.score(first, 0.5, is_finished=True)
    # There is room for the fourth and last attempt; only the root has a place.
    assert policy.decide(tree, np.random.default_rng(0)).expand == ((ROOT, 1),)
    tree.add_children(tree.add_children(ROOT, 1), 1)  # its first two steps, not yet scored
    assert policy.decide(tree, np.random.default_rng(0)).expand == ()


def test_a_mixed_model_goes_wider_while_children_differ() -> None:
    alike, unlike = new_tree(), new_tree()
    for tree, rewards in ((alike, (0.5, 0.5, 0.5)), (unlike, (0.1, 0.9, 0.2))):
        for reward in rewards:
            first, _ = attempt(tree, ROOT, reward)
            for _ in range(6):
                attempt(tree, first, reward)
    begun = places(unlike, "mixed")
    # Where children differ, most draws go to the second (nodes from 22 to 42), some to a new one.
    assert sum(22 <= place <= 42 for place in begun) > 75
    assert 0 < begun.count(ROOT) < 50


@pytest.mark.parametrize("posterior", ["gaussian", "beta", "mixed"])
def test_a_whole_search(posterior: str) -> None:
    pipeline = ab_mcts(attempts=12, posterior=posterior)
    result = search(ScriptedEngine(digits(depth=3)), pipeline)
    assert result.answer is not None
    assert result.answer.support.voters == 12
    again = search(ScriptedEngine(digits(depth=3)), pipeline)
    assert again.answer == result.answer
    assert result.usage.calls == 12  # a request for each attempt, whatever steps it has
    (figures,) = result.facts.searches
    assert figures.finished == 12
    assert 12 * 1 < figures.steps <= 12 * 4  # attempts that begin deeper share steps


def test_only_solutions_are_scored_and_their_steps_have_their_reward() -> None:
    verifier = DigitVerifier()
    result = search(
        ScriptedEngine(digits(depth=3)), ab_mcts(attempts=4, choose="vote"), verifier=verifier
    )
    assert all("boxed" in text for text in verifier.calls)
    steps = noted(result, "step")
    assert len(steps) > 4 and {step["reward"] for step in steps} == {1.0}  # that of a solution
