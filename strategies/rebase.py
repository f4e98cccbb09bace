"""REBASE: share out the width by softmax of the step scores; the number of leaves is fixed.

Source: Wu et al. 2024, "Inference Scaling Laws", arXiv:2408.00724; `thu-wyz/inference_scaling`.
Every finished solution takes one of the `width` leaves away. Defaults as published (temperature
0.2, width 16); the answer is the weighted vote by the last step's score, as in its script.

Departures: the limit on tokens is that of the whole trajectory (there it never took effect); the
answer phrase is looked for in the steps, not in the question; trajectories without an answer never
vote; failed steps leave the level short, but not the next ones. `merge` is ours: leaves whose token
prefixes are equal are continued from one of them, with the sum of their widths. Their children come
from one distribution, so only the KV blocks (and the verifier's calls) become fewer.
"""

import math
from collections.abc import Sequence

import numpy as np
from pydantic import Field

from tts.pipeline import Pipeline
from tts.runtime.tree import ROOT, Decision, SearchPolicy, SearchTree
from tts.strategies._search import (
    SearchConfig,
    build_search,
    by_widths,
    merge_equal,
    num_finished,
    stop_searching,
)

_ROUNDING = 1e-9  # so that 8 * (2 / 8) is 2 and not 3


class Policy(SearchPolicy):
    """Gives each leaf children in proportion to exp(reward / temperature)."""

    width: int = Field(16, ge=1, description="leaves: finished solutions and steps of a level")
    balance: float = Field(0.2, gt=0, description="temperature of the softmax over rewards")
    merge: bool = Field(False, description="continue equal prefixes from one of them (ours)")

    def decide(self, tree: SearchTree, rng: np.random.Generator) -> Decision:
        """Share out what the finished solutions leave of the width."""
        if tree.num_expansions == 0:
            return Decision(expand=((ROOT, self.width),))
        remaining = self.width - num_finished(tree)
        leaves = tree.open_leaves().tolist()
        if not leaves or remaining <= 0:
            return stop_searching(tree)
        widths = allocate(tree.reward[leaves].tolist(), remaining, self.balance)
        if self.merge:
            widths = merge_equal(tree, leaves, widths)
        return by_widths(leaves, widths, reason="no share of the width", remaining=remaining)


class Config(SearchConfig, Policy):
    """Parameters of REBASE."""


def build(config: Config) -> Pipeline:
    """Search, then choose among the solutions."""
    return build_search(config, Policy)


def allocate(rewards: Sequence[float], width: int, temperature: float) -> list[int]:
    """Return the number of children of each leaf; they sum to `width`.

    Best first: n_i = ceil(W e_i / S) with e_i = exp(r_i / T), where W is the width left and S the
    sum of e over this leaf and those after it. Ties keep the earlier leaf.
    """
    counts = [0] * len(rewards)
    if not rewards:
        return counts
    order = sorted(range(len(rewards)), key=lambda i: (-rewards[i], i))
    top = rewards[order[0]]
    weights = [math.exp((rewards[i] - top) / temperature) for i in order]
    rest = list(np.cumsum(weights[::-1])[::-1])
    left = width
    for index, weight, total in zip(order, weights, rest, strict=True):
        if left <= 0 or total <= 0.0:
            break
        counts[index] = min(left, math.ceil(left * weight / total - _ROUNDING))
        left -= counts[index]
    return counts
