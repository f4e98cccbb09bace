"""SCALE: outline the problem, grade each step's difficulty, think about the difficult ones alone.

Source: "SCALE: Selective Resource Allocation for Overcoming Performance Bottlenecks in Mathematical
Test-time Scaling", 2025, arXiv:2512.00466: 8 outlines without a thought and the best of them by the
model's own choice; conditions and question apart; a grade from 0 to 1 for each step, with the
solutions of the steps before it in view; steps above 0.5 are thought about (temperature 0.6), the
others not (0.7, top-p 0.8), in one model's two modes or by two models; several solutions vote.

Departures: prompts are ours. A model that cannot be told to think or not serves in both modes, with
a warning: only the sampling differs then. The last step, which is the question itself, always
thinks (the published code gives it 0.9, so that a threshold of 0.9 never thinks at all). Whatever
cannot be read is asked for three times at most: then an outline of the most common length is taken,
a difficulty of 1, and the whole problem as both conditions and question.
"""

from tts.operators.solve_steps import SolveSteps
from tts.operators.vote import vote
from tts.pipeline import Pipeline


class Config(SolveSteps):
    """Parameters of SCALE: those of the operator `solve_steps`."""


def build(config: Config) -> Pipeline:
    """Outline, grade, solve; vote over several."""
    solutions = Pipeline.of(SolveSteps(**config.model_dump()))
    return solutions if config.n == 1 else solutions >> vote()
