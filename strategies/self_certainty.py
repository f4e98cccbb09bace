"""Self-certainty: the model's own certainty ranks the samples, which vote by rank or not at all.

Source: Kang et al. 2025, "Scalable Best-of-N Selection for Large Language Models via
Self-Certainty", arXiv:2502.18581; Borda voting with exponent 0.5 in the published code (larger for
larger n in the paper), n from 4 to 64. Exponent 0 is a majority vote.

Certainty is measured over the whole vocabulary on the embedded engine; elsewhere it is an estimate
from the 20 likeliest tokens. Departure: on the distributions that the tokens were drawn from, where
the published code is off by one.
"""

from typing import Literal

from pydantic import Field

from tts.operators.sample import Mode, sample
from tts.operators.score import score
from tts.operators.select import select
from tts.operators.vote import vote
from tts.parts.parameters import Parameters
from tts.pipeline import Pipeline

MEASURE = "confidence(measure=self_certainty)"


class Config(Parameters):
    """Parameters of self-certainty."""

    n: int = Field(16, ge=1, description="trajectories sampled in parallel")
    choose: Literal["borda", "best"] = Field(
        "borda", description="vote by rank, or keep the most certain (for open answers)"
    )
    power: float = Field(0.5, ge=0, description="exponent of the weights by rank")
    mode: Mode = "solve"


def build(config: Config) -> Pipeline:
    """Sample, measure, vote by rank or keep the best."""
    choice = (
        select(by=MEASURE) if config.choose == "best" else vote(weights=MEASURE, borda=config.power)
    )
    return sample(n=config.n, mode=config.mode) >> score(verifier=MEASURE) >> choice
