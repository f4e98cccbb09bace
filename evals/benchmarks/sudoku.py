"""Sudoku: complete generated grids of 4x4 and 6x6 cells, each with one solution."""

from tts.evals.benchmarks._rows import read_problems
from tts.evals.benchmarks.base import DataConfig, ListBenchmark
from tts.tasks import sudoku


class Config(DataConfig):
    """Where the problems come from."""


def build(config: Config) -> ListBenchmark:
    """Return the benchmark: generated problems, or those of a file."""
    data = config.data
    if data is None:
        return ListBenchmark(sudoku.problems)
    return ListBenchmark.of_test_split(
        lambda: read_problems(data, answer_type="grid", names=config.map)
    )
