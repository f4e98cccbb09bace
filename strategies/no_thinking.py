"""NoThinking: many short attempts with an empty thought, chosen by the model's own certainty.

Source: Ma et al. 2025, "Reasoning Models Can Be Effective Without Thinking", arXiv:2504.09858;
temperature 0.6, top_p 0.95; Borda vote by self-certainty where answers can be compared, the most
certain attempt for open ones, a verifier where there is one.

Departure: at the token limit no answer is forced out; such an attempt has none. Certainty is
measured as in `self_certainty`.
"""

from typing import Literal

from pydantic import Field

from tts.operators.sample import sample
from tts.operators.score import score
from tts.operators.select import select
from tts.operators.vote import vote
from tts.parts.parameters import Parameters
from tts.pipeline import Pipeline
from tts.strategies.self_certainty import MEASURE


class Config(Parameters):
    """Parameters of NoThinking."""

    n: int = Field(16, ge=1, description="trajectories sampled in parallel")
    choose: Literal["borda", "best"] = Field(
        "borda",
        description="vote by rank of certainty, or keep the most certain (for open answers)",
    )
    power: float = Field(0.5, ge=0, description="exponent of the Borda weights")
    verifier: str | None = Field(
        None, description="verifier whose best attempt is kept, instead; certainty decides if none"
    )


def build(config: Config) -> Pipeline:
    """Sample without thinking, measure, choose."""
    measured = config.verifier or MEASURE
    by_rank = config.choose == "borda" and config.verifier is None
    choice = vote(weights=measured, borda=config.power) if by_rank else select(by=measured)
    return sample(n=config.n, mode="no_thinking") >> score(verifier=measured) >> choice
