"""Self-repair: programs that fail their tests are revised in view of what the tests say.

Source: Olausson et al. 2023, "Is Self-Repair a Silver Bullet for Code Generation?",
arXiv:2306.09896: `n` first programs, of each that fails one repair from its error message, feedback
and program in one answer (the paper's joint form, with one repair each). Departures: the tests are
the problem's own `tests`, never those that grade; `rounds` may be more than one; the best of all
programs by the share of these tests is chosen, the earliest among equals.
"""

from pydantic import Field

from tts.operators.refine import refine
from tts.operators.sample import sample
from tts.operators.select import select
from tts.parts.parameters import Parameters
from tts.pipeline import Pipeline


class Config(Parameters):
    """Parameters of self-repair."""

    n: int = Field(4, ge=1, description="programs that are drawn first")
    rounds: int = Field(1, ge=1, le=64, description="most repairs of a program, in a row")
    verifier: str = Field("execution", description="verifier that reports and chooses")


def build(config: Config) -> Pipeline:
    """Sample, repair what fails, choose by the same tests."""
    mended = refine(mode="report", verifier=config.verifier, rounds=config.rounds, emit="all")
    return sample(n=config.n) >> mended >> select(by=config.verifier)
