"""What a tree search held and did, for the trace and the ledger.

The trace gets an event for each decision (`tts.search.events.Decided`), step, memory, pruning and
failure, and in the end one with the figures and the whole tree (`tts.search.view`).
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

from tts.protocols import Context
from tts.search.events import Decided, Held
from tts.search.kv_blocks import NO_BLOCK, BlockTrie, LiveBlocks, reusable_tokens
from tts.search.policy import Decision
from tts.search.tree import ROOT, NodeState, SearchTree
from tts.search.view import to_json
from tts.types import SearchFigures, Trajectory, Usage

_ENOUGH = 4  # solutions of one step, by which a search was none


class SearchAccount:
    """Counts KV blocks, cache hits and steps of one search.

    Args:
        context: Takes the events.
        tree: Is counted.
    """

    def __init__(self, context: Context, tree: SearchTree) -> None:
        self._context = context
        self._tree = tree
        self._before: list[Held] = []
        self._kept: list[Held] = []
        self._doubts = Counter[str]()
        self._tokens = BlockTrie(1)
        self._live_blocks = LiveBlocks(tree.blocks)
        self._live_tokens = LiveBlocks(self._tokens)
        self._last_token: dict[int, int] = {}
        self._cached = 0
        self._reusable = 0

    def held(self) -> Held:
        """Return what the live leaves hold."""
        tree = self._tree
        leaves = tree.live_leaves()
        places = leaves.tolist()
        parents = tree.parent[leaves].tolist()
        known = self._last_token
        last_tokens = {
            node: known.get(node, known.get(parent, NO_BLOCK))
            for node, parent in zip(places, parents, strict=True)
        }
        nodes = tree.with_ancestors(leaves)
        return Held(
            blocks=self.kv_blocks(places),
            tokens=self._live_tokens.count(last_tokens),
            node_tokens=int((tree.end[nodes] - tree.start[nodes]).sum()),
        )

    def kv_blocks(self, leaves: Sequence[int]) -> int:
        """Return what `SearchTree.kv_blocks` does, quickly where the leaves are much the same."""
        last = dict(zip(leaves, self._tree.last_blocks(leaves), strict=True))
        return self._live_blocks.count(last) + self._tree.num_tails(leaves)

    def decided(self, before: Held, expand: Sequence[tuple[int, int]], decision: Decision) -> Held:
        """Note a decision and what was held before its pruning; returns what is held after it."""
        kept = self.held()
        if len(self._tree) > 1:
            self._before.append(before)
            self._kept.append(kept)
            if expand:
                self._doubts[decision.doubt] += 1
        decided = Decided(before, kept, tuple(expand), decision.notes)
        self._context.emit(Decided.KIND, **decided.to_values())
        for warning in decision.warnings:
            self._context.warn(warning)
        return kept

    def step_blocks(self) -> int:
        """Return how many KV blocks a step is likely to add: those of the mean step so far."""
        tokens = self._tree.end[1:] - self._tree.start[1:]
        known = tokens[tokens > 0]
        return math.ceil(known.mean() / self._tree.blocks.block_size) if known.size else 1

    def pruned(self, nodes: Sequence[int], reason: str) -> None:
        """Note tree nodes that were given up."""
        if nodes:
            self._context.emit("prune", nodes=list(nodes), reason=reason)

    def failed(self, node: int, reason: str) -> None:
        """Note a tree node without a step or without a score."""
        self._context.emit("fail", tree_node=node, reason=reason)

    def arrived(self, node: int, usage: Usage) -> None:
        """Note a step, and its cache hits; first steps share a prefill instead."""
        parent = int(self._tree.parent[node])
        if parent == ROOT and ROOT not in self._last_token:
            self._last_token[ROOT] = self._extend(NO_BLOCK, ROOT)
        self._last_token[node] = self._extend(self._last_token[parent], node)
        if parent != ROOT and usage.cached_tokens is not None:
            self._cached += usage.cached_tokens
            size = self._tree.blocks.block_size
            self._reusable += reusable_tokens(usage.prompt_tokens or 0, size)

    def recalled(self, node: int, num_tokens: int) -> None:
        """Note what a step calls to mind, which is part of its node."""
        self._last_token[node] = self._extend(self._last_token[int(self._tree.parent[node])], node)
        text = self._tree.memories[node]
        self._context.emit("recall", tree_node=node, tokens=num_tokens, text=text)

    def scored(self, node: int, trajectory: Trajectory) -> None:
        """Note a step and its reward."""
        tree = self._tree
        reward = float(tree.reward[node])
        self._context.emit(
            "step",
            tree_node=node,
            parent=int(tree.parent[node]),
            id=trajectory.id,
            reward=None if math.isnan(reward) else reward,
            tokens=int(tree.end[node] - tree.start[node]),
            finish_reason=trajectory.finish_reason,
        )

    def copy(self, trajectory: Trajectory, number: int) -> Trajectory:
        """Return one more copy of a finished solution, which costs nothing."""
        return replace(
            trajectory,
            id=f"{trajectory.id}*{number}",
            origin=replace(
                trajectory.origin, index=trajectory.origin.index + number * len(self._tree)
            ),
            parents=(trajectory.id,),
            usage=Usage(),
        )

    def _extend(self, before: int, node: int) -> int:
        return self._tokens.extend(before, self._tree.step_tokens(node))[0]

    def close(self) -> None:
        """Report the figures and the tree, and charge the most KV blocks held at once."""
        self._warn()
        info, figures = self._context.engine.info, self.figures()
        self._context.searched(figures, to_json(self._tree))
        if info.kv_block_size is not None:
            self._context.charge(info, Usage(peak_kv_blocks=figures.peak_kv_blocks))

    def _warn(self) -> None:
        """Say what made the search worth little."""
        for doubt, count in self._doubts.items():
            if doubt and 2 * count > self._doubts.total():
                self._context.warn(doubt)
        solved = self._tree.with_state(NodeState.FINISHED)
        if len(solved) >= _ENOUGH and (self._tree.depth[solved] == 1).all():
            self._context.warn(
                "every solution came in one step, so that nothing was searched: set `separator` to "
                "what the model writes between steps"
            )

    def figures(self) -> SearchFigures:
        """Return what the search has held and done so far."""
        tree = self._tree
        return SearchFigures(
            steps=len(tree) - 1,
            finished=len(tree.with_state(NodeState.FINISHED)),
            peak_kv_blocks=max(held.blocks for held in [self.held(), *self._before]),
            mean_kv_blocks=_mean([held.blocks for held in self._before]),
            mean_kv_blocks_kept=_mean([held.blocks for held in self._kept]),
            mean_kv_tokens=_mean([held.tokens for held in self._before]),
            mean_kv_tokens_kept=_mean([held.tokens for held in self._kept]),
            mean_kv_node_tokens=_mean([held.node_tokens for held in self._before]),
            mean_kv_node_tokens_kept=_mean([held.node_tokens for held in self._kept]),
            tree_tokens=int((tree.end - tree.start).sum()),
            cached_tokens=self._cached,
            reusable_tokens=self._reusable,
            mean_solution_tokens=_mean(self._solution_tokens()),
        )

    def _solution_tokens(self) -> list[int]:
        tree = self._tree
        finished = tree.with_state(NodeState.FINISHED)
        return [int(tree.end[node] - tree.end[ROOT]) for node in finished]


def _mean(values: Sequence[int]) -> float:
    return round(fmean(values), 2) if values else 0.0
