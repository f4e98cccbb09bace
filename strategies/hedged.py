"""Hedged sampling: one greedy sample beside those at a temperature, then a vote or a verifier.

Source: Khairi et al. 2025, "When Life Gives You Samples", arXiv:2506.20544; n = 5, temperature 0.7
to 0.9 there. The greedy sample is the first, so ties go to it, and n = 1 is greedy decoding.
Departure: no min-p, which the source offers besides.
"""

from pydantic import Field

from tts.operators.sample import sample
from tts.operators.score import score
from tts.operators.select import select
from tts.operators.vote import vote
from tts.parts.parameters import Parameters
from tts.pipeline import Pipeline


class Config(Parameters):
    """Parameters of hedged sampling."""

    n: int = Field(5, ge=1, description="trajectories, the greedy one included")
    verifier: str | None = Field(
        None, description="verifier whose best trajectory is kept; they vote if none"
    )


def build(config: Config) -> Pipeline:
    """Sample, the first greedily; vote or select."""
    drawn = sample(n=config.n, greedy_first=True)
    if config.verifier is None:
        return drawn >> vote()
    return drawn >> score(verifier=config.verifier) >> select(by=config.verifier)
