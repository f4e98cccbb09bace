"""Program of thoughts: the model writes programs that compute the answer, and their results vote.

Source: Chen et al. 2022, "Program of Thoughts Prompting: Disentangling Computation from Reasoning",
arXiv:2211.12588, in its form with self-consistency. Departures: no worked examples are shown; the
program prints its answer, where theirs assigns it to `ans`; with `texts` solutions in words vote
beside the programs, one vote each, which is ours.
"""

from pydantic import Field

from tts.operators.execute import execute
from tts.operators.sample import sample
from tts.operators.vote import vote
from tts.parts.parameters import Parameters
from tts.pipeline import Pipeline


class Config(Parameters):
    """Parameters of program of thoughts; the paper draws 40 programs."""

    n: int = Field(8, ge=1, description="programs that are drawn")
    texts: int = Field(0, ge=0, description="solutions in words that vote beside them")


def build(config: Config) -> Pipeline:
    """Sample programs, run them, vote."""
    programs = sample(n=config.n, mode="program") >> execute()
    if not config.texts:
        return programs >> vote()
    return (programs | sample(n=config.texts)) >> vote()
