"""What several strategies share: which engines of the run a pipeline, or its samples, ask."""

from collections import Counter
from collections.abc import Sequence
from functools import reduce
from operator import or_
from typing import Annotated

from pydantic import Field

from tts.operators.delegate import delegate
from tts.operators.sample import sample
from tts.pipeline import Pipeline

Engines = Annotated[
    tuple[str, ...],
    Field(
        min_length=1,
        description="engines that take turns, in order; an empty name is the run's own",
    ),
]


def asked_of(pipeline: Pipeline, engine: str) -> Pipeline:
    """Return a pipeline that runs on another engine of the run; itself for an empty name."""
    return delegate(body=pipeline, engine=engine) if engine else pipeline


def drawn_in_turn(n: int, engines: Sequence[str]) -> Pipeline:
    """Return a pipeline that draws `n` samples, the i-th of `engines[i mod length]`."""
    parts = Counter(engines[i % len(engines)] for i in range(n))
    return reduce(or_, (asked_of(sample(n=count), engine) for engine, count in parts.items()))
