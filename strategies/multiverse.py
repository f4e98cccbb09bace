"""Multiverse: a text that opens a block of independent paths is forked, and joined again.

Source: Yang et al. 2025, "Multiverse: Your Language Models Secretly Decide How to Parallelize and
Merge Generation", arXiv:2506.09991: map, process, reduce in one text; paths share what stands
before them, start at one position and do not see each other; what follows sees them all.

Departures: no model is trained for it, so one worked example shows the format; a block that cannot
be read goes on sequentially. KV blocks of joined paths are read again, since an engine without the
paper's attention has them at other positions.
"""

from tts.operators.parallel_blocks import ParallelBlocks
from tts.operators.vote import vote
from tts.pipeline import Pipeline


class Config(ParallelBlocks):
    """Parameters of Multiverse: those of the operator `parallel_blocks`."""


def build(config: Config) -> Pipeline:
    """Write in blocks; vote over several."""
    solutions = Pipeline.of(ParallelBlocks(**config.model_dump()))
    return solutions if config.n == 1 else solutions >> vote()
