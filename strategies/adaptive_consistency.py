"""Adaptive consistency: draw a few samples at a time until the vote is likely enough to stand.

Source: Aggarwal et al. 2023, "Let's Sample Step by Step: Adaptive-Consistency for Efficient
Reasoning and Coding with LLMs", arXiv:2305.11860; at most 40 samples, threshold 0.95, one sample
at a time, temperature 0.7 there. `beta` asks whether the leader beats the second, `dirichlet`
whether it beats all, `share` is their majority rule. The integral of `dirichlet` is taken by
quadrature and not by sampling.

`batch: 1` is theirs and wastes nothing; a larger batch, or all at once (`batch: null`), answers
sooner: the vote still stops at the same evidence, and what is left of the batch is cancelled.
"""

from pydantic import Field

from tts.operators.sample import Mode, sample
from tts.operators.vote import Certainty, Order, vote
from tts.parts.parameters import Parameters
from tts.pipeline import Pipeline


class Config(Parameters):
    """Parameters of adaptive consistency."""

    n: int = Field(40, ge=1, description="most trajectories that are drawn")
    batch: int | None = Field(
        1, ge=1, description="trajectories drawn at a time; all of them if none"
    )
    stop_at: float = Field(
        0.95, gt=0.5, lt=1.0, description="certainty of the leader at which sampling stops"
    )
    certainty: Certainty = "beta"
    min_votes: int = Field(2, ge=1, description="fewest votes before it may stop")
    mode: Mode = "solve"
    order: Order = "arrival"


def build(config: Config) -> Pipeline:
    """Sample in batches, vote, stop when certain."""
    ballot = vote(
        stop="settled",
        stop_at=config.stop_at,
        certainty=config.certainty,
        min_votes=config.min_votes,
        order=config.order,
    )
    return sample(n=config.n, mode=config.mode, batch=config.batch) >> ballot
