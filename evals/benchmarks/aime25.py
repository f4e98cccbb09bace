"""AIME 2025: 30 competition problems, answers 0 to 999 (math-ai/aime25 on the hub)."""

from typing import Any

from tts.evals.benchmarks.base import DataConfig, ListBenchmark, Part, Published, Row


def _to_row(row: Row, index: int) -> dict[str, Any]:
    return {
        "id": f"aime25-{index + 1:02d}",
        "problem": row["problem"],
        "answer": str(row["answer"]),
    }


PUBLISHED = Published(
    name="aime25",
    dataset="math-ai/aime25",
    answer_type="integer",
    parts={
        "test": Part(
            "aime2025.jsonl",
            _to_row,
            num_problems=30,
            sha256="3cf55cc13fed73fc31f7a613c068908c85d11e2b54fc9dc83101653b21241365",
        )
    },
)


class Config(DataConfig):
    """Where the problems come from."""


def build(config: Config) -> ListBenchmark:
    """Return the benchmark, from a file if one is given."""
    return PUBLISHED.load(config)
