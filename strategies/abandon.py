"""Weighted vote over solutions of which hopeless ones are given up in mid-air.

Each solution is drawn step by step; a value head says after each what chance of a right answer is
left, and one that stays below a bar is given up. The bar is learnt with the head, for a stated loss
of right solutions (`tts.operators.abandon`).

Source: Zhang et al. 2025, "Reasoning Models Know When They're Right: Probing Hidden States for
Self-Verification", arXiv:2504.05419, end thoughts by such values; giving solutions up is ours.
"""

from tts.operators.abandon import Abandon
from tts.operators.vote import vote
from tts.pipeline import Pipeline


class Config(Abandon):
    """Parameters of the vote that gives up: those of the operator `abandon`."""


def build(config: Config) -> Pipeline:
    """Draw and give up, vote by value."""
    return Pipeline.of(Abandon(**config.model_dump())) >> vote(weights=config.verifier)
