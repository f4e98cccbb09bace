"""Monte Carlo tree search over steps; each path is played to its end, and scores are rewards.

Sources: PUCT as in AlphaZero and `openreasoner/openr` (arXiv:2410.09671); UCT as Kocsis and
Szepesvari 2006. A leaf is reached from the root by the best of

    puct: Q + p c(N) sqrt(N) / (1 + n),  c(N) = ln((N + 19652 + 1) / 19652) + 1.25
    uct:  Q + exploration sqrt(ln N / n)

with N and n the visits of parent and child, Q the mean reward in the child's subtree and p the
child's share of exp(mean log-probability) among its siblings. It is then expanded by `branching`
steps, each of which counts as a visit with its reward all the way up, and the path goes on below it
by the same rule until a step finishes a solution. So that `parallel` paths run at once, a running
step counts as a visit with reward 0 (virtual loss: Chaslot et al. 2008).

With `memory` it is CoAT (Pan et al. 2025, arXiv:2502.02390; no code is public): after each step a
source outside the model is asked for knowledge, which all steps below read (`tts.search.recall`,
and `memories/` for the sources).

Departures from `openr`: every step is a visit, not the last one of a path alone; a finished
solution, an exhausted subtree and a repeated step are not selected again. From CoAT:
what a memory is worth is ours (what it adds to the reward model's score, which takes a call for
each), and so is its weight of 0.5; every step recalls, also one that is never gone on from.
"""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from tts.pipeline import Pipeline
from tts.search.policy import Decision, SearchPolicy
from tts.search.tree import ROOT, NodeState, SearchTree
from tts.strategies._search import SearchConfig, build_search, num_solutions, stop_searching
from tts.strategies._tree_stats import children_of, num_expanding, subtree_sums

Rule = Literal["puct", "uct"]
_PUCT_BASE, _PUCT_INIT = 19652, 1.25


class Policy(SearchPolicy):
    """Selects leaves by PUCT or UCT."""

    branching: int = Field(4, ge=1, description="children of each expanded leaf")
    expansions: int = Field(32, ge=1, description="expansions after which no path begins")
    solutions: int = Field(8, ge=1, description="different solutions after which the search ends")
    parallel: int = Field(4, ge=1, description="paths that run at once")
    rule: Rule = Field(
        "puct", description="how a path descends: puct weighs by a prior, uct by visits alone"
    )
    exploration: float = Field(
        math.sqrt(2), ge=0, description="weight of rarely visited children under uct"
    )
    prior: Literal["logprob", "uniform"] = Field(
        "logprob", description="prior of a child under puct: its log-probability, or all alike"
    )

    @property
    def by_level(self) -> bool:
        """Never waits for a level."""
        return False

    @property
    def logprobs(self) -> int:
        """One candidate is enough for the drawn token's own log-probability."""
        return int(self.rule == "puct" and self.prior == "logprob")

    def decide(self, tree: SearchTree, rng: np.random.Generator) -> Decision:
        """Go on with the paths whose steps have arrived, and begin others beside them."""
        if tree.num_expansions == 0:
            return Decision(expand=((ROOT, self.branching),))
        if num_solutions(tree) >= self.solutions:
            return stop_searching(tree)
        repeated = repeated_steps(tree)
        ends = path_ends(tree, repeated)
        room = min(self.parallel - num_expanding(tree), self.expansions - tree.num_expansions)
        starts = [*ends, *[ROOT] * (room - len(ends))]
        leaves = self.select(tree, starts, set(repeated))
        return Decision(
            expand=tuple((leaf, self.branching) for leaf in leaves),
            prune=dict.fromkeys(repeated, "says the same as a sibling"),
        )

    def select(self, tree: SearchTree, starts: Sequence[int], without: set[int]) -> list[int]:
        """Return a leaf below each start that has one, as if those before it were running."""
        children = children_of(tree)
        is_running = tree.state == NodeState.RUNNING
        visits = tree.visits + subtree_sums(tree, is_running)
        is_leaf = np.zeros(len(tree))
        is_leaf[[leaf for leaf in tree.open_leaves().tolist() if leaf not in without]] = 1
        leaves_below = subtree_sums(tree, is_leaf)
        chosen: list[int] = []
        for node in starts:
            if leaves_below[node] <= 0:
                continue
            while children[node]:
                alive = [child for child in children[node] if leaves_below[child] > 0]
                scores = self._scores(tree, node, alive, visits)
                node = alive[int(np.argmax(scores))]
            chosen.append(node)
            for ancestor in tree.path(node):
                visits[ancestor] += self.branching
                leaves_below[ancestor] -= 1
        return chosen

    def _scores(
        self, tree: SearchTree, node: int, alive: Sequence[int], visits: np.ndarray
    ) -> list[float]:
        total = float(visits[node])
        if self.rule == "uct":
            return [
                uct(tree.value[c] / visits[c], total, visits[c], self.exploration) for c in alive
            ]
        priors = tree.prior[list(alive)] if self.prior == "logprob" else np.ones(len(alive))
        share = priors / priors.sum()
        return [
            puct(tree.value[child] / visits[child], float(p), total, float(visits[child]))
            for child, p in zip(alive, share, strict=True)
        ]


class Config(SearchConfig, Policy):
    """Parameters of Monte Carlo tree search."""


def build(config: Config) -> Pipeline:
    """Search, then choose among the solutions."""
    return build_search(config, Policy)


def uct(mean: float, parent_visits: float, visits: float, exploration: float) -> float:
    """Return Q + c sqrt(ln N / n)."""
    return float(mean + exploration * math.sqrt(math.log(max(1.0, parent_visits)) / visits))


def puct(mean: float, prior: float, parent_visits: float, visits: float) -> float:
    """Return Q + p c(N) sqrt(N) / (1 + n)."""
    rate = math.log((parent_visits + _PUCT_BASE + 1) / _PUCT_BASE) + _PUCT_INIT
    return float(mean + prior * rate * math.sqrt(parent_visits) / (1 + visits))


def path_ends(tree: SearchTree, without: Sequence[int] = ()) -> list[int]:
    """Return the nodes from which a path goes on: to open children, not to those in `without`.

    None of their steps is running, continued or a solution.
    """
    goes_on = (tree.num_children > 0) | np.isin(tree.state, (NodeState.RUNNING, NodeState.FINISHED))
    goes_on[ROOT] = False  # it is nobody's step
    is_passed = np.zeros(len(tree), dtype=bool)
    is_passed[tree.parent[goes_on]] = True
    parents = np.unique(tree.parent[np.setdiff1d(tree.open_leaves(), without)])
    ends: list[int] = parents[~is_passed[parents]].tolist()
    return ends


def repeated_steps(tree: SearchTree) -> list[int]:
    """Return the open leaves whose text an earlier sibling has."""
    is_said = ~np.isin(tree.state, (NodeState.FAILED, NodeState.RUNNING))
    parents, leaves = tree.parent.tolist(), set(tree.open_leaves().tolist())
    seen: set[tuple[int, str]] = set()
    repeated = []
    for node in np.flatnonzero(is_said).tolist():
        key = (parents[node], tree.texts[node])
        if key in seen and node in leaves:
            repeated.append(node)
        seen.add(key)
    return repeated
