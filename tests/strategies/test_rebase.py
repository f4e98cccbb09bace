"""REBASE: allocations by hand, their sum, and whole searches."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.results import noted
from tests.support.searching import digits, expanded, grow, new_tree, search, solutions
from tts.engine.scripted import Ask, Line, ScriptedEngine
from tts.search.tree import ROOT
from tts.strategies.rebase import Config, Policy, allocate, build


@pytest.mark.parametrize(
    ("rewards", "width", "temperature", "expected"),
    [
        # e = 1, exp(-2), exp(-4) = 1, .1353, .0183. ceil(8 / 1.1536) = ceil(6.93) = 7; of the one
        # left, ceil(.1353 / .1536) = 1.
        ([0.9, 0.5, 0.1], 8, 0.2, [7, 1, 0]),
        ([0.1, 0.5, 0.9], 8, 0.2, [0, 1, 7]),  # the order of the leaves does not matter
        ([0.5, 0.5, 0.5, 0.5], 8, 0.2, [2, 2, 2, 2]),  # no rounding up of 8 * (1 / 4)
        ([0.5, 0.5, 0.5], 4, 0.2, [2, 1, 1]),  # ceil(4/3) = 2, ceil(2/2) = 1, 1
        ([0.9, 0.5, 0.1], 9, 1e12, [3, 3, 3]),  # no preference at an infinite temperature
        ([0.9, 0.5, 0.1], 9, 1e-6, [9, 0, 0]),  # e underflows to 0, the best takes all
        ([0.5, 0.5], 0, 0.2, [0, 0]),
        ([], 8, 0.2, []),
    ],
)
def test_allocation(
    rewards: list[float], width: int, temperature: float, expected: list[int]
) -> None:
    assert allocate(rewards, width, temperature) == expected


@given(
    rewards=st.lists(st.floats(0, 1), min_size=1, max_size=40),
    width=st.integers(0, 300),
    temperature=st.floats(1e-4, 1e4),
)
def test_allocations_sum_to_the_width_and_favour_high_rewards(
    rewards: list[float], width: int, temperature: float
) -> None:
    counts = allocate(rewards, width, temperature)
    assert sum(counts) == width
    assert min(counts) >= 0
    ranked = [counts[i] for i in sorted(range(len(rewards)), key=lambda i: (-rewards[i], i))]
    # Rounding up lets a leaf have one child more than the leaf before it, never two.
    assert all(later <= earlier + 1 for earlier, later in pairwise(ranked))


def test_finished_solutions_take_leaves_away() -> None:
    tree = new_tree()
    policy = Policy(width=8)
    assert expanded(policy, tree) == {ROOT: 8}
    grow(tree, ROOT, [0.9, 0.5, 0.1, 0.8, 0.8, 0.8, 0.8, 0.8], finished=[3, 4, 5, 6, 7])
    # Three of eight are left: ceil(3 * .867) = 3 for the best.
    decision = policy.decide(tree, None)  # type: ignore[arg-type]
    assert decision.expand == ((1, 3),)
    assert decision.notes["remaining"] == 3
    assert set(decision.prune) == {2, 3}


def test_equal_prefixes_are_continued_from_one_of_them() -> None:
    tree = new_tree()
    grow(tree, ROOT, [0.5, 0.5, 0.5, 0.5], texts=["same", "else", "same", "same"])
    assert expanded(Policy(width=8), tree) == {1: 2, 2: 2, 3: 2, 4: 2}
    assert expanded(Policy(width=8, merge=True), tree) == {1: 6, 2: 2}


def test_merging_only_saves_blocks() -> None:
    def run(merge: bool) -> tuple[int, float]:
        result = search(ScriptedEngine(digits(depth=3)), Policy(width=16, merge=merge))
        (account,) = noted(result, "search")
        return account["finished"], account["mean_kv_blocks_kept"]

    assert run(True)[0] == run(False)[0] == 16
    assert run(True)[1] < run(False)[1]


def test_without_a_barrier_a_scored_node_is_expanded_at_once() -> None:
    tree = new_tree()
    policy = Policy(width=4, barrier=False)
    first = tree.add_children(ROOT, 4)
    tree.set_step(first, [1])
    tree.score(first, 1.0)
    # The other three run, with the root's reward of 1: each has a share of 1.
    assert expanded(policy, tree) == {first: 1}
    tree.add_children(first, 1)
    for node in range(first + 1, first + 4):
        tree.set_step(node, [node])
        tree.score(node, 0.0)
    # e = 1, exp(-5) three times: ceil(4 / 1.0202) = 4, of which one child is there already.
    decision = policy.decide(tree, None)  # type: ignore[arg-type]
    assert decision.expand == ((first, 3),)
    assert set(decision.prune) == {first + 1, first + 2, first + 3}


def test_what_was_given_too_early_is_not_given_twice() -> None:
    tree = new_tree()
    policy = Policy(width=4, barrier=False)
    first = tree.add_children(ROOT, 4)
    tree.score(first, 0.0)
    tree.score(first + 1, 0.0)
    # Two running nodes with the root's reward of 1 take the whole width of 4: 2 each.
    assert expanded(policy, tree) == {}
    tree.score(first + 2, 0.9)
    # ceil(4 / (1 + exp(-.5) + ...)) = ceil(4 / 1.62) = 3 for the running one, 1 for this one.
    assert expanded(policy, tree) == {first + 2: 1}
    tree.add_children(first + 2, 1)
    tree.score(first + 3, 0.1)
    assert expanded(policy, tree) == {first + 2: 3}


def test_a_level_that_still_grows_is_not_shared_out_to_its_first_node() -> None:
    tree = new_tree()
    policy = Policy(width=4, barrier=False)
    first = tree.add_children(ROOT, 4)
    tree.score(first, 1.0)
    below = tree.add_children(first, 1)
    tree.score(below, 0.5)
    # Three nodes of the first level run, so three more of the second may come: a share of 1 each.
    assert expanded(policy, tree) == {below: 1}


def test_without_a_barrier_slow_steps_hold_up_their_own_branch_only() -> None:
    def say(ask: Ask) -> Line:
        line = digits(depth=4)(ask)
        return replace(line, ticks=40 if ask.seed % 5 == 0 else 5)

    ticks, tokens = [], []
    for barrier in (True, False):
        engine = ScriptedEngine(say)
        result = search(engine, Policy(width=8, balance=10.0, barrier=barrier))
        assert len(solutions(result)) == 8
        ticks.append(engine.ticks)
        tokens.append(result.usage.generated_tokens or 0)
    assert ticks[1] < 0.8 * ticks[0]
    assert tokens[1] <= 1.05 * tokens[0]


def test_no_leaf_is_left_when_the_width_is_used_up() -> None:
    tree = new_tree()
    grow(tree, ROOT, [0.9, 0.5, 0.1], finished=[0, 1])
    decision = Policy(width=2).decide(tree, None)  # type: ignore[arg-type]
    assert decision.expand == ()
    assert decision.prune == {3: "enough solutions"}


def test_a_whole_search_has_as_many_solutions_as_leaves() -> None:
    result = search(ScriptedEngine(digits(depth=3)), build(Config(width=8)))
    assert len(solutions(result)) == 1 + 8  # the vote's winner and its voters
    shares = [sum(n for _, n in event["expand"]) for event in noted(result, "decide")]
    assert shares == [8, 8, 8, 8, 0]
    assert result.answer is not None
    assert result.answer.support.voters == 8
