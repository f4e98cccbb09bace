"""ETS: REBASE on the leaves that an integer program keeps, few KV blocks and many meanings.

Source: Hooper et al. 2025, "ETS: Efficient Tree Search for Inference-Time Scaling",
arXiv:2502.13575; `SqueezeAILab/ETS`. Over leaves i, their ancestors j (the root included) and
clusters k of equal meaning, all binary:

    maximise  sum_i O_i x_i - kv_weight * (sum_i c_i x_i + sum_j c_j y_j)
              + coverage / K * sum_k z_k
    subject to  y_j >= x_i below j;  y_j <= sum of x below j;  z_k <= sum of x in k;  sum x >= 1

O_i is leaf i's share of REBASE's (whole-numbered) allocation and c = 1 / (number of leaves and
ancestors). Then REBASE shares the same width out among the leaves that are kept. Defaults are those
published for width 16; for 64 and 256 take coverage 1.4 and 1.45. `kv_weight: 0` becomes a small
bonus per node, as published, so that nothing is pruned for nothing.

Departures: solved exactly by `_prune_program` instead of CBC; clusters by character n-grams instead
of a sentence encoder; `node_cost: tokens` (ours) makes c the node's share of all their tokens;
where the solver finds nothing in time, REBASE's allocation stands and a warning says so; `merge`
(ours) makes one leaf of those with equal token prefixes, with the sum of their O and of their
widths, which changes nothing about the distribution of what follows; `prune_above` (ours) makes the
cost of a node rise from 0 with the engine's KV usage, which all problems in flight share: nothing
is pruned while there is room, and what is decided then depends on time and load.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tts.pipeline import Pipeline
from tts.runtime.tree import ROOT, Decision, SearchPolicy, SearchTree
from tts.strategies._prune_program import TOP, Program, solve
from tts.strategies._search import (
    SearchConfig,
    build_search,
    by_widths,
    first_of_equal,
    merge_equal,
    num_finished,
    stop_searching,
)
from tts.strategies._step_clusters import cluster_steps
from tts.strategies.rebase import allocate

_FREE_BONUS = 1e-4  # per unit of cost when cost is to be ignored; the published value


class Policy(SearchPolicy):
    """Prunes leaves by an integer program, then allocates as REBASE."""

    width: int = Field(16, ge=1, description="leaves: finished solutions and steps of a level")
    balance: float = Field(0.2, gt=0, description="temperature of the softmax over rewards")
    kv_weight: float = Field(1.0, ge=0, description="what all nodes together cost")
    coverage: float = Field(1.5, ge=0, description="what all clusters together are worth")
    cluster_distance: float = Field(0.05, ge=0, le=1, description="steps nearer than this are one")
    node_cost: Literal["unit", "tokens"] = Field(
        "unit", description="unit: all nodes cost the same, as published; tokens: by length"
    )
    merge: bool = Field(False, description="treat equal prefixes as one leaf (ours)")
    prune_above: float | None = Field(
        None, ge=0, lt=1, description="KV usage from which on nodes cost anything (ours)"
    )
    solver_seconds: float = Field(10.0, gt=0, description="limit of one solution")

    def decide(self, tree: SearchTree, rng: np.random.Generator) -> Decision:
        """Choose the leaves to keep and share out the remaining width among them."""
        if tree.num_expansions == 0:
            return Decision(expand=((ROOT, self.width),))
        remaining = self.width - num_finished(tree)
        leaves = tree.open_leaves().tolist()
        if not leaves or remaining <= 0:
            return stop_searching(tree)
        rewards = tree.reward[leaves]
        counts = allocate(rewards.tolist(), remaining, self.balance)
        if self._scarcity(tree) == 0:
            widths = merge_equal(tree, leaves, counts) if self.merge else counts
            return by_widths(leaves, widths, reason="no share of the width", remaining=remaining)
        firsts = first_of_equal(tree, leaves) if self.merge else list(range(len(leaves)))
        rivals = sorted(set(firsts))
        merged = merge_equal(tree, leaves, counts) if self.merge else counts
        program = self.program(tree, [leaves[i] for i in rivals], [merged[i] for i in rivals])
        chosen = solve(program, seconds=self.solver_seconds)
        notes: dict[str, object] = {"remaining": remaining}
        if chosen is None:
            chosen = list(range(len(rivals)))
            notes["warning"] = (
                f"the solver found nothing in {self.solver_seconds:g} s; "
                "this level is shared out as in REBASE"
            )
        worth = {rivals[place] for place in chosen}
        kept = [place for place, first in enumerate(firsts) if first in worth]
        widths = [0] * len(leaves)
        shares = allocate(rewards[kept].tolist(), remaining, self.balance)
        for place, share in zip(kept, shares, strict=True):
            widths[firsts[place]] += share
        return by_widths(leaves, widths, reason="not worth its KV blocks", **notes)

    def program(self, tree: SearchTree, leaves: Sequence[int], counts: Sequence[int]) -> Program:
        """Return the integer program of a level; `counts` is REBASE's allocation."""
        places = np.asarray(leaves)
        ancestors = tree.with_ancestors(np.unique(tree.parent[places]))
        nodes = np.concatenate([places, ancestors])
        parents = np.searchsorted(ancestors, tree.parent[nodes])
        parents[tree.parent[nodes] < 0] = TOP
        texts = [tree.texts[leaf] for leaf in leaves]
        has_clusters = self.coverage > 0 and len(set(texts)) > 1
        clusters = cluster_steps(texts, self.cluster_distance) if has_clusters else []
        return Program(
            rewards=np.array(counts) / sum(counts),
            parents=parents,
            costs=self._costs(tree, nodes),
            clusters=np.array(clusters, dtype=int),
            coverage=self.coverage,
        )

    def _scarcity(self, tree: SearchTree) -> float:
        """Return how scarce KV blocks are: 1 as published, or from 0 up as the cache fills."""
        if self.prune_above is None:
            return 1.0
        return max(0.0, (tree.kv_usage - self.prune_above) / (1 - self.prune_above))

    def _costs(self, tree: SearchTree, nodes: NDArray[np.intp]) -> NDArray[np.float64]:
        weight = self.kv_weight * self._scarcity(tree) or -_FREE_BONUS
        if self.node_cost == "unit":
            return np.full(len(nodes), weight / len(nodes))
        tokens = (tree.end[nodes] - tree.start[nodes]).astype(float)
        return weight * tokens / max(1.0, float(tokens.sum()))


class Config(SearchConfig, Policy):
    """Parameters of ETS."""


def build(config: Config) -> Pipeline:
    """Search, then choose among the solutions."""
    return build_search(config, Policy)
