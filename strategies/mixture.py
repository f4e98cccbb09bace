"""Mixture: samples of several engines side by side, then a vote or a verifier over all of them.

Source: Chen et al. 2025, "Do We Truly Need So Many Samples? Multi-LLM Repeated Sampling Efficiently
Scales Test-Time Compute", arXiv:2504.00762: votes over samples of several models gain where their
mistakes differ. There the models are asked one after another until one agrees with itself
(`cascade` does so); here each is asked for its part at once.

Engines take turns: sample i comes from `engines[i mod length]`, so naming one twice gives it two
parts, and parts differ by one at most where `n` does not divide. The names are those of
`--engine-for`, or of `Runtime(engine, engines={"draft": ...})`; the empty name is the run's own
engine. All share one budget; each request is counted as its own engine's. Ties in a vote go to the
sample that is first among its own engine's.
"""

from pydantic import Field

from tts.operators.score import score
from tts.operators.select import select
from tts.operators.vote import vote
from tts.parts.parameters import Parameters
from tts.pipeline import Pipeline
from tts.strategies._base import Engines, drawn_in_turn


class Config(Parameters):
    """Parameters of the mixture."""

    n: int = Field(8, ge=1, description="trajectories of all engines together")
    engines: Engines = ("",)
    verifier: str | None = Field(
        None, description="verifier whose best trajectory is kept; they vote if none"
    )


def build(config: Config) -> Pipeline:
    """Sample from each engine; vote or select."""
    drawn = drawn_in_turn(config.n, config.engines)
    if config.verifier is None:
        return drawn >> vote()
    return drawn >> score(verifier=config.verifier) >> select(by=config.verifier)
