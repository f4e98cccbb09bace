"""Example cache: votes, each shown the solved problems that are most like it.

Source: "IC-Cache: Efficient Large Language Model Serving via In-context Caching", 2025,
arXiv:2501.12689; how examples are chosen, and what departs from the source, says the operator
`examples`. With `large` a bandit chooses for each problem between the run's own engine with
examples and that one without.

Problems run in the order of the benchmark, or of `--shuffle SEED`; a problem is never shown a
record of itself, by its id or its text.
"""

from pydantic import Field

from tts.operators.examples import ExampleOptions, examples
from tts.operators.sample import sample
from tts.operators.vote import vote
from tts.pipeline import Pipeline


class Config(ExampleOptions):
    """Parameters of the operator `examples`, and the samples that vote."""

    n: int = Field(4, ge=1, description="trajectories of each problem, which vote")


def build(config: Config) -> Pipeline:
    """Look examples up, sample and vote, keep what was solved."""
    body = sample(n=config.n) >> vote()
    return examples(body=body, **config.model_dump(exclude={"n"}))
