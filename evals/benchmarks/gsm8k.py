"""GSM8K: the 1,319 grade-school word problems of its test split (openai/gsm8k on the hub)."""

from typing import Any

from tts.answers.groups import extract_answer
from tts.evals.benchmarks.base import DataConfig, ListBenchmark, Published, Row


def _to_row(row: Row, index: int) -> dict[str, Any]:
    return {
        "id": f"gsm8k-test-{index}",
        "problem": row["question"],
        "answer": extract_answer(row["answer"], "integer"),  # solution, then "#### 18"
    }


PUBLISHED = Published(
    name="gsm8k",
    dataset="openai/gsm8k",
    config="main",
    answer_type="integer",
    num_problems=1319,
    sha256="5095a4870391e70337f207d89d54f811ced5cc34b4c127ffb3c0aea68ddb3462",
    to_row=_to_row,
)


class Config(DataConfig):
    """Where the problems come from."""


def build(config: Config) -> ListBenchmark:
    """Return the benchmark, from a JSON Lines file if one is given."""
    return PUBLISHED.load(config.data)
