"""MALT roles: generate, verify, refine, in passes that vote.

Source: Motwani et al. 2024, "MALT: Improving Reasoning with Multi-Agent LLM Training",
arXiv:2412.01928: three passes at temperature 0.3, majority vote; the refiner always runs. There
each role is a model of its own, trained for it. Here one model plays them all by its prompts, or
each role is an engine of the run (`--engine-for`, or `Runtime(engine, engines={...})`), under one
budget.
"""

from pydantic import Field

from tts.operators.refine import refine
from tts.operators.sample import Mode, sample
from tts.operators.vote import vote
from tts.parts.parameters import Parameters
from tts.pipeline import Pipeline
from tts.strategies._base import asked_of


class Config(Parameters):
    """Parameters of the three roles."""

    n: int = Field(3, ge=1, description="passes through the three roles, which vote")
    mode: Mode = "solve"
    generator: str = Field("", description="engine that generates; the run's own if empty")
    verifier: str = Field("", description="engine that verifies; the run's own if empty")
    refiner: str = Field("", description="engine that refines; the run's own if empty")


def build(config: Config) -> Pipeline:
    """Generate, verify and refine, vote."""
    passes = asked_of(sample(n=config.n, mode=config.mode), config.generator)
    refined = refine(mode="critique", accept=False, engine=config.refiner, checker=config.verifier)
    return passes >> refined >> vote()
