"""What a step of a tree search is worth: the verifier's score, and what it calls to mind."""

from dataclasses import replace
from typing import NamedTuple

from tts.search.grown import GrownTree
from tts.search.recall import NOTHING, Note, Recaller
from tts.search.step_embeddings import StepEmbedder
from tts.search.step_scores import StepScorer
from tts.trajectories import ask
from tts.types import Score, Trajectory


class Verdict(NamedTuple):
    """What a step is worth.

    Attributes:
        score: The verifier's.
        note: What the step calls to mind.
    """

    score: Score
    note: Note


class StepJudge:
    """Gives nodes their rewards.

    Args:
        grown: The tree.
    """

    def __init__(self, grown: GrownTree) -> None:
        context, options = grown.context, grown.options
        self._grown = grown
        self._scorer = StepScorer(context, options.verifier, options.reduction)
        self._embedder = StepEmbedder(context, options.policy.step_embedder, grown.tree)
        self._recaller = Recaller(
            context, options, tree=grown.tree, account=grown.account, scorer=self._scorer
        )

    async def judge(self, node: int) -> Verdict:
        """Return what a node is worth."""
        grown = self._grown
        trajectory = grown.trajectories[node]
        is_finished = trajectory.finish_reason is not None
        score = await self._score(node, trajectory)
        if grown.options.policy.step_embedder and not is_finished:
            await self._embedder.embed(grown.tree.texts[node])
        grown.trajectories[node] = trajectory.with_score(grown.options.verifier, score)
        note = NOTHING
        if score.value is not None and not is_finished and grown.is_running(node):
            note = await self._recaller.recall(node, trajectory)
        return Verdict(score, note)

    def settle(self, node: int, verdict: Verdict) -> bool:
        """Give a running node its reward, or have it fail.

        Returns:
            False if the policy has given the node up meanwhile; it is then left as it is.
        """
        grown, score = self._grown, verdict.score
        if not grown.is_running(node):
            return False
        self._recaller.add(node, verdict.note)
        trajectory = grown.trajectories[node]
        if score.value is None:
            grown.fail(node, f"no score: {score.error}")
        else:
            is_finished = trajectory.finish_reason is not None
            grown.tree.score(node, score.value + verdict.note.gain, is_finished=is_finished)
        grown.account.scored(node, trajectory)
        return True

    def settle_way(self, node: int, verdict: Verdict) -> None:
        """Give the steps that were played out on the way to a node the reward that it will get."""
        grown, score = self._grown, verdict.score
        for step in reversed(grown.tree.path(node)[1:]):
            if not grown.is_running(step):
                continue
            if score.value is None:
                grown.fail(step, f"no score: {score.error}")
            else:
                grown.tree.score(step, score.value)
            grown.account.scored(step, grown.trajectories[step])

    async def _score(self, node: int, trajectory: Trajectory) -> Score:
        played = await self._look_ahead(node, trajectory)
        return await self._scorer.score(self._grown.options.as_paragraphs(played))

    async def _look_ahead(self, node: int, trajectory: Trajectory) -> Trajectory:
        """Play a step out greedily, so that it is scored by where it leads."""
        options, context = self._grown.options, self._grown.context
        played = trajectory
        for ahead in range(options.lookahead):
            if played.finish_reason is not None:
                break
            seed = context.seed(f"{trajectory.id}+{ahead}")
            greedy = replace(context.sampling, temperature=0.0)
            sampling = options.step_sampling(greedy, played)
            prompt = self._grown.prompt(node, played)
            completion = await ask(context, prompt, seed=seed, sampling=sampling)
            if completion is None or completion.finish_reason in ("error", "cancelled"):
                break
            played = options.continued(
                context,
                played,
                completion,
                trajectory_id=f"{trajectory.id}+{ahead}",
                index=trajectory.origin.index,
                seed=seed,
            )
        return played
