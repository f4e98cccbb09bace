"""AIME 2026: 30 competition problems, answers 0 to 999 (math-ai/aime26 on the hub)."""

from typing import Any

from tts.evals.benchmarks.base import DataConfig, ListBenchmark, Part, Published, Row


def _to_row(row: Row, index: int) -> dict[str, Any]:
    return {
        "id": f"aime26-{index + 1:02d}",
        "problem": row["problem"],
        "answer": str(row["answer"]),
    }


PUBLISHED = Published(
    name="aime26",
    dataset="math-ai/aime26",
    answer_type="integer",
    parts={
        "test": Part(
            "aime2026.jsonl",
            _to_row,
            num_problems=30,
            sha256="9e5328ce49c8c02e8e5a70ead66e01b74b5d41019a72ddf344e181bf5298d087",
        )
    },
)


class Config(DataConfig):
    """Where the problems come from."""


def build(config: Config) -> ListBenchmark:
    """Return the benchmark, from a file if one is given."""
    return PUBLISHED.load(config)
