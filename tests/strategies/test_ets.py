"""ETS: the integer program by hand and against brute force, clusters, and whole searches."""

from collections import Counter
from importlib import import_module
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage

from tests.support.results import noted
from tests.support.scripts import boxed
from tests.support.searching import digits, expanded, grow, new_tree, search, steps_of
from tts.engine.scripted import Ask, Line, ScriptedEngine
from tts.ngrams import embed_texts
from tts.search.step_clusters import (
    TEXT_DISTANCE,
    cluster_steps,
    link_by_average,
    text_likeness,
)
from tts.search.tree import ROOT, SearchTree
from tts.strategies._prune_program import Program, solve
from tts.strategies.ets import Config, Policy, build
from tts.strategies.rebase import allocate


def lies_below(program: Program) -> NDArray[np.bool_]:
    """Return [ancestors, leaves], whether the leaf lies below the ancestor."""
    size = len(program.rewards)
    below = np.zeros((len(program.parents) - size, size), dtype=bool)
    for leaf in range(size):
        row = int(program.parents[leaf])
        while row >= 0:
            below[row, leaf] = True
            row = int(program.parents[size + row])
    return below


def best_value(program: Program) -> float:
    """Try every choice of leaves."""
    size = len(program.rewards)
    kept = (np.arange(1, 2**size)[:, None] >> np.arange(size)) % 2 == 1
    needed = kept.astype(int) @ lies_below(program).T.astype(int) > 0
    values = kept @ (program.rewards - program.costs[:size]) - needed @ program.costs[size:]
    for cluster in set(program.clusters.tolist()):
        covered = kept[:, program.clusters == cluster].any(axis=1)
        values = values + covered * program.coverage / len(set(program.clusters.tolist()))
    return float(values.max())


def two_parents() -> SearchTree:
    """Three near-duplicates under one parent, a different step under another, equal rewards."""
    tree = new_tree()
    a, b = grow(tree, ROOT, [0.5, 0.5])
    grow(tree, a, [0.5] * 3, texts=["so x = 12 then", "so x = 12 then", "so x = 12  then"])
    grow(tree, b, [0.5], texts=["draw a picture"])
    return tree


def test_one_of_three_duplicates_and_the_different_step_are_kept() -> None:
    # n = 4 leaves, m = 3 ancestors, O = 1/4 each. Keeping one duplicate and the other step:
    # 2/4 - 5/7 + 1.5 = 1.286; all four: 1 - 7/7 + 1.5 = 1.5; one leaf: 1/4 - 3/7 + .75 = .571.
    # So at cost 1 all are kept; at cost 2 two: 2/4 - 10/7 + 1.5 = .571 > 1 - 2 + 1.5 = .5,
    # and one: 1/4 - 6/7 + .75 = .143.
    policy = Policy(width=4, kv_weight=2.0, coverage=1.5)
    tree = two_parents()
    program = policy.program(tree, [3, 4, 5, 6], [1, 1, 1, 1])
    assert program.clusters.tolist() == [0, 0, 0, 1]
    kept = solve(program, seconds=10)
    assert kept is not None
    assert len(kept) == 2 and 3 in kept
    assert program.value(kept) == pytest.approx(2 / 4 - 10 / 7 + 1.5)
    shares = expanded(policy, tree)
    assert sorted(shares.values()) == [2, 2] and 6 in shares


def test_a_high_cost_alone_leaves_one_leaf() -> None:
    policy = Policy(width=4, kv_weight=50.0, coverage=0.0)
    assert list(expanded(policy, two_parents()).values()) == [4]


def test_without_costs_it_is_rebase() -> None:
    tree = new_tree()
    rewards = [0.9, 0.8, 0.3, 0.7]
    grow(tree, ROOT, rewards)
    shares = expanded(Policy(width=8, kv_weight=0.0, coverage=0.0), tree)
    assert [shares.get(i, 0) for i in (1, 2, 3, 4)] == allocate(rewards, 8, 0.2) == [4, 3, 0, 1]
    # At a tiny cost the leaf without a share goes, and the others share the width out anew.
    shares = expanded(Policy(width=8, kv_weight=1e-9, coverage=0.0), tree)
    assert [shares.get(i, 0) for i in (1, 2, 4)] == allocate([0.9, 0.8, 0.7], 8, 0.2)


def test_equal_prefixes_are_one_leaf_when_merged() -> None:
    tree = new_tree()
    grow(tree, ROOT, [0.5, 0.5, 0.5, 0.5], texts=["same", "same", "same", "else"])
    merged = Policy(width=8, kv_weight=1.0, coverage=0.0, merge=True)
    # O = 3/4 and 1/4; two leaves and the root cost 1/3 each, so the fourth leaf is not worth it.
    assert expanded(merged, tree) == {1: 8}
    free = Policy(width=8, kv_weight=0.0, coverage=0.0, merge=True)
    assert expanded(free, tree) == {1: 6, 4: 2}


def test_long_nodes_cost_more_by_tokens() -> None:
    tree = new_tree()
    grow(tree, ROOT, [0.5, 0.5], texts=["x" * 100, "y"])
    by_tokens = Policy(width=2, kv_weight=0.9, coverage=0.0, node_cost="tokens")
    # O = 1/2 each; of 107 tokens (6 the prompt's) the long step has 100: .84 > 1/2, the short 1.
    assert expanded(by_tokens, tree) == {2: 2}
    by_unit = Policy(width=2, kv_weight=0.9, coverage=0.0)
    # Each node costs .3 < 1/2.
    assert expanded(by_unit, tree) == {1: 1, 2: 1}


@st.composite
def programs(draw: Any) -> Program:
    """A random tree of depth 3 with up to 12 leaves, as a program."""
    tree = new_tree()
    level = [ROOT]
    for _ in range(draw(st.integers(1, 3))):
        room = 12
        following: list[int] = []
        for node in level:
            number = draw(st.integers(0, min(4, room)))
            room -= number
            rewards = draw(st.lists(st.floats(0, 1), min_size=number, max_size=number))
            text = st.sampled_from(["aaaa", "bbbb", "cccc", "a long step"])
            texts = [draw(text) for _ in rewards]
            following += grow(tree, node, rewards, texts=texts) if rewards else []
        level = following or grow(tree, level[0], [0.5])
    policy = Policy(
        width=16,
        kv_weight=draw(st.sampled_from([0.0, 0.3, 1.0, 3.0])),
        coverage=draw(st.sampled_from([0.0, 1.5])),
        node_cost=draw(st.sampled_from(["unit", "tokens"])),
    )
    leaves = [n for n in tree.open_leaves().tolist() if tree.depth[n] == tree.depth.max()]
    rewards = tree.reward[leaves].tolist()
    return policy.program(tree, leaves, allocate(rewards, draw(st.integers(1, 16)), 0.2))


@settings(max_examples=150, deadline=None)
@given(program=programs())
def test_the_solver_equals_brute_force(program: Program) -> None:
    kept = solve(program, seconds=10)
    assert kept
    assert program.value(kept) == pytest.approx(best_value(program), abs=1e-7)


@st.composite
def tangled(draw: Any) -> Program:
    """Any tree with up to 9 leaves, any costs, and clusters that lie across it."""
    num_leaves, num_ancestors = draw(st.integers(1, 9)), draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    above = [int(rng.integers(0, row)) for row in range(1, num_ancestors)]
    clusters = rng.integers(0, draw(st.integers(1, 4)), num_leaves)
    return Program(
        rewards=rng.choice([0.0, 0.1, 0.3], num_leaves),
        parents=np.array([*rng.integers(0, num_ancestors, num_leaves), -1, *above]),
        costs=rng.random(num_leaves + num_ancestors) * draw(st.sampled_from([0.05, 0.3])),
        clusters=np.unique(clusters, return_inverse=True)[1],
        coverage=draw(st.sampled_from([0.2, 1.0])),
    )


@settings(max_examples=150, deadline=None)
@given(program=tangled())
def test_the_solver_equals_brute_force_on_any_tree(program: Program) -> None:
    kept = solve(program, seconds=10)
    assert kept
    assert program.value(kept) == pytest.approx(best_value(program), abs=1e-7)


def test_a_solver_without_a_solution_leaves_rebase_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(import_module("tts.strategies.ets"), "solve", lambda program, seconds: None)
    tree = new_tree()
    grow(tree, ROOT, [0.9, 0.5, 0.1])
    decision = Policy(width=8).decide(tree, np.random.default_rng(0))
    assert decision.expand == ((1, 7), (2, 1))
    assert "solver found nothing in 10 s" in decision.warnings[0]
    result = search(ScriptedEngine(digits()), Policy(width=4))
    assert "solver found nothing in 10 s" in result.reason


def test_no_time_at_all_gives_no_solution() -> None:
    rng = np.random.default_rng(1)
    program = Program(
        rewards=np.zeros(200),  # so that coverage alone decides
        parents=np.concatenate([rng.integers(0, 200, 200), [-1], np.arange(199) // 2]),
        costs=np.full(400, 1 / 200) * rng.random(400),
        clusters=rng.integers(0, 40, 200),
        coverage=1.5,
    )
    assert solve(program, seconds=1e-9) is None


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([], []),
        (["alone"], [0]),
        (["12 + 5 = 17", "12 + 5  = 17", "17 * 2 = 34"], [0, 0, 1]),
        (["", "x", ""], [0, 1, 0]),
    ],
)
def test_clusters(texts: list[str], expected: list[int]) -> None:
    assert cluster_steps(texts, 0.05) == expected


@settings(max_examples=50, deadline=None)
@given(
    points=st.lists(st.integers(0, 9), min_size=2, max_size=12),
    cut=st.sampled_from([0.3, 1.2, 3.7]),  # no distance, so that rounding decides nothing
)
def test_average_linkage_equals_that_of_scipy(points: list[int], cut: float) -> None:
    # Irregular gaps, so that no two merges are at one distance and their order is the same.
    line = np.array([point + 0.01 * point**2 for point in points])
    apart = np.abs(line[:, None] - line[None])
    expected = fcluster(
        linkage(apart[np.triu_indices(len(line), k=1)], method="average"), cut, "distance"
    )
    distinct = sorted(set(points))
    rows = [points.index(point) for point in distinct]
    sizes = [points.count(point) for point in distinct]
    found = link_by_average(apart[np.ix_(rows, rows)], sizes, cut)
    label = dict(zip(distinct, found, strict=True))
    pairs = [(i, j) for i in range(len(points)) for j in range(i)]
    assert all(
        (expected[i] == expected[j]) == (label[points[i]] == label[points[j]]) for i, j in pairs
    )


def test_a_whole_search_holds_fewer_blocks_than_rebase() -> None:
    def run(coverage: float, kv_weight: float) -> tuple[int, float]:
        config = Config(width=16, coverage=coverage, kv_weight=kv_weight)
        result = search(ScriptedEngine(digits(depth=4)), build(config))
        assert result.answer is not None and result.answer.support.voters == 16
        (figures,) = noted(result, "search")
        return figures["finished"], figures["mean_kv_blocks_kept"]

    pruned, free = run(0.0, 5.0), run(0.0, 0.0)
    assert pruned[0] == free[0] == 16
    assert pruned[1] < free[1]


@pytest.mark.parametrize(
    ("width", "worth"),
    [(4, 1.5), (16, 1.5), (31, 1.5), (33, 1.4), (64, 1.4), (128, 1.4), (256, 1.45)],
)
def test_coverage_is_worth_what_is_published_for_the_width(width: int, worth: float) -> None:
    assert Policy(width=width).worth_of_coverage == worth
    assert Policy(width=width, coverage=0.3).worth_of_coverage == 0.3


PARAPHRASES = (
    "We divide both sides by 2, and get x = 4.",
    "We divide both sides by 2 and get x = 4.",
    "We now divide both sides by 2, so we get x = 4.",
    "Draw the perpendicular from A to the line BC.",
)


def test_steps_of_real_words_fall_into_clusters_at_the_usual_distance() -> None:
    tree = new_tree()
    leaves = grow(tree, ROOT, [0.5] * 4, texts=PARAPHRASES)
    assert Policy().clusters(tree, leaves).tolist() == [0, 0, 0, 1]
    assert Policy(cluster_distance=0.01).clusters(tree, leaves).tolist() == [0, 1, 2, 3]


def test_a_level_of_clusters_of_one_is_doubted() -> None:
    tree = new_tree()
    grow(tree, ROOT, [0.5] * 4, texts=PARAPHRASES)
    usual = Policy(width=4).decide(tree, np.random.default_rng(0))
    assert usual.doubt == "" and usual.notes["clusters"] == 2 and usual.notes["rivals"] == 4
    apart = Policy(width=4, cluster_distance=0.0).decide(tree, np.random.default_rng(0))
    assert "every step was a cluster of its own" in apart.doubt
    without = Policy(width=4, coverage=0.0).decide(tree, np.random.default_rng(0))
    assert without.doubt == ""


def test_a_search_without_clusters_says_so_once() -> None:
    def line(ask: Ask) -> Line:
        steps = steps_of(ask)
        if len(steps) == 4:
            return Line(boxed(1))
        return Line(f"d{ask.seed % 10}{chr(97 + ask.seed % 23) * 9}\n\nand more")

    policy = Policy(width=4, cluster_distance=0.0)
    result = search(ScriptedEngine(line), policy)
    assert result.reason.count("every step was a cluster of its own") == 1
    assert result.answer is not None
    result = search(ScriptedEngine(digits()), Policy(width=8, cluster_distance=1.0))
    assert "cluster" not in result.reason


def test_likeness_by_hand() -> None:
    copies = Counter(["a 1 2", "b 1 3", "c", "c!"])
    found = text_likeness(copies)
    # Numbers {1, 2} and {1, 3} of four texts, 1 in two of them: weights ln(5/3) + 1 = 1.511 and
    # ln(5/2) + 1 = 1.916, so 1.511 of 1.511 + 2 * 1.916 is common, 0.283.
    words = (lambda v: (v @ v.T).toarray())(embed_texts(list(copies), [1] * 4))
    assert found[0, 1] == pytest.approx((words[0, 1] + 0.2829) / 2, abs=1e-4)
    # One has numbers, the other none: nothing in common. Neither has: words alone decide.
    assert found[0, 2] == pytest.approx(words[0, 2] / 2)
    assert found[2, 3] == pytest.approx(words[2, 3])
    assert np.diag(found) == pytest.approx(1.0)


def test_another_result_is_another_meaning() -> None:
    said = "We divide both sides by 2, and get x = {}."
    texts = [said.format(4), said.format(5), "Dividing both sides by 2, we get that x = 4."]
    assert cluster_steps(texts, TEXT_DISTANCE) == [0, 1, 0]
