"""Multiverse: a text that opens a block of independent paths is forked, and joined again.

Source: Yang et al. 2025, "Multiverse: Your Language Models Secretly Decide How to Parallelize and
Merge Generation", arXiv:2506.09991: map, process, reduce in one text; paths share what stands
before them, start at one position and do not see each other; what follows sees them all.

Departures: no model is trained for it, so one worked example shows the format; a block that cannot
be read goes on sequentially. KV blocks of joined paths are read again, since an engine without the
paper's attention has them at other positions.
"""

from pydantic import Field

from tts.operators.parallel_blocks import parallel_blocks
from tts.operators.vote import vote
from tts.parts.parameters import Parameters
from tts.pipeline import Pipeline


class Config(Parameters):
    """Parameters of Multiverse."""

    n: int = Field(1, ge=1, description="solutions, which vote if there are several")
    max_depth: int = Field(2, ge=1, le=8, description="blocks within each other that fork")
    max_paths: int = Field(8, ge=2, le=64, description="most paths of a block that forks")
    path_tokens: int = Field(512, ge=1, description="most tokens of a path, those within it too")


def build(config: Config) -> Pipeline:
    """Write in blocks; vote over several."""
    solutions = parallel_blocks(
        n=config.n,
        max_depth=config.max_depth,
        max_paths=config.max_paths,
        path_tokens=config.path_tokens,
    )
    return solutions if config.n == 1 else solutions >> vote()
