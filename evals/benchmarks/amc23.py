"""AMC 12 2023: 40 competition problems with integer answers (math-ai/amc23 on the hub)."""

from typing import Any

from tts.answers.groups import canonical_form
from tts.evals.benchmarks.base import DataConfig, ListBenchmark, Part, Published, Row


def _to_row(row: Row, index: int) -> dict[str, Any]:
    return {
        "id": f"amc23-{index + 1:02d}",
        "problem": row["question"],
        "answer": canonical_form(str(row["answer"]), "integer"),  # upstream writes 27.0
    }


PUBLISHED = Published(
    name="amc23",
    dataset="math-ai/amc23",
    answer_type="integer",
    parts={
        "test": Part(
            "amc23.jsonl",
            _to_row,
            num_problems=40,
            sha256="3c8fe7344289768661b05a366a4f43c0bb2c30483f1cb957a6b006551a0b7de7",
        )
    },
)


class Config(DataConfig):
    """Where the problems come from."""


def build(config: Config) -> ListBenchmark:
    """Return the benchmark, from a file if one is given."""
    return PUBLISHED.load(config)
