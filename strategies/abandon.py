"""Weighted vote over solutions of which hopeless ones are given up in mid-air.

Each solution is drawn step by step; a value head says after each what chance of a right answer is
left, and one that stays below a bar is given up. The bar is learnt with the head, for a stated loss
of right solutions (`tts.operators.abandon`).

Source: Zhang et al. 2025, "Reasoning Models Know When They're Right: Probing Hidden States for
Self-Verification", arXiv:2504.05419, end thoughts by such values; giving solutions up is ours.
"""

from pydantic import Field

from tts.operators.abandon import abandon
from tts.operators.vote import vote
from tts.parts.parameters import Parameters
from tts.pipeline import Pipeline


class Config(Parameters):
    """Parameters of the vote that gives up."""

    n: int = Field(16, ge=1, description="solutions that are begun")
    verifier: str = Field("head", description="verifier of steps that looks after each")
    loss: float = Field(
        0.01, gt=0, lt=1, description="share of right solutions that may be lost by giving up"
    )
    bar: float | None = Field(
        None,
        description="value below which a solution is hopeless; that which the verifier has "
        "learnt for `loss` if none",
    )


def build(config: Config) -> Pipeline:
    """Draw and give up, vote by value."""
    drawn = abandon(n=config.n, verifier=config.verifier, loss=config.loss, bar=config.bar)
    return drawn >> vote(weights=config.verifier)
