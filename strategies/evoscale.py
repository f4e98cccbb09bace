"""EvoScale: rounds of attempts, each of which sees the best so far and what was said of them.

Source: Zeng et al. 2025, "Satori-SWE: Evolutionary Test-Time Scaling for Sample-Efficient Software
Engineering", arXiv:2505.23604: 10 attempts in each of 4 rounds, 5 of which are shown. Departures:
those of the operator `evolve`; the choice is by the same verifier, where the paper adds tests; the
paper's model was trained to improve on attempts.
"""

from pydantic import Field

from tts.operators.evolve import evolve
from tts.operators.sample import sample
from tts.operators.select import select
from tts.parts.parameters import Parameters
from tts.pipeline import Pipeline


class Config(Parameters):
    """Parameters of EvoScale."""

    n: int = Field(10, ge=1, description="attempts of a round")
    rounds: int = Field(4, ge=2, le=64, description="most rounds, the first included")
    keep: int = Field(5, ge=1, description="best attempts so far that a round is shown")
    verifier: str = Field("execution", description="verifier that scores, reports and chooses")


def build(config: Config) -> Pipeline:
    """Sample, let the best evolve, choose the best of all."""
    evolved = evolve(
        verifier=config.verifier, rounds=config.rounds - 1, n=config.n, keep=config.keep
    )
    return sample(n=config.n) >> evolved >> select(by=config.verifier)
