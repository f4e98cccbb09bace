"""Concept memory: votes, each shown as hints what the problems solved before it taught.

Source: "ArcMemo: Abstract Reasoning Composition with Lifelong LLM Memory", 2025, arXiv:2509.04439;
how memory is written and read, and what departs from the source, says the operator `concepts`.

Problems run in the order of the benchmark, or of `--shuffle SEED`, which is how several orders are
compared: what one learns depends on those before it. `learn: never` freezes the memory: an empty
one, or that of another run (`start`).
"""

from pydantic import Field

from tts.operators.concepts import ConceptOptions, concepts
from tts.operators.sample import sample
from tts.operators.vote import vote
from tts.pipeline import Pipeline


class Config(ConceptOptions):
    """Parameters of the operator `concepts`, and the samples that vote."""

    n: int = Field(4, ge=1, description="trajectories of each problem, which vote")


def build(config: Config) -> Pipeline:
    """Select hints, sample and vote, write what was learnt."""
    body = sample(n=config.n) >> vote()
    return concepts(body=body, **config.model_dump(exclude={"n"}))
