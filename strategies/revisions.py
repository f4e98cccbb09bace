"""Revision chains: each attempt revises the last ones; a vote or a verifier decides over all.

Source: Snell et al. 2024, "Scaling LLM Test-Time Compute Optimally", arXiv:2408.03314: `chains`
times `length` attempts are the budget, and their ratio is chosen by difficulty (easy: one long
chain); an attempt sees at most the last 4. Since revisions also turn right into wrong, the decision
is over the whole chain, not its end. Departures: any model revises, not only one trained for it;
with a verifier all attempts are pooled in one weighted vote, where the source votes within each
chain first and then over chains (it found that form unstable with few samples).
"""

from typing import Literal

from pydantic import Field

from tts.operators.refine import refine
from tts.operators.sample import Mode, sample
from tts.operators.score import score
from tts.operators.vote import vote
from tts.parts.parameters import Parameters
from tts.pipeline import Pipeline


class Config(Parameters):
    """Parameters of revision chains."""

    chains: int = Field(4, ge=1, description="chains in parallel")
    length: int = Field(4, ge=1, le=128, description="attempts of a chain, the first included")
    memory: int = Field(4, ge=1, le=64, description="last attempts that a revision sees")
    decide: Literal["majority", "verifier"] = Field(
        "majority", description="what decides over all attempts: their votes, or a verifier"
    )
    verifier: str = Field(
        "prm", description="verifier whose probabilities are summed, where it decides"
    )
    mode: Mode = "solve"


def build(config: Config) -> Pipeline:
    """Sample, revise, decide over every attempt."""
    attempts = sample(n=config.chains, mode=config.mode)
    if config.length > 1:
        attempts >>= refine(rounds=config.length - 1, memory=config.memory, emit="all")
    if config.decide == "majority":
        return attempts >> vote()
    return attempts >> score(verifier=config.verifier) >> vote(weights=config.verifier)
