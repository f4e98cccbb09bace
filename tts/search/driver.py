"""One tree search as it runs: does what its policy decides, and asks again when that may change.

What arrives (a step, a reward, the end of a request) waits until the search deals with it, and is
then part of the tree. A policy that is asked at any time sees another tree when things come in
another order; so that order is in the run's log, and a resumed search keeps to it.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from tts.errors import ContextError, innermost
from tts.protocols import Arrivals, CompletionStream, Context, Outlet
from tts.search.grown import GrownTree
from tts.search.options import SearchOptions
from tts.search.playout import cut_playout
from tts.search.policy import Decision
from tts.search.rewards import StepJudge, Verdict
from tts.search.tree import ROOT, NodeState
from tts.types import Completion, GenerationRequest, Trajectory


class Search:
    """Drives a policy.

    Every child that was asked for runs until its step has arrived and has its reward. What was
    given up meanwhile is not looked at again: `GrownTree.is_running` tells.

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
        self._arrived: dict[str, Callable[[], bool]] = {}  # and whether the policy is to be asked
        self._order = None if self._policy.by_level else context.arrivals(options.model_dump_json())
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
        await self._act(self._decision())
        while self._num_running or self._arrived:
            await self._changed.wait()
            self._changed.clear()
            if self._take() and not self._is_spent:
                await self._act(self._decision())

    def _take(self) -> bool:
        """Deal with what has arrived; returns whether the policy is to be asked."""
        if self._order is None:
            for name in tuple(self._arrived):
                self._arrived.pop(name)()
            return not self._num_running
        return self._take_next(self._order)

    def _take_next(self, order: Arrivals) -> bool:
        """Deal with what comes next, alone: had two come at once, they might not the next time."""
        name = order.expected
        if name not in self._arrived:
            if (name and self._num_running) or not self._arrived:
                return False  # what was dealt with next in the recorded run is still to come
            name = next(iter(self._arrived))
        order.note(name)
        is_asked = self._arrived.pop(name)()
        if self._arrived:
            self._changed.set()
        return is_asked

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
        self._changed.set()

    def _arrive(self, name: str, deal: Callable[[], bool]) -> None:
        """Have something dealt with in its turn; `deal` returns whether to ask the policy then."""
        self._arrived[name] = deal
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
                    self._arrive(
                        f"step {node}", partial(self._step, node, before, completion, seed)
                    )
            except ContextError as error:
                if parent == ROOT:
                    raise
                refusal = str(error)
            finally:
                del self._streams[children]
        self._arrive(f"end {children[0]}", partial(self._miss, missing, refusal))

    def _step(self, node: int, before: Trajectory, completion: Completion, seed: int) -> bool:
        """Add a step, or those of a whole solution, to the tree, and have the last one scored."""
        grown, steps = self._grown, [completion]
        if self._policy.plays_out:
            most = self._options.max_depth + 1 - int(grown.tree.depth[node])
            steps = cut_playout(self._options, before, completion, most=most)
        for place, step in enumerate(steps):
            if place:
                before = grown.trajectories[node]
                node = grown.tree.add_children(node, 1)
            if not grown.arrive(node, before, step, seed):
                return True
        self._begin(self._reward(node))
        return False

    def _request(self, parent: int, children: range) -> GenerationRequest:
        tree, before = self._grown.tree, self._grown.trajectories[parent]
        plays_out = self._policy.plays_out
        is_last = plays_out or int(tree.depth[parent]) + 1 >= self._options.max_depth
        sampling = self._options.step_sampling(self._context.sampling, before, is_last=is_last)
        return GenerationRequest(
            self._grown.prompt(parent, before),
            replace(sampling, offsets=plays_out),
            n=len(children),
            seed=self._context.seed(before.id) + int(tree.place[children[0]]),
        )

    def _miss(self, nodes: set[int], refusal: str) -> bool:
        """Give up children that never came: the prompt is too long, or the budget ended."""
        for node in filter(self._grown.is_running, sorted(nodes)):
            self._grown.fail(node, refusal or "the budget is spent")
            self._is_spent = self._is_spent or not refusal
        return True

    async def _reward(self, node: int) -> None:
        verdict = await self._judge.judge(node)
        self._arrive(f"reward {node}", partial(self._settle, node, verdict))

    def _settle(self, node: int, verdict: Verdict) -> bool:
        """Give a node its reward, and send it if it is a solution."""
        is_finished = self._grown.trajectories[node].finish_reason is not None
        if self._policy.plays_out:
            self._judge.settle_way(node, verdict)
        if self._judge.settle(node, verdict) and is_finished and not self._policy.holds_finished:
            self._send(node)
        return True

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
