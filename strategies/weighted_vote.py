"""Weighted vote: sample `n`, score each, choose the answer with the largest sum of scores.

Source: Li et al. 2022, "Making Language Models Better Reasoners with Step-Aware Verifier",
arXiv:2206.02336; as best-of-n weighted in Snell et al. 2024, arXiv:2408.03314.
"""

from pydantic import Field

from tts.operators.sample import Mode, sample
from tts.operators.score import score
from tts.operators.vote import Stop, vote
from tts.parts.parameters import Parameters
from tts.pipeline import Pipeline


class Config(Parameters):
    """Parameters of the weighted vote."""

    n: int = Field(16, ge=1, description="trajectories sampled in parallel")
    verifier: str = Field("prm", description="verifier whose probabilities are summed")
    quorum: int = Field(1, ge=1, description="fewest scored trajectories for an answer")
    mode: Mode = "solve"
    stop: Stop = "never"


def build(config: Config) -> Pipeline:
    """Sample, score, vote by summed probability."""
    ballot = vote(weights=config.verifier, quorum=config.quorum, stop=config.stop)
    return sample(n=config.n, mode=config.mode) >> score(verifier=config.verifier) >> ballot
