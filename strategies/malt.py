"""MALT roles: generate, verify, refine, in passes that vote.

Source: Motwani et al. 2024, "MALT: Improving Reasoning with Multi-Agent LLM Training",
arXiv:2412.01928: three passes at temperature 0.3, majority vote. Departure: one model plays the
roles by its prompts, without the training of each role; the refiner always runs, as there.
"""

from pydantic import Field

from tts.operators.refine import refine
from tts.operators.sample import Mode, sample
from tts.operators.vote import vote
from tts.pipeline import Pipeline
from tts.strategies._base import StrategyConfig


class Config(StrategyConfig):
    """Parameters of the three roles."""

    n: int = Field(3, ge=1, description="passes, which vote")
    mode: Mode = "solve"


def build(config: Config) -> Pipeline:
    """Generate, verify and refine, vote."""
    passes = sample(config.n, mode=config.mode) >> refine("critique", accept=False)
    return passes >> vote()
