"""Hogwild! with a lag: workers write at once and read each other's unfinished text.

Source: Rodionov et al. 2025, "Hogwild! Inference: Parallel LLM Generation via Concurrent
Attention", arXiv:2504.06261: layout of what each worker sees, steps and their names, the check for
redundant work after 256 tokens, the last words that ask for an answer.

Departures: the paper's workers see every token as it is written, by an attention that turns one
shared cache for each of them; these see the others' text every `lag` tokens, and an ordinary engine
reads it again. A thought is skipped, and the work stands in its place. Headings and the end of the
sequence end a step, where the paper bans them. The rules are in our words, and without examples: a
small model goes on with the example's numbers.
"""

from tts.operators.shared_work import SharedWork
from tts.operators.vote import vote
from tts.pipeline import Pipeline


class Config(SharedWork):
    """Parameters of the lagged form: those of the operator `shared_work`."""


def build(config: Config) -> Pipeline:
    """Work together; several teams vote."""
    solutions = Pipeline.of(SharedWork(**config.model_dump()))
    return solutions if config.n == 1 else solutions >> vote()
