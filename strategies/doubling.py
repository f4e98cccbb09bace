"""Doubling: draw 2 samples, then as many again, until one answer has a large share of them all.

Source: `its_hub`, `AdaptiveSelfConsistency`: threshold 0.75 and rounds of 2, 2, 4, 8, ... as its
tests have them. The share is of all samples drawn; one without an answer counts against every one.
"""

from pydantic import Field

from tts.allocation.pricing import PricedRule
from tts.operators.escalate import escalate
from tts.parts.parameters import Parameters
from tts.pipeline import Pipeline


class Config(Parameters):
    """Parameters of doubling."""

    n: int = Field(16, ge=1, description="most trajectories that are drawn")
    share: float = Field(
        0.75, gt=0.5, le=1.0, description="share of the samples at which the leader has won"
    )


def build(config: Config) -> Pipeline:
    """Draw in doubling rounds; the leader wins."""
    sizes = (*(2**i for i in range(1, config.n.bit_length()) if 2**i < config.n), config.n)
    # Of a stopping rule's facts, the first is 1 and the last the leader's share.
    on_below = (config.share, 0.0, 0.0, 0.0, 0.0, -1.0)
    rule = PricedRule(cost=1.0, price=0.0, weights=(on_below,) * (len(sizes) - 1))
    return escalate(sizes=sizes, rules=(rule,)).named("sample")
