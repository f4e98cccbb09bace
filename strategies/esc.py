"""Early-stopping self-consistency: draw a window at a time until one is unanimous.

Source: Li et al. 2024, "Escape Sky-high Cost: Early-stopping Self-Consistency for Multi-step
Reasoning", arXiv:2401.10480; windows of 5, at most 40 samples, temperature 0.7 there.

Departures: the answer is the majority of all samples drawn, where the source returns the last
window's even if earlier windows outvote it; a missing answer never makes a window unanimous.
"""

from pydantic import Field

from tts.operators.sample import Mode, sample
from tts.operators.vote import vote
from tts.parts.parameters import Parameters
from tts.pipeline import Pipeline


class Config(Parameters):
    """Parameters of early-stopping self-consistency."""

    n: int = Field(40, ge=2, description="most trajectories that are drawn")
    window: int = Field(5, ge=2, description="trajectories drawn together, which have to agree")
    mode: Mode = "solve"


def build(config: Config) -> Pipeline:
    """Sample by windows, vote, stop at a unanimous one."""
    return sample(n=config.n, mode=config.mode, batch=config.window) >> vote(window=config.window)
