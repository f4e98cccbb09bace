"""GSM8K: 1,319 grade-school word problems; calibration by its train split (openai/gsm8k)."""

from functools import partial
from typing import Any

from tts.answers.groups import extract_answer
from tts.evals.benchmarks.base import DataConfig, ListBenchmark, Part, Published, Row


def _to_row(split: str, row: Row, index: int) -> dict[str, Any]:
    return {
        "id": f"gsm8k-{split}-{index}",
        "problem": row["question"],
        "answer": extract_answer(row["answer"], "integer"),  # solution, then "#### 18"
    }


PUBLISHED = Published(
    name="gsm8k",
    dataset="openai/gsm8k",
    revision="cc7b047b6e5bb11b4f1af84efc572db110a51b3c",
    configs=("main",),
    answer_type="integer",
    parts={
        "test": Part(
            "gsm8k_test.jsonl",
            partial(_to_row, "test"),
            num_problems=1319,
            sha256="5095a4870391e70337f207d89d54f811ced5cc34b4c127ffb3c0aea68ddb3462",
        ),
        "calibration": Part("gsm8k_train.jsonl", partial(_to_row, "train"), hub_split="train"),
    },
)


class Config(DataConfig):
    """Where the problems come from."""


def build(config: Config) -> ListBenchmark:
    """Return the benchmark, from a file if one is given."""
    return PUBLISHED.load(config)
