"""Figures over subtrees that the searches without levels need."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tts.search.tree import NodeState, SearchTree


def num_expanding(tree: SearchTree) -> int:
    """Return the number of nodes whose children are being generated or scored."""
    running = tree.with_state(NodeState.RUNNING)
    return len(set(tree.parent[running].tolist()))


def subtree_sums(tree: SearchTree, values: ArrayLike) -> NDArray[np.float64]:
    """Return, for each node, the sum of `values` over its subtree, itself included."""
    sums: list[float] = np.asarray(values, dtype=np.float64).tolist()
    parents = tree.parent.tolist()
    for node in range(len(tree) - 1, 0, -1):
        sums[parents[node]] += sums[node]
    return np.array(sums)


def children_of(tree: SearchTree) -> list[list[int]]:
    """Return the children of each node, in order."""
    children: list[list[int]] = [[] for _ in range(len(tree))]
    for node, parent in enumerate(tree.parent.tolist()):
        if node:
            children[parent].append(node)
    return children
