"""Chained arithmetic: generated word problems of levels 1 to 5, one integer answer 0 to 999."""

from tts.evals.benchmarks._rows import read_problems
from tts.evals.benchmarks.base import DataConfig, ListBenchmark
from tts.tasks import chain


class Config(DataConfig):
    """Where the problems come from."""


def build(config: Config) -> ListBenchmark:
    """Return the benchmark: generated problems, or those of a file."""
    data = config.data
    if data is None:
        return ListBenchmark(chain.problems)
    return ListBenchmark.of_test_split(
        lambda: read_problems(data, answer_type="integer", names=config.map)
    )
