"""Hogwild!: workers write at once over one cache, each in view of every token of the others.

Source: Rodionov et al. 2025, "Hogwild! Inference: Parallel LLM Generation via Concurrent
Attention", arXiv:2504.06261: one cache that each worker sees in an order of its own, queries turned
for each part of it and merged; layout, steps and their names, tokens that are banned, the check for
redundant work after 256 tokens, the last words that ask for an answer.

Departures: a thought is skipped, and the work stands in its place. The rules are in our words, and
without examples: a small model goes on with the example's numbers. All special tokens are banned,
not only those that begin and end a text. The finished steps stay the segments that they were, where
the authors' code joins them and turns their keys anew; it is the same sum.
"""

from tts.operators.shared_cache import SharedCache
from tts.operators.vote import vote
from tts.pipeline import Pipeline


class Config(SharedCache):
    """Parameters of Hogwild!: those of the operator `shared_cache`."""


def build(config: Config) -> Pipeline:
    """Write together; several teams vote."""
    solutions = Pipeline.of(SharedCache(**config.model_dump()))
    return solutions if config.n == 1 else solutions >> vote()
