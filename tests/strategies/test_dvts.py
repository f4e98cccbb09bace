"""DVTS: subtrees by hand, and whole searches."""

import pytest

from tests.support.searching import digits, expanded, grow, new_tree, search, solutions
from tts.engine.scripted import ScriptedEngine
from tts.search.tree import ROOT
from tts.strategies.dvts import Config, Policy, best_by_group, build, subtree_of


def test_the_best_of_each_subtree_goes_on() -> None:
    tree = new_tree()
    policy = Policy(width=4, branching=2)
    assert expanded(policy, tree) == {ROOT: 4}
    grow(tree, ROOT, [0.9, 0.8, 0.1, 0.2])  # subtrees {1, 2} and {3, 4}
    assert expanded(policy, tree) == {1: 2, 4: 2}
    grow(tree, 1, [0.3, 0.4])
    grow(tree, 4, [0.6, 0.5])
    assert [subtree_of(tree, node, 2) for node in (5, 6, 7, 8)] == [0, 0, 1, 1]
    assert expanded(policy, tree) == {6: 2, 7: 2}


def test_a_subtree_ends_when_its_best_is_finished() -> None:
    tree = new_tree()
    grow(tree, ROOT, [0.9, 0.8, 0.1, 0.2], finished=[0])
    decision = Policy(width=4, branching=2).decide(tree, None)  # type: ignore[arg-type]
    assert decision.expand == ((4, 2),)
    assert set(decision.prune) == {2, 3}


def test_a_worse_solution_does_not_end_its_subtree() -> None:
    tree = new_tree()
    grow(tree, ROOT, [0.9, 0.8], finished=[1])
    assert expanded(Policy(width=2, branching=2), tree) == {1: 2}


def test_one_subtree_is_greedy_search() -> None:
    tree = new_tree()
    grow(tree, ROOT, [0.1, 0.7, 0.7, 0.2])
    assert expanded(Policy(width=4, branching=4), tree) == {2: 4}


def test_the_width_must_be_a_multiple() -> None:
    with pytest.raises(ValueError, match="width 6 is no multiple of branching 4"):
        Config(width=6, branching=4)


def test_ties_keep_the_earlier() -> None:
    assert best_by_group({4: 0.5, 7: 0.5, 8: 0.9}, [0, 0, 1]) == {4, 8}


def test_subtrees_stay_apart_in_a_whole_search() -> None:
    result = search(ScriptedEngine(digits(depth=2)), build(Config(width=8, branching=4)))
    first_steps = {t.text[:2] for t in solutions(result)}
    assert len(first_steps) == 2
    assert result.answer is not None
    # Both subtrees end with four solutions each.
    assert result.answer.support.voters == 8
