"""One tree search as it runs: expansions in flight, scores, cancellation."""

import asyncio
from collections.abc import Coroutine, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from tts import prompts
from tts.errors import ContextError, innermost
from tts.protocols import CompletionStream, Context, Outlet
from tts.search.account import SearchAccount
from tts.search.policy import Decision, SearchPolicy
from tts.search.recall import Association, Recaller
from tts.search.step_embeddings import StepEmbedder
from tts.search.step_scores import Reduction, StepScorer
from tts.search.steps import Stepwise, empty_trajectory, mean_probability
from tts.search.tree import ROOT, NodeState, SearchTree
from tts.trajectories import ask
from tts.types import Completion, GenerationRequest, Prompt, Trajectory

_DEFAULT_BLOCK_SIZE = 16  # of engines that do not tell; vLLM's own on GPUs


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """What a search is asked to do; see `tts.operators.tree_search.TreeSearch`."""

    steps: Stepwise
    association: Association
    policy: SearchPolicy
    verifier: str
    reduction: Reduction
    max_depth: int
    lookahead: int


class Search:
    """Drives a policy: does what it decides, and asks again when something has changed.

    Args:
        context: The node's context.
        options: What to do.
        outlet: Takes the finished solutions.
    """

    def __init__(self, context: Context, options: SearchOptions, outlet: Outlet) -> None:
        self._context = context
        self._options = options
        self._outlet = outlet
        self._tree = SearchTree(context.engine.info.kv_block_size or _DEFAULT_BLOCK_SIZE)
        self._account = SearchAccount(context, self._tree)
        self._scorer = StepScorer(context, options.verifier, options.reduction)
        self._embedder = StepEmbedder(context, options.policy.step_embedder, self._tree)
        self._recaller = Recaller(
            context,
            options.steps,
            options.association,
            tree=self._tree,
            account=self._account,
            scorer=self._scorer,
        )
        self._trajectories: dict[int, Trajectory] = {ROOT: empty_trajectory(context)}
        self._streams: dict[int, tuple[CompletionStream, range]] = {}
        self._changed = asyncio.Event()
        self._tree.kv_price = partial(context.kv_market.price, self)
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
            if self._options.policy.holds_finished:
                self._send_held()
        except ExceptionGroup as errors:
            raise innermost(errors) from None
        finally:
            self._context.kv_market.leave(self)
            self._account.close()

    async def _drive(self) -> None:
        while True:
            if not self._is_spent:
                await self._act(self._options.policy.decide(self._tree, self._rng()))
            if not self._num_running:
                return
            await self._changed.wait()
            self._changed.clear()

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a part of the search beside the others; the policy may be asked when it has ended."""
        self._num_running += 1
        self._group.create_task(work).add_done_callback(self._end)

    def _end(self, _: asyncio.Task[None]) -> None:
        self._num_running -= 1
        self._wake()

    def _wake(self) -> None:
        """Have the policy asked, if this is a moment for it."""
        if not (self._num_running and self._options.policy.by_level):
            self._changed.set()

    def _rng(self) -> np.random.Generator:
        """Return draws that depend on the state of the search, not on who asked before."""
        place = (self._tree.num_expansions, len(self._tree))
        return np.random.default_rng((self._context.seed("policy"), *place))

    async def _act(self, decision: Decision) -> None:
        tree, before = self._tree, self._account.held()
        for node, count in decision.copies.items():
            tree.copies[node] = count
        self._prune(decision.prune)
        wanted = [
            (node, count)
            for node, count in decision.expand
            if count > 0 and tree.is_in(node, NodeState.OPEN)
        ]
        kept = self._account.decided(before, wanted, decision)
        coming = sum(count for _, count in wanted) * self._account.step_blocks()
        market = self._context.kv_market
        market.hold(self, kept.blocks + coming)
        if wanted:
            await market.turn(self, lambda: self._context.is_expired)
        for parent, count in wanted:
            first = tree.add_children(parent, count)
            self._begin(self._expand(parent, range(first, first + count)))

    def _prune(self, reason_by_node: Mapping[int, str]) -> None:
        if not reason_by_node:
            return
        for reason in dict.fromkeys(reason_by_node.values()):
            nodes = [node for node, why in reason_by_node.items() if why == reason]
            self._account.pruned(self._tree.prune(nodes, reason), reason)
        for stream, children in self._streams.values():
            states = self._tree.state[children.start : children.stop]
            if not (states == NodeState.RUNNING).any():
                self._group.create_task(_close(stream))

    async def _expand(self, parent: int, children: range) -> None:
        """Generate the children of one node as one request, so that they share its KV blocks."""
        options, tree, context = self._options, self._tree, self._context
        before = self._trajectories[parent]
        seed = context.seed(before.id) + int(tree.place[children[0]])
        is_last = int(tree.depth[parent]) + 1 >= options.max_depth
        request = GenerationRequest(
            self._prompt(parent, before),
            options.steps.step_sampling(context.sampling, before, is_last=is_last),
            n=len(children),
            seed=seed,
        )
        missing, shortfall = set(children), ""
        try:
            async with aclosing(context.generate(request)) as stream:
                self._streams[children[0]] = (stream, children)
                while (completion := await _next(stream, may_fail=parent != ROOT)) is not None:
                    if isinstance(completion, ContextError):
                        shortfall = str(completion)
                        break
                    node = children[completion.index]
                    missing.discard(node)
                    self._arrive(node, before, completion, seed + completion.index)
                    if not tree.is_in(node, NodeState.RUNNING):
                        self._wake()
                    elif missing:
                        self._begin(self._score(node))
                    else:  # nothing to wait for meanwhile
                        await self._score(node)
            self._miss(missing, shortfall)
        finally:
            self._streams.pop(children[0], None)

    def _miss(self, nodes: set[int], shortfall: str) -> None:
        """Give up children that never came: too long, or the budget ended."""
        for node in sorted(nodes):
            if self._tree.is_in(node, NodeState.RUNNING):
                self._fail(node, shortfall or "the budget is spent")
                self._is_spent = self._is_spent or not shortfall

    def _arrive(self, node: int, before: Trajectory, completion: Completion, seed: int) -> None:
        """Note a step; one that can be scored stays running."""
        tree, place = self._tree, int(self._tree.place[node])
        if not tree.end[ROOT]:
            tree.set_step(ROOT, completion.prompt_token_ids)
        trajectory = self._options.steps.continued(
            self._context,
            before,
            completion,
            trajectory_id=f"{before.id}.{place}" if before.steps else f"{before.id}{place}",
            index=node,
            seed=seed,
        )
        prior = mean_probability(completion.logprobs)
        tree.set_step(node, completion.token_ids, completion.text, prior=prior)
        self._account.arrived(node, completion.usage)
        self._trajectories[node] = trajectory
        if trajectory.finish_reason in ("error", "cancelled"):
            self._context.record(trajectory)
            self._fail(node, trajectory.error or "cancelled")
        elif trajectory.finish_reason is None and not completion.text.strip():
            self._fail(node, "empty step")

    async def _score(self, node: int) -> None:
        trajectory = self._trajectories[node]
        played = await self._look_ahead(node, trajectory)
        score = await self._scorer.score(self._options.steps.as_paragraphs(played))
        is_finished = trajectory.finish_reason is not None
        if self._options.policy.step_embedder and not is_finished:
            await self._embedder.embed(self._tree.texts[node])
        self._trajectories[node] = trajectory.with_score(self._options.verifier, score)
        if not self._tree.is_in(node, NodeState.RUNNING):
            return
        if score.value is None:
            self._fail(node, f"no score: {score.error}")
        else:
            gain = 0.0 if is_finished else await self._recaller.recall(node, trajectory)
            if not self._tree.is_in(node, NodeState.RUNNING):
                return
            self._tree.score(node, score.value + gain, is_finished=is_finished)
        self._account.scored(node, self._trajectories[node])
        if is_finished and not self._options.policy.holds_finished:
            self._send(node)

    def _prompt(self, node: int, trajectory: Trajectory) -> Prompt:
        """Return the prompt that continues a tree node, or what was played out below it."""
        if node == ROOT:
            return prompts.solve(self._context.problem)
        played = trajectory.token_ids[len(self._trajectories[node].token_ids) :]
        return Prompt(token_ids=self._tree.token_ids(node) + played)

    async def _look_ahead(self, node: int, trajectory: Trajectory) -> Trajectory:
        """Play a step out greedily, so that it is scored by where it leads."""
        options, context = self._options, self._context
        played = trajectory
        for ahead in range(options.lookahead):
            if played.finish_reason is not None:
                break
            seed = context.seed(f"{trajectory.id}+{ahead}")
            greedy = replace(context.sampling, temperature=0.0)
            sampling = options.steps.step_sampling(greedy, played)
            prompt = self._prompt(node, played)
            completion = await ask(context, prompt, seed=seed, sampling=sampling)
            if completion is None or completion.finish_reason in ("error", "cancelled"):
                break
            played = options.steps.continued(
                context,
                played,
                completion,
                trajectory_id=f"{trajectory.id}+{ahead}",
                index=trajectory.origin.index,
                seed=seed,
            )
        return played

    def _fail(self, node: int, reason: str) -> None:
        self._tree.fail(node, reason)
        self._account.failed(node, reason)

    def _send(self, node: int) -> None:
        for ancestor in self._tree.path(node)[1:]:
            if ancestor not in self._recorded:
                self._recorded.add(ancestor)
                self._context.record(self._trajectories[ancestor])
        self._outlet.send(self._trajectories[node])

    def _send_held(self) -> None:
        """Send finished solutions as often as they count; a copy costs nothing."""
        for index in self._tree.with_state(NodeState.FINISHED):
            node = int(index)
            copies = int(self._tree.copies[node])
            if copies:
                self._send(node)
            original = self._trajectories[node]
            for copy in range(1, copies):
                self._outlet.send(self._account.copy(original, copy))


async def _next(stream: CompletionStream, *, may_fail: bool) -> Completion | ContextError | None:
    try:
        return await anext(stream)
    except StopAsyncIteration:
        return None
    except ContextError as error:
        if not may_fail:
            raise
        return error


async def _close(stream: CompletionStream) -> None:
    await stream.aclose()
