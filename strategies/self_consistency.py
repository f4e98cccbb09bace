"""Self-consistency: sample `n` trajectories, choose the answer that most of them give.

Source: Wang et al. 2022, "Self-Consistency Improves Chain of Thought Reasoning in Language
Models", arXiv:2203.11171; n = 40 at temperature 0.7 there. `stop: settled` ends sampling when the
rest cannot change the winner, which never changes the answer; `stop_at` ends it when the leader
is likely enough to win (Aggarwal et al. 2023, arXiv:2305.11860).
"""

from pydantic import Field

from tts.operators.sample import Mode, sample
from tts.operators.vote import Order, Stop, vote
from tts.parts.parameters import Parameters
from tts.pipeline import Pipeline


class Config(Parameters):
    """Parameters of self-consistency."""

    n: int = Field(16, ge=1, description="trajectories sampled in parallel")
    batch: int | None = Field(
        None, ge=1, description="trajectories drawn at a time; all of them if none"
    )
    mode: Mode = "solve"
    stop: Stop = "never"
    stop_at: float | None = Field(
        None, gt=0.5, lt=1.0, description="stop when the leader is this certain; never if none"
    )
    order: Order = "arrival"


def build(config: Config) -> Pipeline:
    """Sample, vote."""
    ballot = vote(stop=config.stop, stop_at=config.stop_at, order=config.order)
    return sample(n=config.n, mode=config.mode, batch=config.batch) >> ballot
