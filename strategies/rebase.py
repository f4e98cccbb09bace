"""REBASE: share out the width by softmax of the step scores; the number of leaves is fixed.

Source: Wu et al. 2024, "Inference Scaling Laws", arXiv:2408.00724; `thu-wyz/inference_scaling`.
Every finished solution takes one of the `width` leaves away. Defaults as published (temperature
0.2, width 16); the answer is the weighted vote by the last step's score, as in its script.

Departures: the limit on tokens is that of the whole trajectory (there it never took effect); the
answer phrase is looked for in the steps, not in the question; trajectories without an answer never
vote; failed steps leave the level short, but not the next ones. `merge` is ours: leaves whose token
prefixes are equal are continued from one of them, with the sum of their widths. Their children come
from one distribution, so only the KV blocks (and the verifier's calls) become fewer. `barrier:
false` is ours too: a node is expanded as soon as it is scored, and its share is corrected as later
scores arrive.
"""

import math
from collections.abc import Sequence

import numpy as np
from pydantic import Field

from tts.pipeline import Pipeline
from tts.search.policy import Decision, SearchPolicy
from tts.search.tree import ROOT, NodeState, SearchTree
from tts.strategies._search import (
    SearchConfig,
    build_search,
    by_widths,
    merge_equal,
    num_finished,
    stop_searching,
)

_ROUNDING = 1e-9  # so that 8 * (2 / 8) is 2 and not 3


class Policy(SearchPolicy):
    """Gives each leaf children in proportion to exp(reward / temperature)."""

    width: int = Field(
        16, ge=1, description="leaves of the search: finished solutions and steps of a level"
    )
    balance: float = Field(0.2, gt=0, description="temperature of the softmax over rewards")
    merge: bool = Field(False, description="continue equal prefixes from one of them (ours)")

    barrier: bool = Field(
        True, description="wait for a whole level before sharing out (false is ours)"
    )

    @property
    def by_level(self) -> bool:
        """Whether a level is waited for."""
        return self.barrier

    def decide(self, tree: SearchTree, rng: np.random.Generator) -> Decision:
        """Share out what the finished solutions leave of the width."""
        if tree.num_expansions == 0:
            return Decision(expand=((ROOT, self.width),))
        if not self.barrier:
            return share_early(tree, self.width, self.balance)
        remaining = self.width - num_finished(tree)
        leaves = tree.open_leaves().tolist()
        if not leaves or remaining <= 0:
            return stop_searching(tree)
        widths = allocate(tree.reward[leaves].tolist(), remaining, self.balance)
        if self.merge:
            widths = merge_equal(tree, leaves, widths)
        return by_widths(leaves, widths, reason="no share of the width", remaining=remaining)


class Config(SearchConfig, Policy):
    """Parameters of REBASE."""


def build(config: Config) -> Pipeline:
    """Search, then choose among the solutions."""
    return build_search(config, Policy)


def share_early(tree: SearchTree, width: int, temperature: float) -> Decision:
    """Give scored nodes children before the rest of their level is scored.

    A running node takes part with its parent's reward, and one that the level may still get with
    the level's mean. As scores arrive, a node may get further children, while their number stays
    within what the level may have; what it got too early is not taken back. With all scores there,
    a node without children is given up.
    """
    expand: list[tuple[int, int]] = []
    prune: dict[int, str] = {}
    room = width
    for depth in range(1, int(tree.depth.max()) + 1):
        num_coming = _num_coming(tree, depth, room) if _is_growing(tree, depth, expand) else 0
        room = width - int(((tree.state == NodeState.FINISHED) & (tree.depth <= depth)).sum())
        members, rewards, is_scored = _level(tree, depth)
        if not members:
            continue
        rivals = rewards + [sum(rewards) / len(rewards)] * num_coming
        shares = allocate(rivals, max(0, room), temperature)[: len(members)]
        left = room - int(tree.num_children[members].sum())
        for node, share, scored in zip(members, shares, is_scored, strict=True):
            more = min(share - int(tree.num_children[node]), left)
            if scored and more > 0:
                expand.append((node, more))
                left -= more
            elif all(is_scored) and not num_coming and not tree.num_children[node]:
                prune[node] = "no share of the width"
    return Decision(expand=tuple(expand), prune=prune)


def _is_growing(tree: SearchTree, depth: int, expand: Sequence[tuple[int, int]]) -> bool:
    """Return whether a level may still get nodes: from above, something runs or is to run."""
    runs_above = (tree.state == NodeState.RUNNING) & (tree.depth < depth)
    return bool(runs_above.any()) or any(tree.depth[node] < depth for node, _ in expand)


def _num_coming(tree: SearchTree, depth: int, room_above: int) -> int:
    """Return how many nodes a level may still get."""
    return max(0, room_above - int((tree.depth == depth).sum()))


def _level(tree: SearchTree, depth: int) -> tuple[list[int], list[float], list[bool]]:
    """Return a level's open and running nodes, their rewards and whether they have one."""
    alive = (tree.state == NodeState.OPEN) | (tree.state == NodeState.RUNNING)
    members = np.flatnonzero((tree.depth == depth) & alive)
    is_scored = tree.state[members] == NodeState.OPEN
    rewards = np.where(is_scored, tree.reward[members], tree.reward[tree.parent[members]])
    return members.tolist(), rewards.tolist(), is_scored.tolist()


def allocate(rewards: Sequence[float], width: int, temperature: float) -> list[int]:
    """Return the number of children of each leaf; they sum to `width`.

    Best first: n_i = ceil(W e_i / S) with e_i = exp(r_i / T), where W is the width left and S the
    sum of e over this leaf and those after it. Ties keep the earlier leaf.
    """
    counts = [0] * len(rewards)
    if not rewards:
        return counts
    order = sorted(range(len(rewards)), key=lambda i: (-rewards[i], i))
    top = rewards[order[0]]
    weights = [math.exp((rewards[i] - top) / temperature) for i in order]
    rest = list(np.cumsum(weights[::-1])[::-1])
    left = width
    for index, weight, total in zip(order, weights, rest, strict=True):
        if left <= 0 or total <= 0.0:
            break
        counts[index] = min(left, math.ceil(left * weight / total - _ROUNDING))
        left -= counts[index]
    return counts
