"""Diverse verifier tree search: independent greedy searches, so that they cannot collapse.

Source: `huggingface/search-and-learn`, `diverse_verifier_tree_search`: width / branching subtrees;
in each, the best of `branching` candidate steps is kept, and continued `branching` times. A
subtree ends when its best candidate is finished.

Departures: all finished candidates are solutions, whatever their rank (the published code hands
out the last `branching` siblings of each subtree, finished or not); a subtree that gets fewer
candidates, because steps failed, goes on with those it has.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from pydantic import Field, model_validator

from tts.pipeline import Pipeline
from tts.search.policy import Decision, SearchPolicy
from tts.search.tree import ROOT, NodeState, SearchTree
from tts.strategies._search import SearchConfig, build_search, by_widths


class Policy(SearchPolicy):
    """Keeps the best candidate of each subtree."""

    width: int = Field(16, ge=1, description="steps drawn at every level, over all subtrees")
    branching: int = Field(4, ge=1, description="candidates of each subtree")

    @model_validator(mode="after")
    def _check(self) -> "Policy":
        if self.width % self.branching:
            raise ValueError(f"width {self.width} is no multiple of branching {self.branching}")
        return self

    def decide(self, tree: SearchTree, rng: np.random.Generator) -> Decision:
        """Keep the best candidate of each subtree, unless it is finished."""
        if tree.num_expansions == 0:
            return Decision(expand=((ROOT, self.width),))
        leaves = tree.open_leaves().tolist()
        if not leaves:
            return Decision()
        level = int(tree.depth[leaves].max())
        rivals = [
            int(node)
            for node in tree.with_state(NodeState.OPEN, NodeState.FINISHED)
            if tree.depth[node] == level and tree.num_children[node] == 0
        ]
        best = best_by_group(
            {node: float(tree.reward[node]) for node in rivals},
            [subtree_of(tree, node, self.branching) for node in rivals],
        )
        widths = [self.branching if leaf in best else 0 for leaf in leaves]
        return by_widths(leaves, widths, reason="not the best of its subtree")


class Config(SearchConfig, Policy):
    """Parameters of DVTS."""

    lookahead: int = Field(0, ge=0, description="greedy steps played out before a step is scored")


def build(config: Config) -> Pipeline:
    """Search, then choose among the solutions."""
    return build_search(config, Policy, lookahead=config.lookahead)


def subtree_of(tree: SearchTree, node: int, branching: int) -> int:
    """Return the subtree of a node: its first step's place, in groups of `branching`."""
    first_step = tree.path(node)[-2]
    return int(tree.place[first_step]) // branching


def best_by_group(rewards: Mapping[int, float], groups: Sequence[int]) -> set[int]:
    """Return the best node of each group; ties keep the smaller node."""
    best: dict[int, int] = {}
    for (node, reward), group in zip(rewards.items(), groups, strict=True):
        if group not in best or reward > rewards[best[group]]:
            best[group] = node
    return set(best.values())
