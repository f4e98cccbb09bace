"""Beam search against a verifier: keep the best width / branching prefixes of every level.

Sources: Snell et al. 2024, arXiv:2408.03314 (BFS-V); `huggingface/search-and-learn`, whose
defaults these are (branching 4, 40 levels). As there, `width` steps are drawn at every level, the
survivors keep their order and share the width evenly, and finished solutions leave the beam.

Departures: a solution with a boxed answer is finished at the end of its step; the search ends as
soon as `width` solutions are there (the published code goes on until a level has no unfinished
beam, and then takes the first `width`); an empty step ends its branch without counting as a
solution; a step cut by its length limit is continued.
"""

from collections.abc import Hashable, Sequence

import numpy as np
from pydantic import Field

from tts.pipeline import Pipeline
from tts.search.policy import Decision, SearchPolicy
from tts.search.tree import ROOT, SearchTree
from tts.strategies._search import (
    SearchConfig,
    build_search,
    by_widths,
    num_finished,
    spread,
    stop_searching,
)


class Policy(SearchPolicy):
    """Keeps the best prefixes of each level."""

    width: int = Field(16, ge=1, description="steps that are drawn at every level")
    branching: int = Field(4, ge=1, description="children of each survivor")
    drop_duplicates: bool = Field(True, description="keep one of several equal prefixes")

    def decide(self, tree: SearchTree, rng: np.random.Generator) -> Decision:
        """Keep the best `width // branching` of the level."""
        if tree.num_expansions == 0:
            return Decision(expand=((ROOT, self.width),))
        if num_finished(tree) >= self.width:
            return stop_searching(tree)
        leaves = tree.open_leaves().tolist()
        if not leaves:
            return Decision()
        texts: list[Hashable] = list(leaves)
        if self.drop_duplicates:
            texts = [tree.prefix(leaf) for leaf in leaves]
        keep = max(1, self.width // self.branching)
        kept = select_survivors(tree.reward[leaves].tolist(), texts, keep)
        shares = dict(zip(kept, spread(self.width, len(kept)), strict=True))
        widths = [shares.get(place, 0) for place in range(len(leaves))]
        return by_widths(leaves, widths, reason="not among the best")


class Config(SearchConfig, Policy):
    """Parameters of beam search."""


def build(config: Config) -> Pipeline:
    """Search, then choose among the solutions."""
    return build_search(config, Policy)


def select_survivors(rewards: Sequence[float], texts: Sequence[Hashable], keep: int) -> list[int]:
    """Return the indices of the `keep` best, in ascending order.

    Of equal texts only the best competes; ties keep the earlier one.
    """
    ranked = sorted(range(len(rewards)), key=lambda i: (-rewards[i], i))
    best_by_text: dict[Hashable, int] = {}
    for index in ranked:
        best_by_text.setdefault(texts[index], index)
    return sorted(list(best_by_text.values())[:keep])
