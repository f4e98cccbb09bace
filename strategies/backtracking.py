"""Depth-first search with backtracking: one line of thought at a time, turning back when it fails.

Source: Yao et al. 2023, "Tree of Thoughts", arXiv:2305.10601, algorithm 2: a step whose score is
below `threshold` is given up and its parent tries again, at most `branching` times in all; then the
search goes one step further back. The sequential end of the scale between sequential and parallel
search: one step runs at a time.

Departure: when every way below the root is used up, the best rejected step is taken up after all,
rather than giving no answer.
"""

import numpy as np
from pydantic import Field

from tts.pipeline import Pipeline
from tts.search.policy import Decision, SearchPolicy
from tts.search.tree import ROOT, NodeState, SearchTree
from tts.strategies._search import SearchConfig, build_search, num_finished, stop_searching


class Policy(SearchPolicy):
    """Goes deeper from the last good step, or back to the one before."""

    branching: int = Field(3, ge=1, description="most tries of each step")
    threshold: float = Field(0.5, description="reward below which a step is given up")
    steps: int = Field(64, ge=1, description="most steps that are drawn in all")
    solutions: int = Field(1, ge=1, description="solutions after which the search ends")

    def decide(self, tree: SearchTree, rng: np.random.Generator) -> Decision:
        """Try one more step."""
        good = [
            int(n) for n in tree.with_state(NodeState.FINISHED) if tree.reward[n] >= self.threshold
        ]
        if len(good) >= self.solutions or len(tree) > self.steps:
            return stop_searching(tree)
        node = next_node(tree, self.branching, self.threshold)
        return Decision() if node is None else Decision(expand=((node, 1),))


class Config(SearchConfig, Policy):
    """Parameters of depth-first search with backtracking."""


def build(config: Config) -> Pipeline:
    """Search, then choose among the solutions."""
    return build_search(config, Policy)


def next_node(tree: SearchTree, branching: int, threshold: float) -> int | None:
    """Return the node to try a step from: the deepest good one, the latest of equals.

    Where none is left and there is no solution either, the best rejected one; None ends the search.
    """
    untried = [int(n) for n in tree.with_state(NodeState.OPEN) if tree.num_children[n] < branching]
    good = [n for n in untried if n == ROOT or tree.reward[n] >= threshold]
    if good:
        return max(good, key=lambda n: (tree.depth[n], n))
    if num_finished(tree) or not untried:
        return None
    return max(untried, key=lambda n: (tree.reward[n], tree.depth[n], -n))
