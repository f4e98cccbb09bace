"""Your own problems: a JSON Lines file with `id`, `problem` and `answer`, given by --data FILE."""

from pathlib import Path

from tts.errors import ProblemError
from tts.evals.benchmarks._rows import read_problems
from tts.evals.benchmarks.base import ListBenchmark


def load(data: Path | None = None, *, allow_unanswered: bool = False) -> ListBenchmark:
    """Return the benchmark.

    Args:
        data: The file; answers are of type "math" where a row does not say otherwise.
        allow_unanswered: Take problems without an answer; they are solved and not graded.

    Raises:
        ProblemError: No file is given.
    """
    if data is None:
        raise ProblemError("the benchmark jsonl needs a file; name it with --data FILE")
    return ListBenchmark.of_test_split(
        lambda: read_problems(data, answer_type="math", allow_unanswered=allow_unanswered)
    )
