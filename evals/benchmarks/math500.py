"""MATH-500: 500 competition problems of levels 1 to 5 (HuggingFaceH4/MATH-500 on the hub)."""

from typing import Any

from tts.evals.benchmarks.base import DataConfig, ListBenchmark, Part, Published, Row


def _to_row(row: Row, index: int) -> dict[str, Any]:
    return {
        "id": row["unique_id"].removeprefix("test/").removesuffix(".json"),
        "problem": row["problem"],
        "answer": row["answer"],
        "level": row["level"],
        "subject": row["subject"],
    }


PUBLISHED = Published(
    name="math500",
    dataset="HuggingFaceH4/MATH-500",
    revision="6e4ed1a2a79af7d8630a6b768ec859cb5af4d3be",
    answer_type="math",
    parts={
        "test": Part(
            "math500.jsonl",
            _to_row,
            num_problems=500,
            sha256="db657b4eb43f0ece2bce44a32e34b2d895de9d7b98587db1741f8a2880b847df",
        )
    },
)


class Config(DataConfig):
    """Where the problems come from."""


def build(config: Config) -> ListBenchmark:
    """Return the benchmark, from a file if one is given."""
    return PUBLISHED.load(config)
