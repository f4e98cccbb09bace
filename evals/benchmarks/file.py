"""Your own problems and answers: a JSON Lines, CSV, TSV or Parquet file (--data FILE)."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from tts.errors import ProblemError
from tts.evals.benchmarks._code_rows import code_row
from tts.evals.benchmarks._rows import read_problems_as, to_problem
from tts.evals.benchmarks.base import DataConfig, ListBenchmark
from tts.types import Problem

_SPLITS = ("test", "calibration")


class Config(DataConfig):
    """Where the problems come from."""

    allow_unanswered: bool = Field(
        False, description="take problems without an answer, which are solved and not graded"
    )


def build(config: Config) -> ListBenchmark:
    """Return the benchmark; answers are of type "math" where a row does not say otherwise.

    The file is the split that is asked for, whichever of the two. Programs (`answer_type` "code")
    are graded by the row's `hidden_tests`, else by its `tests`; rows as LiveCodeBench and EvalPlus
    publish them are taken as they are.

    Raises:
        ProblemError: No file is given.
    """
    data = config.data
    if data is None:
        raise ProblemError("the benchmark file needs a file; name it with --data FILE")

    def make(row: Mapping[str, Any], where: str, _: int) -> Problem:
        known = code_row(row, where)
        return to_problem(
            known, where, answer_type="math", allow_unanswered=config.allow_unanswered
        )

    def list_problems(split: str) -> list[Problem]:
        if split not in _SPLITS:
            raise ProblemError(f"no split '{split}'; a file is {' or '.join(_SPLITS)}")
        return read_problems_as(make, data, config.map)

    return ListBenchmark(list_problems, unsafe=config.unsafe_execution)
