"""REBASE on the leaves that are worth what they hold: what ETS and its joint form share."""

from abc import abstractmethod
from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tts.search.policy import Decision, SearchPolicy
from tts.search.tree import ROOT, SearchTree
from tts.strategies._search import (
    by_widths,
    first_of_equal,
    merge_equal,
    num_finished,
    stop_searching,
)
from tts.strategies._step_clusters import cluster_steps, embedding_cosines, ngram_cosines
from tts.strategies.rebase import allocate


class PruningPolicy(SearchPolicy):
    """Keeps some leaves of a level and shares out the whole width among them, as REBASE does."""

    width: int = Field(16, ge=1, description="leaves: finished solutions and steps of a level")
    balance: float = Field(0.2, gt=0, description="temperature of the softmax over rewards")
    coverage: float = Field(1.5, ge=0, description="what all clusters together are worth")
    cluster_distance: float = Field(0.05, ge=0, le=1, description="steps nearer than this are one")
    embedder: str = Field(
        "", description="engine of the run that embeds steps for clusters; none is by n-grams"
    )
    merge: bool = Field(False, description="treat equal prefixes as one leaf (ours)")
    solver_seconds: float = Field(10.0, gt=0, description="limit of one solution")

    @property
    def step_embedder(self) -> str:
        """Nothing is embedded where clusters are worth nothing."""
        return self.embedder if self.coverage > 0 else ""

    @abstractmethod
    def keep(
        self, tree: SearchTree, leaves: Sequence[int], counts: Sequence[int]
    ) -> list[int] | None:
        """Return the places of the leaves to keep; None when the solver found nothing in time.

        Args:
            tree: The tree.
            leaves: Open leaves of a level.
            counts: REBASE's allocation, which says what each is worth.
        """

    def decide(self, tree: SearchTree, rng: np.random.Generator) -> Decision:
        """Choose the leaves to keep and share out the remaining width among them."""
        if tree.num_expansions == 0:
            return Decision(expand=((ROOT, self.width),))
        remaining = self.width - num_finished(tree)
        leaves = tree.open_leaves().tolist()
        if not leaves or remaining <= 0:
            return stop_searching(tree)
        rewards = tree.reward[leaves]
        counts = allocate(rewards.tolist(), remaining, self.balance)
        firsts = first_of_equal(tree, leaves) if self.merge else list(range(len(leaves)))
        rivals = sorted(set(firsts))
        merged = merge_equal(tree, leaves, counts) if self.merge else counts
        chosen = self.keep(tree, [leaves[i] for i in rivals], [merged[i] for i in rivals])
        notes: dict[str, object] = {"remaining": remaining}
        if chosen is None:
            chosen = list(range(len(rivals)))
            notes["warning"] = (
                f"the solver found nothing in {self.solver_seconds:g} s; "
                "this level is shared out as in REBASE"
            )
        worth = {rivals[place] for place in chosen}
        kept = [place for place, first in enumerate(firsts) if first in worth]
        widths = [0] * len(leaves)
        shares = allocate(rewards[kept].tolist(), remaining, self.balance)
        for place, share in zip(kept, shares, strict=True):
            widths[firsts[place]] += share
        is_whole = len(kept) == len(leaves)
        reason = "no share of the width" if is_whole else "not worth its KV blocks"
        return by_widths(leaves, widths, reason=reason, **notes)

    def clusters(self, tree: SearchTree, leaves: Sequence[int]) -> NDArray[np.int_]:
        """Return the cluster of each leaf's step; empty where all say the same, or it is no use."""
        texts = [tree.texts[leaf] for leaf in leaves]
        has_clusters = self.coverage > 0 and len(set(texts)) > 1
        cosines = partial(embedding_cosines, tree.embeddings) if self.embedder else ngram_cosines
        found = cluster_steps(texts, self.cluster_distance, cosines) if has_clusters else []
        return np.array(found, dtype=int)
