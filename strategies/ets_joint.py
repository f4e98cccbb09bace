"""ETS for all problems in flight at once: leaves are pruned only while KV blocks are scarce.

Source: the objective of Hooper et al. 2025 (`ets`, arXiv:2502.13575), solved jointly (ours). Over
the problems p in flight, their leaves i, clusters k of equal meaning, and KV blocks b:

    maximise  sum_p ( sum_i O_i x_i + coverage / K * sum_k z_k )
    subject to  x <= y of the leaf's last full block;  y <= y of the block before;
                z_k <= sum of x in k;  sum x >= 1 in every problem;  sum_b y_b <= kv_share * cache

The one constraint that joins the problems gets a price per block (Lagrangian relaxation), at which
each problem decides alone and exactly: `tts.runtime.kv_market` finds the lowest price at which all
of it fits. What is kept is then worth most among all that takes no more blocks, over all problems.
At price 0 this is REBASE, so that nothing is pruned before memory is scarce.

Other than there, the cost is what an engine holds: full KV blocks, equal prefixes shared whichever
tree nodes they belong to. A leaf's last, partly filled block is left out, since each child fills
its own. A problem whose level still runs counts with what it said last. What is decided depends on
what else is in flight, and so on time.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from pydantic import Field

from tts.pipeline import Pipeline
from tts.search.policy import Bid, Decision
from tts.search.tree import SearchTree
from tts.strategies._prune_program import Program, solve
from tts.strategies._pruning import PruningPolicy
from tts.strategies._search import SearchConfig, build_search


class Policy(PruningPolicy):
    """Keeps the leaves that are worth their KV blocks at the price that all searches pay."""

    kv_share: float = Field(
        0.5, gt=0, description="part of the KV cache for kept prefixes; the rest is for new steps"
    )

    def bid(self, tree: SearchTree) -> Bid | None:
        """Bid for the leaves of a level: the level's program, solved at the price of a block."""
        return None if self.without_rivals(tree) else self._bid(tree)

    def decide(self, tree: SearchTree, rng: np.random.Generator) -> Decision:
        """Decide as if KV blocks were free, which is REBASE."""
        return self.without_rivals(tree) or self._bid(tree).decide(0.0)

    def _bid(self, tree: SearchTree) -> Bid:
        level = self.level(tree)
        program = self.program(tree, level.rival_leaves, level.counts)
        demand = Demand(program, seconds=self.solver_seconds)
        return Bid(
            demand=demand,
            share=self.kv_share,
            decide=lambda price: self.share_out(
                tree, level, demand.keep(price), num_clusters=program.num_clusters
            ),
        )

    def program(self, tree: SearchTree, leaves: Sequence[int], counts: Sequence[int]) -> Program:
        """Return the integer program of a level at a price of 1 per block.

        The ancestors are KV blocks, below one that costs nothing and stands for the beginning.
        """
        last, before = tree.block_tree(leaves)
        costs = np.ones(len(last) + len(before))
        costs[: len(last) + 1] = 0.0
        return Program(
            rewards=np.array(counts) / sum(counts),
            parents=np.array(last + before),
            costs=costs,
            clusters=self.clusters(tree, leaves),
            coverage=self.worth_of_coverage,
        )


class Demand:
    """What a search would keep of its leaves at each price of a KV block.

    Args:
        program: At a price of 1.
        seconds: Limit of one solution.
    """

    def __init__(self, program: Program, *, seconds: float) -> None:
        self._program = program
        self._seconds = seconds
        self._kept: dict[float, list[int] | None] = {}

    def keep(self, price: float) -> list[int] | None:
        """Return the places of the leaves to keep; None when the solver found nothing in time."""
        if price not in self._kept:
            priced = replace(self._program, costs=self._program.costs * price)
            self._kept[price] = solve(priced, seconds=self._seconds)
        return self._kept[price]

    def blocks(self, price: float) -> float:
        """Return the KV blocks of what is kept; of all leaves where the solver found nothing."""
        kept = self.keep(price)
        return self._program.cost(range(self._program.num_leaves) if kept is None else kept)


class Config(SearchConfig, Policy):
    """Parameters of joint ETS."""


def build(config: Config) -> Pipeline:
    """Search, then choose among the solutions."""
    return build_search(config, Policy)
