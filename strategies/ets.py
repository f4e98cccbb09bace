"""ETS: REBASE on the leaves that an integer program keeps, few KV blocks and many meanings.

Source: Hooper et al. 2025, "ETS: Efficient Tree Search for Inference-Time Scaling",
arXiv:2502.13575; `SqueezeAILab/ETS`. Over leaves i, their ancestors j (the root included) and
clusters k of equal meaning, all binary:

    maximise  sum_i O_i x_i - kv_weight * (sum_i c_i x_i + sum_j c_j y_j)
              + coverage / K * sum_k z_k
    subject to  y_j >= x_i below j;  y_j <= sum of x below j;  z_k <= sum of x in k;  sum x >= 1

O_i is leaf i's share of REBASE's (whole-numbered) allocation and c = 1 / (number of leaves and
ancestors). Then REBASE shares the same width out among the leaves that are kept. Defaults are those
published, coverage for the nearest of the widths 16 (1.5), 64 (1.4) and 256 (1.45). `kv_weight: 0`
becomes a small bonus per node, as published, so that nothing is pruned for nothing.

Clusters are those of average linkage. With `embedder` steps are compared by a model's vectors, cut
at a cosine distance of 0.05, as published. It is an engine of the run: the published encoder,
`math-similarity/Bert-MLM_arXiv-MP-class_zbMath?pooling`, any other model that embeds, or one that
generates, such as the policy itself (`POLICY?pooling`), by its mean hidden states. Without one they
are compared by their words (character n-grams) and their numbers, and cut at 0.3, which was
calibrated on recorded steps (`tts bench steps`, docs/search.md); 0.05 would mean "the same text"
there. Where every step is a cluster of its own, all are worth keeping, and ETS is REBASE; if that
is so on most levels, the search says so.

Departures: texts are the default, so that no second model is needed; solved exactly by
`_prune_program` instead of CBC; `node_cost: tokens` (ours) makes c the node's share of all their
tokens; where the solver finds nothing in time, REBASE's allocation stands and a warning says so;
`merge` (ours) makes one leaf of those with equal token prefixes, with the sum of their O and of
their widths, which changes nothing about the distribution of what follows. `ets_joint` prunes only
while KV blocks are scarce.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tts.pipeline import Pipeline
from tts.search.policy import Decision
from tts.search.tree import SearchTree
from tts.strategies._prune_program import TOP, Program, solve
from tts.strategies._pruning import PruningPolicy
from tts.strategies._search import SearchConfig, build_search

_FREE_BONUS = 1e-4  # per unit of cost when cost is to be ignored; the published value


class Policy(PruningPolicy):
    """Prunes leaves by an integer program, then allocates as REBASE."""

    kv_weight: float = Field(
        1.0, ge=0, description="cost of all nodes together, in units of the reward's share"
    )
    node_cost: Literal["unit", "tokens"] = Field(
        "unit", description="unit: all nodes cost the same, as published; tokens: by their length"
    )

    def decide(self, tree: SearchTree, rng: np.random.Generator) -> Decision:
        """Solve the level's program and share out the width among the leaves that it keeps."""
        if decision := self.without_rivals(tree):
            return decision
        level = self.level(tree)
        program = self.program(tree, level.rival_leaves, level.counts)
        chosen = solve(program, seconds=self.solver_seconds)
        return self.share_out(tree, level, chosen, num_clusters=program.num_clusters)

    def program(self, tree: SearchTree, leaves: Sequence[int], counts: Sequence[int]) -> Program:
        """Return the integer program of a level; `counts` is REBASE's allocation."""
        places = np.asarray(leaves)
        ancestors = tree.with_ancestors(np.unique(tree.parent[places]))
        nodes = np.concatenate([places, ancestors])
        parents = np.searchsorted(ancestors, tree.parent[nodes])
        parents[tree.parent[nodes] < 0] = TOP
        return Program(
            rewards=np.array(counts) / sum(counts),
            parents=parents,
            costs=self._costs(tree, nodes),
            clusters=self.clusters(tree, leaves),
            coverage=self.worth_of_coverage,
        )

    def _costs(self, tree: SearchTree, nodes: NDArray[np.intp]) -> NDArray[np.float64]:
        weight = self.kv_weight or -_FREE_BONUS
        if self.node_cost == "unit":
            return np.full(len(nodes), weight / len(nodes))
        tokens = (tree.end[nodes] - tree.start[nodes]).astype(float)
        return weight * tokens / max(1.0, float(tokens.sum()))


class Config(SearchConfig, Policy):
    """Parameters of ETS."""


def build(config: Config) -> Pipeline:
    """Search, then choose among the solutions."""
    return build_search(config, Policy)
