"""Self-Refine: the model criticises its attempt and revises it, until the criticism accepts it.

Source: Madaan et al. 2023, "Self-Refine: Iterative Refinement with Self-Feedback",
arXiv:2303.17651; at most 4 rounds. Departures: criticism and revision are two requests, and the
first does not presuppose an error; an accepted attempt is returned as it is, where the published
code returns the rewrite made after "it is correct"; a revision sees the last attempt and its
criticism, not all earlier rounds; one temperature serves all requests.
"""

from pydantic import Field

from tts.operators.refine import refine
from tts.operators.sample import Mode, sample
from tts.operators.vote import vote
from tts.parts.parameters import Parameters
from tts.pipeline import Pipeline


class Config(Parameters):
    """Parameters of Self-Refine."""

    n: int = Field(1, ge=1, description="independent chains, which vote if there are several")
    rounds: int = Field(4, ge=1, le=64, description="most revisions of a chain")
    mode: Mode = "solve"


def build(config: Config) -> Pipeline:
    """Sample, criticise and revise."""
    chains = sample(n=config.n, mode=config.mode) >> refine(mode="critique", rounds=config.rounds)
    return chains if config.n == 1 else chains >> vote()
