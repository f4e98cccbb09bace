"""Countdown: reach a target from 3 to 5 given numbers; every right calculation counts."""

from tts.evals.benchmarks._rows import read_problems
from tts.evals.benchmarks.base import DataConfig, ListBenchmark
from tts.tasks import countdown


class Config(DataConfig):
    """Where the problems come from."""


def build(config: Config) -> ListBenchmark:
    """Return the benchmark: generated problems, or those of a file.

    A file's rows also have `numbers` and `target`; they need no answer, because grading calculates.
    """
    data = config.data
    if data is None:
        return ListBenchmark(countdown.problems)
    return ListBenchmark.of_test_split(
        lambda: read_problems(
            data, answer_type="countdown", allow_unanswered=True, names=config.map
        )
    )
