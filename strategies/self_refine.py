"""Self-Refine: the model criticises its attempt and revises it, until the criticism accepts it.

Source: Madaan et al. 2023, "Self-Refine: Iterative Refinement with Self-Feedback",
arXiv:2303.17651; at most 4 rounds; a revision sees all attempts before it and their criticisms.
Departures: criticism and revision are two requests (as in the paper's other tasks; one in its
maths), and the first does not presuppose an error; a criticism sees the last attempt alone; an
accepted attempt is returned as it is, where the published code returns the rewrite made after "it
is correct"; one temperature serves all requests; no worked examples are shown.
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
    mended = refine(mode="critique", rounds=config.rounds, memory=config.rounds)
    chains = sample(n=config.n, mode=config.mode) >> mended
    return chains if config.n == 1 else chains >> vote()
