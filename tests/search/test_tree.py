"""The search tree: token spans, exact KV blocks, pruning, drawings."""

import math
from collections.abc import Sequence
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts.search.kv_blocks import BlockTrie, LiveBlocks, reusable_tokens
from tts.search.tree import ROOT, NodeState, SearchTree
from tts.search.view import to_json, to_mermaid, to_svg, to_text


def grow(tree: SearchTree, parent: int, *steps: Sequence[int], reward: float = 0.5) -> list[int]:
    """Add scored children with these tokens."""
    first = tree.add_children(parent, len(steps))
    for node, tokens in enumerate(steps, start=first):
        tree.set_step(node, tokens, "".join(map(chr, tokens)))
        tree.score(node, reward)
    return list(range(first, first + len(steps)))


def ids(text: str) -> tuple[int, ...]:
    return tuple(map(ord, text))


def small_tree() -> SearchTree:
    """Prompt of 5 tokens and blocks of 4: a = "ppppp" + "abc", b = the same + "de", "dfgh"."""
    tree = SearchTree(block_size=4)
    tree.set_step(ROOT, ids("ppppp"))
    (a,) = grow(tree, ROOT, ids("abc"))
    grow(tree, a, ids("de"), ids("dfgh"))
    return tree


def test_spans_are_positions_from_the_prompt_on() -> None:
    tree = small_tree()
    assert list(zip(tree.start.tolist(), tree.end.tolist(), strict=True)) == [
        (0, 5),
        (5, 8),
        (8, 10),
        (8, 12),
    ]
    assert tree.depth.tolist() == [0, 1, 2, 2]
    assert tree.place.tolist() == [0, 0, 0, 1]
    assert tree.token_ids(3) == ids("pppppabcdfgh")
    assert tree.path(3) == [3, 1, 0]
    assert tree.texts[3] == "dfgh"


def test_shared_blocks_count_once() -> None:
    tree = small_tree()
    # Node 2: pppp pabc de -> 2 full blocks and a tail. Node 3: pppp pabc dfgh -> 3 full blocks.
    assert tree.kv_blocks([2]) == 3
    assert tree.kv_blocks([3]) == 3
    assert tree.kv_blocks([2, 3]) == 4  # two shared, the tail "de", the block "dfgh"
    assert tree.kv_blocks([]) == 0
    assert tree.kv_blocks([ROOT]) == 2  # pppp, and p in a block of its own


def test_equal_steps_of_different_nodes_share_their_full_blocks() -> None:
    tree = SearchTree(block_size=2)
    tree.set_step(ROOT, ids("pp"))
    grow(tree, ROOT, ids("abc"), ids("abc"))
    assert tree.kv_blocks([1, 2]) == 4  # pp, ab, and c twice


def test_equal_blocks_after_different_prefixes_are_not_shared() -> None:
    tree = SearchTree(block_size=2)
    tree.set_step(ROOT, ids("pp"))
    a, b = grow(tree, ROOT, ids("aa"), ids("bb"))
    (under_a,) = grow(tree, a, ids("cc"))
    (under_b,) = grow(tree, b, ids("cc"))
    assert tree.kv_blocks([under_a, under_b]) == 5  # pp, aa, bb, cc after each


def brute_force_blocks(prefixes: Sequence[tuple[int, ...]], size: int) -> int:
    """Hash the token prefix at each block end; tails are private."""
    full = {prefix[:end] for prefix in prefixes for end in range(size, len(prefix) + 1, size)}
    return len(full) + sum(len(prefix) % size > 0 for prefix in prefixes)


@given(
    block_size=st.integers(1, 5),
    prompt=st.lists(st.integers(0, 1), max_size=9),
    steps=st.lists(
        st.tuples(st.integers(0, 1_000), st.lists(st.integers(0, 1), max_size=7)), max_size=30
    ),
    chosen=st.lists(st.integers(0, 1_000), max_size=20),
)
def test_the_count_equals_brute_force(
    block_size: int,
    prompt: list[int],
    steps: list[tuple[int, list[int]]],
    chosen: list[int],
) -> None:
    tree = SearchTree(block_size)
    tree.set_step(ROOT, prompt)
    prefixes = [tuple(prompt)]
    for pick, tokens in steps:
        parent = pick % len(tree)
        grow(tree, parent, tokens)
        prefixes.append(prefixes[parent] + tuple(tokens))
    assert [tree.token_ids(node) for node in range(len(tree))] == prefixes
    leaves = sorted({pick % len(tree) for pick in chosen})
    expected = brute_force_blocks([prefixes[leaf] for leaf in leaves], block_size)
    assert tree.kv_blocks(leaves) == expected
    live = tree.live_leaves().tolist()
    assert tree.kv_blocks(live) == brute_force_blocks([prefixes[n] for n in live], block_size)


@given(
    steps=st.lists(
        st.tuples(st.integers(0, 1_000), st.lists(st.integers(0, 1), max_size=5)), max_size=20
    ),
    sets=st.lists(st.sets(st.integers(0, 1_000), max_size=8), max_size=6),
)
def test_counting_what_changes_equals_counting_all(
    steps: list[tuple[int, list[int]]], sets: list[set[int]]
) -> None:
    tree = SearchTree(block_size=2)
    for pick, tokens in steps:
        grow(tree, pick % len(tree), tokens)
    live = LiveBlocks(tree.blocks)
    for picks in sets:
        leaves = sorted({pick % len(tree) for pick in picks})
        last = dict(zip(leaves, tree.last_blocks(leaves), strict=True))
        assert live.count(last) == tree.blocks.count(last.values())


def test_the_prompt_may_become_known_after_the_first_children_were_asked_for() -> None:
    tree = SearchTree(block_size=4)
    first = tree.add_children(ROOT, 2)
    assert tree.kv_blocks(tree.live_leaves()) == 0
    tree.set_step(ROOT, ids("ppppp"))
    assert tree.kv_blocks(tree.live_leaves()) == 3  # pppp shared, a tail each
    tree.set_step(first, ids("abc"))
    assert (tree.start[first], tree.end[first]) == (5, 8)
    assert tree.kv_blocks([first]) == 2


def test_rewards_are_backed_up_to_the_root() -> None:
    tree = SearchTree()
    (a,) = grow(tree, ROOT, [1], reward=0.4)
    grow(tree, a, [1], [2], reward=0.7)
    # Subtree of a: 0.4 + 0.7 + 0.7; the root adds no reward of its own.
    assert tree.visits.tolist() == [3, 3, 1, 1]
    assert tree.value[a] == pytest.approx(1.8)
    assert tree.value[ROOT] == pytest.approx(1.8)


def test_pruning_the_newest_leaves_the_others() -> None:
    tree = SearchTree()
    a, b = grow(tree, ROOT, [1], [2])
    assert tree.prune([b], "too low") == [b]
    assert tree.open_leaves().tolist() == [a] and tree.state[ROOT] == NodeState.OPEN


def test_pruning_takes_what_is_below_and_leaves_the_finished() -> None:
    tree = SearchTree()
    a, b = grow(tree, ROOT, [1], [2])
    (c,) = grow(tree, a, [1])
    running = tree.add_children(a, 2)
    tree.set_step(running, [3])
    tree.score(running, 1.0, is_finished=True)
    assert tree.prune([a], "too low") == [a, c, running + 1]
    assert tree.reasons == {a: "too low", c: "too low", running + 1: "too low"}
    assert tree.state[running] == NodeState.FINISHED
    assert tree.open_leaves().tolist() == [b]
    assert tree.live_leaves().tolist() == [b]
    assert tree.with_state(NodeState.FINISHED, NodeState.PRUNED).tolist() == [a, c, 4, 5]


def test_ancestors_count_once() -> None:
    tree = SearchTree()
    a, b = grow(tree, ROOT, [1], [2])
    c, d = grow(tree, a, [1], [2])
    assert tree.with_ancestors(np.array([c, d])).tolist() == [ROOT, a, c, d]
    assert tree.with_ancestors(np.array([b, c])).tolist() == [ROOT, a, b, c]
    assert tree.with_ancestors(np.array([], dtype=int)).tolist() == []


def test_the_arrays_grow() -> None:
    tree = SearchTree()
    parent = ROOT
    for depth in range(1, 200):
        (parent,) = grow(tree, parent, [depth])
    assert len(tree) == 200
    assert tree.depth[parent] == 199
    assert np.array_equal(tree.parent, np.arange(-1, 199))


def test_a_failed_node_is_no_leaf() -> None:
    tree = SearchTree()
    node = tree.add_children(ROOT, 1)
    tree.fail(node, "no score")
    assert tree.live_leaves().size == 0
    assert math.isnan(tree.reward[node])


@pytest.mark.parametrize(
    ("prompt", "reusable"),
    [(1100, 1088), (1090, 1088), (1089, 1088), (1056, 1024), (1055, 1024), (1, 0), (0, 0)],
)
def test_reusable_tokens_as_measured_on_vllm(prompt: int, reusable: int) -> None:
    assert reusable_tokens(prompt, 32) == reusable


def test_a_block_holds_at_least_a_token() -> None:
    with pytest.raises(ValueError, match="at least one token"):
        BlockTrie(0)


def test_drawings() -> None:
    tree = small_tree()
    tree.prune([2], "pruned: <low>")
    view = to_json(tree)
    assert view["nodes"][3] == {
        "index": 3,
        "parent": 1,
        "depth": 2,
        "state": "open",
        "reward": 0.5,
        "visits": 1,
        "value": 0.5,
        "tokens": 4,
        "kv_blocks": 3,
        "reason": "",
        "text": "dfgh",
    }
    assert to_text(view) == "\n".join(
        [
            "prompt, 5 tokens",
            "└─ 1 open 0.50 [3] abc",
            "   ├─ 2 pruned 0.50 [2] de (pruned: <low>)",
            "   └─ 3 open 0.50 [4] dfgh",
        ]
    )
    mermaid = to_mermaid(view)
    assert "  n1 --> n3" in mermaid and '  n3["3 open 0.50 [4] dfgh"]:::open' in mermaid
    svg = ElementTree.fromstring(to_svg(view))
    assert len(svg.findall(".//{*}rect")) == 4
    assert len(svg.findall(".//{*}path")) == 3
