"""The search tree as arrays.

Tree nodes are numbered in the order in which they were asked for, so a parent's number is smaller
than its children's, and the numbers do not depend on the order of arrival. Node 0 is the root: the
prompt, without a step.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from enum import IntEnum
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tts.search.kv_blocks import NO_BLOCK, BlockTrie
from tts.types.arrays import FloatArray

ROOT = 0
_ROW = np.dtype(
    [
        ("parent", np.int32),
        ("depth", np.int32),
        ("place", np.int32),
        ("num_children", np.int32),
        ("start", np.int32),
        ("end", np.int32),
        ("reward", np.float64),
        ("prior", np.float64),
        ("visits", np.int32),
        ("value", np.float64),
        ("state", np.int32),
        ("copies", np.int32),
        ("block", np.int32),
    ]
)


class NodeState(IntEnum):
    """Where a tree node stands."""

    RUNNING = 0  # its step is being generated or scored
    OPEN = 1  # scored, can be continued
    FINISHED = 2  # a whole solution, scored
    PRUNED = 3  # given up by the policy
    FAILED = 4  # no completion or no score


class SearchTree:
    """Nodes as rows of arrays; every array property is a view in node order.

    Args:
        block_size: Tokens per KV block of the engine.
    """

    def __init__(self, block_size: int = 16) -> None:
        self.blocks = BlockTrie(block_size)
        self.num_expansions = 0
        self.texts: list[str] = [""]
        self._embeddings: dict[str, FloatArray] = {}
        self._memories: dict[int, str] = {}
        self.reasons: dict[int, str] = {}
        self._above = [-1]  # `parent` as a list, which single nodes are read from faster
        self._tokens: list[tuple[int, ...]] = [()]
        self._tails: list[tuple[int, ...]] = [()]
        self._rows = np.zeros(64, dtype=_ROW)
        self._rows[ROOT] = (-1, 0, 0, 0, 0, 0, 1.0, 1.0, 0, 0.0, NodeState.OPEN, 1, NO_BLOCK)
        self._size = 1

    def __len__(self) -> int:
        """Return the number of nodes, the root included."""
        return self._size

    @property
    def parent(self) -> NDArray[np.int32]:
        """Parent of each node; -1 for the root."""
        return self._ints("parent")

    @property
    def depth(self) -> NDArray[np.int32]:
        """Steps from the root."""
        return self._ints("depth")

    @property
    def place(self) -> NDArray[np.int32]:
        """Index among the children of the same parent."""
        return self._ints("place")

    @property
    def num_children(self) -> NDArray[np.int32]:
        """Children asked for, whatever became of them."""
        return self._ints("num_children")

    @property
    def start(self) -> NDArray[np.int32]:
        """Position of the step's first token, counted from the prompt's first."""
        return self._ints("start")

    @property
    def end(self) -> NDArray[np.int32]:
        """Position after the step's last token; `start` until the step is there."""
        return self._ints("end")

    @property
    def reward(self) -> NDArray[np.float64]:
        """The verifier's score; NaN before there is one, 1 for the root."""
        return self._floats("reward")

    @property
    def prior(self) -> NDArray[np.float64]:
        """exp(mean log-probability of the step's tokens); 1 where that is unknown."""
        return self._floats("prior")

    @property
    def visits(self) -> NDArray[np.int32]:
        """Scored nodes in the subtree, the node itself included."""
        return self._ints("visits")

    @property
    def value(self) -> NDArray[np.float64]:
        """Sum of the rewards in the subtree, the node's own included."""
        return self._floats("value")

    @property
    def state(self) -> NDArray[np.int32]:
        """A `NodeState` each."""
        return self._ints("state")

    @property
    def copies(self) -> NDArray[np.int32]:
        """How often a finished node counts."""
        return self._ints("copies")

    @property
    def embeddings(self) -> Mapping[str, FloatArray]:
        """Vector by text, of the steps that the policy's `step_embedder` has embedded."""
        return self._embeddings

    @property
    def memories(self) -> Mapping[int, str]:
        """What a node's step calls to mind, by node; its tokens follow the step's."""
        return self._memories

    def add_children(self, parent: int, num_children: int) -> int:
        """Add running children of an open node; returns the first one's number."""
        first, place = self._size, int(self.num_children[parent])
        while first + num_children > len(self._rows):
            self._rows = np.concatenate([self._rows, np.zeros_like(self._rows)])
        self._size += num_children
        rows = self._rows[first : self._size]
        rows["parent"] = parent
        rows["depth"] = self.depth[parent] + 1
        rows["place"] = np.arange(place, place + num_children)
        rows["start"] = rows["end"] = self.end[parent]
        rows["reward"] = np.nan
        rows["prior"] = 1.0
        rows["state"] = NodeState.RUNNING
        rows["copies"] = 1
        rows["block"] = self._rows["block"][parent]
        self.num_children[parent] += num_children
        self.num_expansions += 1
        self.texts += [""] * num_children
        self._above += [parent] * num_children
        self._tokens += [()] * num_children
        self._tails += [self._tails[parent]] * num_children
        return first

    def set_step(
        self, node: int, token_ids: Sequence[int], text: str = "", *, prior: float = 1.0
    ) -> None:
        """Say what a node's step is; for the root, the prompt. Children come after this."""
        parent = int(self.parent[node])
        block = NO_BLOCK if node == ROOT else int(self._rows["block"][parent])
        start = 0 if node == ROOT else int(self.end[parent])
        tail = () if node == ROOT else self._tails[parent]
        block, self._tails[node] = self.blocks.extend(block, (*tail, *token_ids))
        self._tokens[node] = tuple(token_ids)
        self.texts[node] = text
        row = self._rows[node : node + 1]
        row["start"], row["end"], row["block"] = start, start + len(token_ids), block
        row["prior"] = prior
        if node == ROOT:  # first children may have been asked for before the prompt was known
            first = np.flatnonzero((self.parent == ROOT) & (self.state == NodeState.RUNNING))
            self.start[first] = self.end[first] = len(token_ids)
            self._rows["block"][first] = block
            for child in first:
                self._tails[child] = self._tails[ROOT]

    def add_memory(self, node: int, token_ids: Sequence[int], text: str) -> None:
        """Append what a step calls to mind to its tokens. Children come after this."""
        step, prior = (*self._tokens[node], *token_ids), float(self.prior[node])
        self.set_step(node, step, self.texts[node], prior=prior)
        self._memories[node] = text

    def add_embedding(self, text: str, vector: FloatArray) -> None:
        """Say what a step's text is in the space of an embedding model; [D], the same D for all."""
        self._embeddings[text] = vector

    def score(self, node: int, reward: float, *, is_finished: bool = False) -> None:
        """Give a running node its reward and add that to `visits` and `value` up to the root."""
        self.reward[node] = reward
        self.state[node] = NodeState.FINISHED if is_finished else NodeState.OPEN
        path = self.path(node)
        self._rows["visits"][path] += 1
        self._rows["value"][path] += reward

    def fail(self, node: int, reason: str) -> None:
        """Say that a running node will have no step or no score."""
        self.state[node] = NodeState.FAILED
        self.reasons[node] = reason

    def prune(self, nodes: Iterable[int], reason: str) -> list[int]:
        """Give up nodes and all below them; returns those that were open or running."""
        below = np.zeros(self._size, dtype=bool)
        newest = np.fromiter(nodes, dtype=np.intp)
        while newest.size:
            below[newest] = True
            newest = 1 + np.flatnonzero(below[self.parent[1:]] & ~below[1:])  # the root has none
        is_alive = (self.state == NodeState.OPEN) | (self.state == NodeState.RUNNING)
        given_up = [int(node) for node in np.flatnonzero(below & is_alive)]
        self.state[given_up] = NodeState.PRUNED
        self.reasons.update(dict.fromkeys(given_up, reason))
        return given_up

    def path(self, node: int) -> list[int]:
        """Return the nodes from `node` up to the root, both included."""
        nodes = []
        while node >= 0:
            nodes.append(node)
            node = self._above[node]
        return nodes

    def with_ancestors(self, nodes: NDArray[np.integer[Any]]) -> NDArray[np.intp]:
        """Return these nodes and all above them up to the root, each once, in order."""
        found = np.zeros(self._size, dtype=bool)
        while nodes.size:
            found[nodes] = True
            nodes = np.unique(self.parent[nodes])
            nodes = nodes[(nodes >= 0) & ~found[nodes]]
        return np.flatnonzero(found)

    def step_tokens(self, node: int) -> tuple[int, ...]:
        """Return a step's own tokens; the prompt's for the root."""
        return self._tokens[node]

    def token_ids(self, node: int) -> tuple[int, ...]:
        """Return the prompt and all steps down to `node`."""
        return tuple(chain.from_iterable(self._tokens[n] for n in reversed(self.path(node))))

    def token_key(self, node: int) -> Hashable:
        """Return a key that two nodes share exactly if their token ids down to them are equal."""
        return int(self._rows["block"][node]), self._tails[node]

    def prefix(self, node: int) -> tuple[str, ...]:
        """Return the texts of the steps from the first one down to `node`."""
        return tuple(self.texts[n] for n in reversed(self.path(node)[:-1]))

    def with_state(self, *states: NodeState) -> NDArray[np.intp]:
        """Return the nodes in one of these states, in order."""
        return np.flatnonzero(np.isin(self.state, states))

    def is_in(self, node: int, state: NodeState) -> bool:
        """Return whether a node is in a state."""
        found: int = self._rows["state"].item(node)  # numpy's own numbers are slow beside an enum
        return found == state

    def open_leaves(self) -> NDArray[np.intp]:
        """Return the open nodes that have no children yet, in order."""
        return np.flatnonzero((self.state == NodeState.OPEN) & (self.num_children == 0))

    def live_leaves(self) -> NDArray[np.intp]:
        """Return the leaves that the search still works on: open ones and running ones."""
        is_open = (self.state == NodeState.OPEN) & (self.num_children == 0)
        return np.flatnonzero(is_open | (self.state == NodeState.RUNNING))

    def kv_blocks(self, leaves: Iterable[int]) -> int:
        """Return the KV blocks that hold these leaves at once, shared ones counted once.

        A running node counts with its prompt, for its step is not known yet. This is a lower
        bound of what an engine holds: vLLM does not merge equal blocks that were computed at the
        same time, and computes the last block of a prompt again when the prompt ends with it.
        """
        rows = [int(leaf) for leaf in leaves]
        return self.blocks.count(self.last_blocks(rows)) + self.num_tails(rows)

    def block_tree(self, nodes: Sequence[int]) -> tuple[list[int], list[int]]:
        """Return the full KV blocks that hold these nodes, as a tree whose root is no block.

        Returns:
            The place of each node's last block, and for each place that of the block before it,
            which is smaller; place 0 is the root, with -1 before it.
        """
        last = self.last_blocks(nodes)
        before = self.blocks.before(last)
        place = {NO_BLOCK: 0, **{block: row for row, block in enumerate(before, start=1)}}
        return [place[b] for b in last], [-1, *(place[b] for b in before.values())]

    def last_blocks(self, nodes: Sequence[int]) -> list[int]:
        """Return each node's last full KV block, a number of `blocks`; `NO_BLOCK` without one."""
        last: list[int] = self._rows["block"][list(nodes)].tolist()
        return last

    def num_tails(self, nodes: Iterable[int]) -> int:
        """Return how many of these nodes end with a partly filled KV block."""
        return sum(1 for node in nodes if self._tails[node])

    def _ints(self, name: str) -> NDArray[np.int32]:
        column: NDArray[np.int32] = self._rows[name][: self._size]
        return column

    def _floats(self, name: str) -> NDArray[np.float64]:
        column: NDArray[np.float64] = self._rows[name][: self._size]
        return column
