"""MBPP, sanitized: short Python functions, graded by assertions that the problem shows."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from tts.evals.benchmarks.base import DataConfig, ListBenchmark, Part, Published, Row
from tts.programs import called_function
from tts.types import Problem

# Austin et al. 2021, arXiv:2108.07732, section 2.1: which task ids are for what.
_TASKS: Mapping[str, range] = {"test": range(11, 511), "calibration": range(601, 975)}
_STATEMENT = "{prompt}\n\nYour code should pass these tests:\n\n```python\n{tests}\n```"


def _to_row(row: Row, index: int) -> dict[str, Any]:
    asserts = "\n".join(row["test_list"])
    return {
        "id": f"MBPP/{row['task_id']}",
        "problem": _STATEMENT.format(prompt=str(row["prompt"]).strip(), tests=asserts),
        "answer": row["code"],
        "entry_point": called_function(str(row["code"]), asserts),
        "hidden_tests": ["\n".join([*row["test_imports"], asserts])],
    }


def _is_of(split: str, problem: Problem) -> bool:
    number = problem.id.removeprefix("MBPP/")
    return not number.isdecimal() or int(number) in _TASKS[split]


PUBLISHED = Published(
    name="mbpp",
    dataset="google-research-datasets/mbpp",
    revision="4bb6404fdc6cacfda99d4ac4205087b89d32030c",
    configs=("sanitized",),
    answer_type="code",
    parts={
        "test": Part(
            "mbpp_sanitized.jsonl", _to_row, num_problems=257, keep=partial(_is_of, "test")
        ),
        "calibration": Part(
            "mbpp_sanitized.jsonl",
            _to_row,
            hub_split="train",
            keep=partial(_is_of, "calibration"),
        ),
    },
)


class Config(DataConfig):
    """Where the problems come from."""


def build(config: Config) -> ListBenchmark:
    """Return the benchmark, from a file if one is given; a file may hold all 427 tasks.

    The tests that a problem shows are those that grade it, so they are no `tests` for a verifier:
    choosing by them would be grading by them.
    """
    return PUBLISHED.load(config)
