"""Generative fusion: parallel attempts, then one solution written with all of them in view.

Source: Wen et al. 2025, "ParaThinker: Native Parallel Thinking", arXiv:2509.04475; 4 paths, and the
summary starts when the first tenth of them (for up to 10: the first one) has finished. Departures:
no trained path tokens and no shared KV cache, so the paths are read again as text, without their
thoughts; with `quorum` unfinished paths are dropped, where the source shows them cut off.
"""

from typing import Literal

from pydantic import Field

from tts.operators.fuse import fuse
from tts.operators.sample import Mode, sample
from tts.parts.parameters import Parameters
from tts.pipeline import Pipeline


class Config(Parameters):
    """Parameters of generative fusion."""

    n: int = Field(4, ge=1, description="attempts in parallel")
    quorum: int | None = Field(
        None, ge=1, description="go on with so many attempts and cancel the rest; all if none"
    )
    into: Literal["solution", "choice"] = Field(
        "solution", description="what the model is asked for: a new solution, or a choice"
    )
    mode: Mode = "solve"


def build(config: Config) -> Pipeline:
    """Sample, then fuse."""
    return sample(n=config.n, mode=config.mode) >> fuse(into=config.into, quorum=config.quorum)
