"""Your own problems and answers: a JSON Lines, CSV, TSV or Parquet file (--data FILE)."""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import Field

from tts.errors import ProblemError
from tts.evals.benchmarks._code_rows import code_row
from tts.evals.benchmarks._rows import read_problems_as, to_problem
from tts.evals.benchmarks.base import DataConfig, ListBenchmark
from tts.types import AnswerType, Problem

_LOG = logging.getLogger(__name__)
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
    publish them are taken as they are. A type that there is not, such as a data set's own
    "Numerical", is warned of, and the answer is compared as mathematics.

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
        problems = read_problems_as(make, data, config.map)
        _tell_foreign_types(data, problems)
        return problems

    return ListBenchmark(list_problems, unsafe=config.unsafe_execution)


def _tell_foreign_types(path: Path, problems: Iterable[Problem]) -> None:
    """Warn once of types that there are not: they may be misspelt, or a data set's own."""
    named = (p.metadata["answer_type"] for p in problems if "answer_type" in p.metadata)
    if foreign := sorted({str(name) for name in named}):
        known = ", ".join(get_args(AnswerType))
        _LOG.warning(
            "%s: no answer_type is called %s; these answers are compared as mathematics (there are "
            "%s)",
            path,
            " or ".join(map(repr, foreign)),
            known,
        )
