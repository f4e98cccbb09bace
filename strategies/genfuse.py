"""Generative fusion: parallel attempts, then one solution written with all of them in view.

Source: Wen et al. 2025, "ParaThinker: Native Parallel Thinking", arXiv:2509.04475; 4 paths, and the
summary starts when the first tenth of them (for up to 10: the first one) has finished its thought;
the others are cut there, and all of them are read. The preset `genfuse_thoughts` does so; `genfuse`
shows whole solutions, without their thoughts, to models that do not think.

Departures: no trained path tokens (`<think1>`, ...) and no embeddings of them, so that paths differ
by their draws alone; no KV cache shared between paths and summary, so that the paths are read again
as text; the summary begins a turn of its own. Paths are cut at slices of 256 tokens, where the
source looks after each token.
"""

from typing import Literal

from pydantic import Field

from tts.operators.fuse import fuse
from tts.operators.lockstep import lockstep
from tts.operators.sample import Mode, sample
from tts.parts.parameters import Parameters
from tts.pipeline import Pipeline


class Config(Parameters):
    """Parameters of generative fusion."""

    n: int = Field(4, ge=1, description="attempts in parallel")
    finishers: int | None = Field(
        None, ge=1, description="attempts that end before the rest are cut; all if none"
    )
    shown: Literal["solution", "thought"] = Field(
        "solution",
        description="what is read of each attempt: what follows its thought, or the thought, with "
        "which it ends then",
    )
    max_shown_tokens: int | None = Field(
        None, ge=1, description="most tokens of all attempts that are shown; no limit if none"
    )
    into: Literal["solution", "choice"] = Field(
        "solution", description="what the model is asked for: a new solution, or a choice"
    )
    mode: Mode = "solve"


def build(config: Config) -> Pipeline:
    """Sample, then fuse."""
    if config.shown == "solution" and config.finishers is None:
        attempts = sample(n=config.n, mode=config.mode)
    else:
        attempts = lockstep(
            n=config.n,
            finishers=config.finishers or config.n,
            ends=config.shown,
            mode=config.mode,
        )
    return attempts >> fuse(
        into=config.into,
        shown="whole" if config.shown == "thought" else "solution",
        max_shown_tokens=config.max_shown_tokens,
    )
