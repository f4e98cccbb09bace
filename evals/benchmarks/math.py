"""MATH: the 500 test problems of math500; calibration by the other 4,500 of the MATH test set."""

from collections.abc import Iterator
from typing import Any

from tts.answers.groups import extract_answer
from tts.errors import ProblemError
from tts.evals.benchmarks import math500
from tts.evals.benchmarks.base import (
    DataConfig,
    ListBenchmark,
    Part,
    Published,
    Row,
)
from tts.evals.test_sets import keys_of
from tts.types import Problem
from tts.types.statement import statement_key

_SUBJECTS = (
    "algebra",
    "counting_and_probability",
    "geometry",
    "intermediate_algebra",
    "number_theory",
    "prealgebra",
    "precalculus",
)


def _to_row(row: Row, index: int) -> dict[str, Any]:
    return {
        "id": f"math-{index}",
        "problem": row["problem"],
        "answer": extract_answer(row["solution"], "math"),  # its last boxes
        "level": row["level"],
        "subject": row["type"],
    }


def _is_no_test(problem: Problem) -> bool:
    return statement_key(problem.statement) not in keys_of("math500")


# Lightman et al. 2023, arXiv:2305.20050, took the 500 for testing and the rest for training.
PUBLISHED = Published(
    name="math",
    dataset="EleutherAI/hendrycks_math",
    revision="21a5633873b6a120296cce3e2df9d5550074f4a3",
    configs=_SUBJECTS,
    answer_type="math",
    parts={
        "calibration": Part("math_test.jsonl", _to_row, num_problems=4500, keep=_is_no_test),
    },
)


class Config(DataConfig):
    """Where the problems come from."""


def build(config: Config) -> ListBenchmark:
    """Return the benchmark, from a file if one is given.

    A file for calibration may be the whole MATH test set: the 500 are left out.
    """
    tests, others = math500.PUBLISHED.load(config), PUBLISHED.load(config)

    def list_problems(split: str) -> Iterator[Problem]:
        if split not in ("test", *PUBLISHED.parts):
            raise ProblemError(f"no split '{split}'; there are test and calibration")
        return (tests if split == "test" else others).problems(split)

    return ListBenchmark(list_problems)
