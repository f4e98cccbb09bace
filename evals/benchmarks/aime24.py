"""AIME 2024: 30 competition problems, answers 0 to 999 (math-ai/aime24 on the hub)."""

from typing import Any

from tts.answers.groups import extract_answer
from tts.evals.benchmarks.base import DataConfig, ListBenchmark, Part, Published, Row


def _to_row(row: Row, index: int) -> dict[str, Any]:
    return {
        "id": f"aime24-{index + 1:02d}",
        "problem": row["problem"],
        # This copy keeps the answer as \boxed{...} in a column named solution.
        "answer": extract_answer(str(row["solution"]), "integer"),
    }


PUBLISHED = Published(
    name="aime24",
    dataset="math-ai/aime24",
    answer_type="integer",
    parts={
        "test": Part(
            "aime2024.jsonl",
            _to_row,
            num_problems=30,
            sha256="21ddf65aa384e4b2444c3cdc0241f2d298baab36f7e2691e7c923e95a7cf5a56",
        )
    },
)


class Config(DataConfig):
    """Where the problems come from."""


def build(config: Config) -> ListBenchmark:
    """Return the benchmark, from a file if one is given."""
    return PUBLISHED.load(config)
