"""Beam search: survivors by hand, and whole searches."""

import pytest

from tests.support.results import noted
from tests.support.searching import digits, expanded, grow, new_tree, search, solutions
from tts.engine.scripted import ScriptedEngine
from tts.search.tree import ROOT
from tts.strategies._search import spread
from tts.strategies.beam_search import Config, Policy, build, select_survivors


@pytest.mark.parametrize(
    ("rewards", "texts", "keep", "expected"),
    [
        ([0.1, 0.9, 0.5, 0.7], "abcd", 2, [1, 3]),  # the best two, in their old order
        ([0.5, 0.5, 0.5], "abc", 2, [0, 1]),  # ties keep the earlier
        ([0.9, 0.8, 0.3], "aab", 2, [0, 2]),  # the second "a" is a duplicate
        ([0.8, 0.9, 0.3], "aab", 2, [1, 2]),  # of duplicates the best one competes
        ([0.2], "a", 4, [0]),
        ([], "", 4, []),
    ],
)
def test_survivors(rewards: list[float], texts: str, keep: int, expected: list[int]) -> None:
    assert select_survivors(rewards, list(texts), keep) == expected


@pytest.mark.parametrize(
    ("width", "parts", "expected"), [(8, 2, [4, 4]), (8, 3, [3, 3, 2]), (2, 3, [1, 1, 0])]
)
def test_the_width_is_spread_evenly(width: int, parts: int, expected: list[int]) -> None:
    assert spread(width, parts) == expected


def test_exactly_width_over_branching_prefixes_survive() -> None:
    tree = new_tree()
    policy = Policy(width=4, branching=2)
    assert expanded(policy, tree) == {ROOT: 4}
    grow(tree, ROOT, [0.2, 0.9, 0.4, 0.6])
    decision = policy.decide(tree, None)  # type: ignore[arg-type]
    assert decision.expand == ((2, 2), (4, 2))
    assert set(decision.prune) == {1, 3}


def test_it_ends_when_there_are_enough_solutions() -> None:
    tree = new_tree()
    grow(tree, ROOT, [0.2, 0.9, 0.4], finished=[0, 1])
    decision = Policy(width=2, branching=2).decide(tree, None)  # type: ignore[arg-type]
    assert decision.expand == ()
    assert decision.prune == {3: "enough solutions"}


def test_a_whole_search() -> None:
    engine = ScriptedEngine(digits(depth=3))
    result = search(engine, Policy(width=8, branching=4))
    # Three levels of 8 steps, and a fourth of 8 solutions.
    assert result.usage.calls == 32
    assert [sum(n for _, n in e["expand"]) for e in noted(result, "decide")] == [8, 8, 8, 8, 0]
    assert len(solutions(result)) == 8
    # The best two of every level survive, so the solutions' prefixes are two at each depth at most.
    prefixes = {t.text.partition("so")[0] for t in solutions(result)}
    assert 1 <= len(prefixes) <= 2


def test_the_pipeline_votes_by_weight() -> None:
    result = search(ScriptedEngine(digits()), build(Config(width=8, branching=4)))
    assert result.answer is not None
    assert result.answer.support.voters == 8
    chosen = build(Config(width=8, branching=4, choose="best"))
    assert search(ScriptedEngine(digits()), chosen).answer is not None
