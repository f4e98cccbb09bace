"""Best-first search: always continue the most promising open prefix, whatever its depth.

Source: the A*-like search of "Tree of Thoughts" successors without a heuristic beyond the
verifier's score (Yao et al. 2023, arXiv:2305.10601; Koh et al. 2024, "Tree Search for Language
Model Agents", arXiv:2407.01476). Nobody waits for a level: whenever fewer than `parallel`
expansions run, the best open leaf is expanded.
"""

import numpy as np
from pydantic import Field

from tts.pipeline import Pipeline
from tts.search.policy import Decision, SearchPolicy
from tts.search.tree import ROOT, SearchTree
from tts.strategies._search import SearchConfig, build_search, num_solutions, stop_searching
from tts.strategies._tree_stats import num_expanding


class Policy(SearchPolicy):
    """Expands the open leaves of highest reward."""

    branching: int = Field(4, ge=1, description="children of each expanded leaf")
    expansions: int = Field(32, ge=1, description="most expansions in all")
    solutions: int = Field(4, ge=1, description="different solutions after which the search ends")
    parallel: int = Field(4, ge=1, description="expansions that run at once")

    @property
    def by_level(self) -> bool:
        """Never waits for a level."""
        return False

    def decide(self, tree: SearchTree, rng: np.random.Generator) -> Decision:
        """Fill up the expansions in flight."""
        if tree.num_expansions == 0:
            return Decision(expand=((ROOT, self.branching),))
        if num_solutions(tree) >= self.solutions:
            return stop_searching(tree)
        room = min(self.parallel - num_expanding(tree), self.expansions - tree.num_expansions)
        best = best_leaves(tree, max(0, room))
        return Decision(expand=tuple((leaf, self.branching) for leaf in best))


class Config(SearchConfig, Policy):
    """Parameters of best-first search."""


def build(config: Config) -> Pipeline:
    """Search, then choose among the solutions."""
    return build_search(config, Policy)


def best_leaves(tree: SearchTree, number: int) -> list[int]:
    """Return the open leaves of highest reward; ties prefer the deeper, then the earlier."""
    leaves = tree.open_leaves().tolist()
    ranked = sorted(leaves, key=lambda n: (-tree.reward[n], -tree.depth[n], n))
    return ranked[:number]
