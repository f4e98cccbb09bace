"""One tree search as it runs: does what its policy decides, and asks again when that may change."""

import asyncio
from collections.abc import Coroutine, Mapping
from contextlib import aclosing
from typing import Any

import numpy as np

from tts.errors import ContextError, innermost
from tts.protocols import CompletionStream, Context, Outlet
from tts.search.grown import GrownTree
from tts.search.options import SearchOptions
from tts.search.policy import Decision
from tts.search.rewards import StepJudge
from tts.search.tree import ROOT, NodeState
from tts.types import GenerationRequest


class Search:
    """Drives a policy.

    Every child that was asked for runs until its step has arrived and has its reward. What was
    given up meanwhile is not looked at again: `GrownTree.is_running` tells, after each wait.

    Args:
        context: The node's context.
        options: What to do.
        outlet: Takes the finished solutions.
    """

    def __init__(self, context: Context, options: SearchOptions, outlet: Outlet) -> None:
        self._context = context
        self._options = options
        self._policy = options.policy
        self._outlet = outlet
        self._grown = GrownTree(context, options)
        self._judge = StepJudge(self._grown)
        self._streams: dict[range, CompletionStream] = {}  # by the children that they bring
        self._changed = asyncio.Event()
        self._group = asyncio.TaskGroup()
        self._num_running = 0
        self._is_spent = False
        self._recorded = {ROOT}

    async def run(self) -> None:
        """Search to the end.

        Raises:
            ContextError: The problem itself is too long.
            EngineError: The engine died.
        """
        try:
            async with self._group:
                await self._drive()
            if self._policy.holds_finished:
                self._send_held()
        except ExceptionGroup as errors:
            raise innermost(errors) from None
        finally:
            self._context.kv_market.leave(self)
            self._grown.account.close()

    async def _drive(self) -> None:
        while True:
            if not self._is_spent:
                await self._act(self._decision())
            if not self._num_running:
                return
            await self._changed.wait()
            self._changed.clear()

    def _decision(self) -> Decision:
        """Ask the policy, at the market's price where it bids for KV blocks."""
        tree = self._grown.tree
        bid = self._policy.bid(tree)
        if bid is None:
            return self._policy.decide(tree, self._rng())
        return bid.decide(self._context.kv_market.price(self, bid.demand, share=bid.share))

    def _rng(self) -> np.random.Generator:
        """Return draws that depend on the state of the search, not on who asked before."""
        place = (self._grown.tree.num_expansions, len(self._grown.tree))
        return np.random.default_rng((self._context.seed("policy"), *place))

    async def _act(self, decision: Decision) -> None:
        tree, account, market = self._grown.tree, self._grown.account, self._context.kv_market
        before = account.held()
        for node, count in decision.copies.items():
            tree.copies[node] = count
        self._prune(decision.prune)
        wanted = [
            (node, count)
            for node, count in decision.expand
            if count > 0 and tree.is_in(node, NodeState.OPEN)
        ]
        kept = account.decided(before, wanted, decision)
        coming = sum(count for _, count in wanted) * account.step_blocks()
        market.hold(self, kept.blocks + coming)
        if wanted:
            await market.turn(self, lambda: self._context.is_expired)
        for parent, count in wanted:
            first = tree.add_children(parent, count)
            self._begin(self._expand(parent, range(first, first + count)))

    def _prune(self, reason_by_node: Mapping[int, str]) -> None:
        """Give up nodes, and the requests that would bring none but those."""
        if not reason_by_node:
            return
        tree = self._grown.tree
        for reason in dict.fromkeys(reason_by_node.values()):
            nodes = [node for node, why in reason_by_node.items() if why == reason]
            self._grown.account.pruned(tree.prune(nodes, reason), reason)
        for children, stream in self._streams.items():
            if not any(map(self._grown.is_running, children)):
                self._group.create_task(_close(stream))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a part of the search beside the others; the policy may be asked when it has ended."""
        self._num_running += 1
        self._group.create_task(work).add_done_callback(self._end)

    def _end(self, _: asyncio.Task[None]) -> None:
        self._num_running -= 1
        self._wake()

    def _wake(self) -> None:
        """Have the policy asked, if this is a moment for it."""
        if not (self._num_running and self._policy.by_level):
            self._changed.set()

    async def _expand(self, parent: int, children: range) -> None:
        """Generate the children of one node as one request, so that they share its KV blocks."""
        missing, refusal = set(children), ""
        before, request = self._grown.trajectories[parent], self._request(parent, children)
        async with aclosing(self._context.generate(request)) as stream:
            self._streams[children] = stream
            try:
                async for completion in stream:
                    node = children[completion.index]
                    missing.discard(node)
                    seed = request.seed + completion.index
                    if not self._grown.arrive(node, before, completion, seed):
                        self._wake()
                    elif missing:
                        self._begin(self._reward(node))
                    else:  # nothing to wait for meanwhile
                        await self._reward(node)
            except ContextError as error:
                if parent == ROOT:
                    raise
                refusal = str(error)
            finally:
                del self._streams[children]
        self._miss(missing, refusal)

    def _request(self, parent: int, children: range) -> GenerationRequest:
        tree, before = self._grown.tree, self._grown.trajectories[parent]
        is_last = int(tree.depth[parent]) + 1 >= self._options.max_depth
        return GenerationRequest(
            self._grown.prompt(parent, before),
            self._options.step_sampling(self._context.sampling, before, is_last=is_last),
            n=len(children),
            seed=self._context.seed(before.id) + int(tree.place[children[0]]),
        )

    def _miss(self, nodes: set[int], refusal: str) -> None:
        """Give up children that never came: the prompt is too long, or the budget ended."""
        for node in filter(self._grown.is_running, sorted(nodes)):
            self._grown.fail(node, refusal or "the budget is spent")
            self._is_spent = self._is_spent or not refusal

    async def _reward(self, node: int) -> None:
        is_finished = self._grown.trajectories[node].finish_reason is not None
        if await self._judge.judge(node) and is_finished and not self._policy.holds_finished:
            self._send(node)

    def _send(self, node: int) -> None:
        trajectories = self._grown.trajectories
        for ancestor in self._grown.tree.path(node)[1:]:
            if ancestor not in self._recorded:
                self._recorded.add(ancestor)
                self._context.record(trajectories[ancestor])
        self._outlet.send(trajectories[node])

    def _send_held(self) -> None:
        """Send finished solutions as often as they count; a copy costs nothing."""
        tree = self._grown.tree
        for node in tree.with_state(NodeState.FINISHED).tolist():
            copies = int(tree.copies[node])
            if copies:
                self._send(node)
            original = self._grown.trajectories[node]
            for copy in range(1, copies):
                self._outlet.send(self._grown.account.copy(original, copy))


async def _close(stream: CompletionStream) -> None:
    await stream.aclose()
