"""APR: a text starts searches where it sees fit, all of a call at once, and goes on with results.

Source: Pan et al. 2025, "Learning Adaptive Parallel Reasoning with Language Models",
arXiv:2504.15466, inference alone: texts of calls and results to the letter of the authors' code, a
child from its node's state alone, one level of children, results in place of calls, the number of
calls told before the puzzle.

Departures: none of the authors' models is here; a small one of ours was trained on searches alone,
without reinforcement learning. A text ends at a call, where the authors' ends by itself. At most 16
children of a call, and 16 calls of a text that was told no number. `wire=tasks` asks untrained
models for the same in words, which is ours.
"""

from tts.operators.spawn import Spawn
from tts.operators.vote import vote
from tts.pipeline import Pipeline


class Config(Spawn):
    """Parameters of APR: those of the operator `spawn`."""


def build(config: Config) -> Pipeline:
    """Spawn and join; several texts vote."""
    solutions = Pipeline.of(Spawn(**config.model_dump()))
    return solutions if config.n == 1 else solutions >> vote()
