"""Generative selection: the model compares several attempts and chooses one.

Source: Toshniwal et al. 2025, "GenSelect: A Generative Approach to Best-of-N", arXiv:2507.17797.
One comparison shows `window` attempts; more attempts than that play knock-out rounds, the winners
of the windows in windows of their own, until one is left. Departures: the choice is read from the
answer that the comparison ends with, not from an index, so that a model which solves while it
compares is understood too; windows whose attempts agree cost nothing.
"""

from pydantic import Field

from tts.operators.choose import choose
from tts.operators.loop import loop
from tts.operators.sample import Mode, sample
from tts.parts.parameters import Parameters
from tts.pipeline import Pipeline

_MAX_ROUNDS = 32  # windows of two reduce 2**32 attempts to one


class Config(Parameters):
    """Parameters of generative selection."""

    n: int = Field(16, ge=1, description="attempts sampled in parallel")
    window: int = Field(8, ge=2, le=64, description="most attempts that are compared at once")
    votes: int = Field(
        1, ge=1, description="choices that are asked for in each comparison, which vote"
    )
    merge: bool = Field(False, description="whether an answer that no attempt gave may win")
    mode: Mode = "solve"


def build(config: Config) -> Pipeline:
    """Sample, then choose until one is left."""
    comparison = choose(window=config.window, votes=config.votes, merge=config.merge)
    if config.n > config.window:
        comparison = loop(body=comparison, until_single=True, rounds=_MAX_ROUNDS)
    return sample(n=config.n, mode=config.mode) >> comparison
