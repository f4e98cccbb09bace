"""REBASE on the leaves that are worth what they hold: what ETS and its joint form share."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tts.search.policy import Decision, SearchPolicy
from tts.search.step_clusters import (
    EMBEDDING_DISTANCE,
    TEXT_DISTANCE,
    Likeness,
    cluster_steps,
    embedding_cosines,
    text_likeness,
)
from tts.search.tree import ROOT, SearchTree
from tts.strategies._search import (
    by_widths,
    first_of_equal,
    merge_equal,
    num_finished,
    stop_searching,
)
from tts.strategies.rebase import allocate

_COVERAGE = {16: 1.5, 64: 1.4, 256: 1.45}  # by width, as published
_NO_CLUSTERS = (
    "on most levels every step was a cluster of its own, so that the widths were REBASE's: raise "
    "cluster_distance or name an embedder; `tts bench steps` measures both on recorded texts"
)


@dataclass(frozen=True, slots=True)
class Level:
    """Open leaves that compete for the width.

    Attributes:
        remaining: Width that the finished solutions leave.
        leaves: Tree nodes.
        firsts: For each leaf, the place of the first one that is equal to it; its own unless equal
            prefixes are merged.
        rivals: The distinct ones of `firsts`, ascending.
        rival_leaves: Their tree nodes.
        counts: REBASE's allocation to each of them, which says what it is worth.
    """

    remaining: int
    leaves: list[int]
    firsts: list[int]
    rivals: list[int]
    rival_leaves: list[int]
    counts: list[int]


class PruningPolicy(SearchPolicy):
    """Keeps some leaves of a level and shares out the whole width among them, as REBASE does."""

    width: int = Field(16, ge=1, description="leaves: finished solutions and steps of a level")
    balance: float = Field(0.2, gt=0, description="temperature of the softmax over rewards")
    coverage: float | None = Field(
        None, ge=0, description="worth of covering all clusters of meaning; by width if none"
    )
    cluster_distance: float | None = Field(
        None,
        ge=0,
        le=1,
        description="mean distance up to which steps mean the same; by the kind of vectors if none",
    )
    embedder: str = Field(
        "",
        description="engine of the run that embeds steps for clusters; words and numbers if none",
    )
    merge: bool = Field(False, description="treat equal prefixes as one leaf (ours)")
    solver_seconds: float = Field(10.0, gt=0, description="most seconds that one solution may take")

    @property
    def step_embedder(self) -> str:
        """Nothing is embedded where clusters are worth nothing."""
        return self.embedder if self.worth_of_coverage > 0 else ""

    @property
    def worth_of_coverage(self) -> float:
        """`coverage`, or what is published for the nearest width."""
        if self.coverage is not None:
            return self.coverage
        nearest = min(_COVERAGE, key=lambda width: abs(math.log2(self.width / width)))
        return _COVERAGE[nearest]

    def without_rivals(self, tree: SearchTree) -> Decision | None:
        """Return the decision where no leaves compete: at the beginning and at the end."""
        if tree.num_expansions == 0:
            return Decision(expand=((ROOT, self.width),))
        if num_finished(tree) >= self.width or not tree.open_leaves().size:
            return stop_searching(tree)
        return None

    def level(self, tree: SearchTree) -> "Level":
        """Return the open leaves, which compete for what the finished solutions leave."""
        remaining = self.width - num_finished(tree)
        leaves = tree.open_leaves().tolist()
        counts = allocate(tree.reward[leaves].tolist(), remaining, self.balance)
        firsts = first_of_equal(tree, leaves) if self.merge else list(range(len(leaves)))
        merged = merge_equal(tree, leaves, counts) if self.merge else counts
        rivals = sorted(set(firsts))
        return Level(
            remaining=remaining,
            leaves=leaves,
            firsts=firsts,
            rivals=rivals,
            rival_leaves=[leaves[place] for place in rivals],
            counts=[merged[place] for place in rivals],
        )

    def share_out(
        self, tree: SearchTree, level: "Level", chosen: list[int] | None, *, num_clusters: int
    ) -> Decision:
        """Share out the remaining width among the leaves that are kept.

        Args:
            tree: The tree.
            level: What competes.
            chosen: Places of the kept ones in `level.rivals`; None when the solver found nothing in
                time, and all are kept.
            num_clusters: Of the rivals; 0 where coverage is worth nothing, or all say the same.
        """
        places = range(len(level.rivals)) if chosen is None else chosen
        worth = {level.rivals[place] for place in places}
        kept = [place for place, first in enumerate(level.firsts) if first in worth]
        widths = [0] * len(level.leaves)
        rewards = tree.reward[[level.leaves[place] for place in kept]]
        shares = allocate(rewards.tolist(), level.remaining, self.balance)
        for place, share in zip(kept, shares, strict=True):
            widths[level.firsts[place]] += share
        is_whole = len(kept) == len(level.leaves)
        reason = "no share of the width" if is_whole else "not worth its KV blocks"
        late = (
            f"the solver found nothing in {self.solver_seconds:g} s; "
            "this level is shared out as in REBASE"
        )
        return by_widths(
            level.leaves,
            widths,
            reason=reason,
            warnings=(late,) if chosen is None else (),
            doubt=_NO_CLUSTERS if num_clusters == len(level.rivals) > 1 else "",
            remaining=level.remaining,
            rivals=len(level.rivals),
            clusters=num_clusters,
        )

    def clusters(self, tree: SearchTree, leaves: Sequence[int]) -> NDArray[np.int_]:
        """Return the cluster of each leaf's step; empty where all say the same, or it is no use."""
        texts = [tree.texts[leaf] for leaf in leaves]
        has_clusters = self.worth_of_coverage > 0 and len(set(texts)) > 1
        if not has_clusters:
            return np.array([], dtype=int)
        likeness: Likeness = text_likeness
        usual = TEXT_DISTANCE
        if self.embedder:
            likeness, usual = partial(embedding_cosines, tree.embeddings), EMBEDDING_DISTANCE
        cut = usual if self.cluster_distance is None else self.cluster_distance
        found = cluster_steps(texts, cut, likeness)
        return np.array(found, dtype=int)
