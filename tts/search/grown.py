"""The tree of one search, with the trajectory that leads to each of its nodes."""

from tts import prompts
from tts.protocols import Context
from tts.search.account import SearchAccount
from tts.search.options import SearchOptions
from tts.search.steps import empty_trajectory, mean_probability
from tts.search.tree import ROOT, NodeState, SearchTree
from tts.types import Completion, Prompt, Trajectory

_DEFAULT_BLOCK_SIZE = 16  # of engines that do not tell; vLLM's own on GPUs


class GrownTree:
    """What expansions add to and what verifiers read.

    Args:
        context: The node's context.
        options: What the search is asked to do.

    Attributes:
        tree: The nodes.
        trajectories: By node, for those whose step has arrived.
        account: Counts and reports.
    """

    def __init__(self, context: Context, options: SearchOptions) -> None:
        self.context = context
        self.options = options
        self.tree = SearchTree(context.engine.info.kv_block_size or _DEFAULT_BLOCK_SIZE)
        self.account = SearchAccount(context, self.tree)
        self.trajectories: dict[int, Trajectory] = {ROOT: empty_trajectory(context)}

    def is_running(self, node: int) -> bool:
        """Return whether a node's step is on its way, or waits for its reward."""
        return self.tree.is_in(node, NodeState.RUNNING)

    def prompt(self, node: int, trajectory: Trajectory) -> Prompt:
        """Return the prompt that continues a tree node, or what was played out below it."""
        if node == ROOT:
            return prompts.solve(self.context.problem)
        played = trajectory.token_ids[len(self.trajectories[node].token_ids) :]
        return Prompt(token_ids=self.tree.token_ids(node) + played)

    def arrive(self, node: int, before: Trajectory, completion: Completion, seed: int) -> bool:
        """Add a running node's step.

        Args:
            node: The node.
            before: What the step continues.
            completion: What the engine returned.
            seed: Of the completion.

        Returns:
            Whether the node waits for its reward; one without a step of use has failed.
        """
        tree, place = self.tree, int(self.tree.place[node])
        if not tree.end[ROOT]:
            tree.set_step(ROOT, completion.prompt_token_ids)
        trajectory = self.options.continued(
            self.context,
            before,
            completion,
            trajectory_id=f"{before.id}.{place}" if before.steps else f"{before.id}{place}",
            index=node,
            seed=seed,
        )
        prior = mean_probability(completion.logprobs)
        tree.set_step(node, completion.token_ids, completion.text, prior=prior)
        self.account.arrived(node, completion.usage)
        self.trajectories[node] = trajectory
        if trajectory.finish_reason in ("error", "cancelled"):
            self.context.record(trajectory)
            self.fail(node, trajectory.error or "cancelled")
        elif trajectory.finish_reason is None and not completion.text.strip():
            self.fail(node, "empty step")
        return self.is_running(node)

    def fail(self, node: int, reason: str) -> None:
        """Say that a running node will have no step or no reward."""
        self.tree.fail(node, reason)
        self.account.failed(node, reason)
