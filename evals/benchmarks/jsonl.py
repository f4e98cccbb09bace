"""Your own problems: a JSON Lines file with `id`, `problem` and `answer`, given by --data FILE."""

from pydantic import Field

from tts.errors import ProblemError
from tts.evals.benchmarks._rows import read_problems
from tts.evals.benchmarks.base import DataConfig, ListBenchmark


class Config(DataConfig):
    """Where the problems come from."""

    allow_unanswered: bool = Field(
        False, description="take problems without an answer, which are solved and not graded"
    )


def build(config: Config) -> ListBenchmark:
    """Return the benchmark; answers are of type "math" where a row does not say otherwise.

    Raises:
        ProblemError: No file is given.
    """
    data = config.data
    if data is None:
        raise ProblemError("the benchmark jsonl needs a file; name it with --data FILE")
    return ListBenchmark.of_test_split(
        lambda: read_problems(data, answer_type="math", allow_unanswered=config.allow_unanswered)
    )
