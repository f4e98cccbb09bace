"""HumanEval: 164 Python functions to complete, graded by their tests (openai/openai_humaneval)."""

import ast
import doctest
from typing import Any

from tts.evals.benchmarks.base import DataConfig, ListBenchmark, Part, Published, Row

_STATEMENT = "Complete this Python function.\n\n```python\n{prompt}\n```"


def _to_row(row: Row, index: int) -> dict[str, Any]:
    prompt, name = str(row["prompt"]), str(row["entry_point"])
    # Chen et al. 2021, arXiv:2107.03374: prompt, completion, test and one call are one program.
    tests = [f"{row['test']}\ncheck({name})"]
    return {
        "id": row["task_id"],
        "problem": _STATEMENT.format(prompt=prompt.strip()),
        "answer": prompt + str(row["canonical_solution"]),
        "starter": prompt,
        "entry_point": name,
        "hidden_tests": tests,
        "tests": [f"assert callable({name})", *_shown_tests(prompt, name)],
    }


def _shown_tests(prompt: str, name: str) -> list[str]:
    """Return what the prompt's own examples say, as assertions; those in prose are passed over."""
    text = prompt.replace('"""', "\n").replace("'''", "\n")  # no part of what an example gives
    try:
        examples = doctest.DocTestParser().get_examples(text)
    except ValueError:  # an example that doctest itself would refuse
        return []
    return [
        f"assert ({example.source}) == ({example.want})"  # lines end there, as do comments
        for example in examples
        if f"{name}(" in example.source and _is_literal(example.want)
    ]


def _is_literal(text: str) -> bool:
    try:
        ast.literal_eval(text.strip())
    except (ValueError, SyntaxError):
        return False
    return True


PUBLISHED = Published(
    name="humaneval",
    dataset="openai/openai_humaneval",
    revision="7dce6050a7d6d172f3cc5c32aa97f52fa1a2e544",
    answer_type="code",
    parts={
        "test": Part(
            "humaneval.jsonl",
            _to_row,
            num_problems=164,
            sha256="6656a9e05dfa062ecc0fb0fd9681604b6b6f87a9053518b181c3a80e30d428d3",
        )
    },
)


class Config(DataConfig):
    """Where the problems come from."""


def build(config: Config) -> ListBenchmark:
    """Return the benchmark, from a file if one is given.

    Attempts are graded by the hidden tests. By the problem's `tests` the verifier `execution` may
    choose: that the program runs and defines the function, and the examples in the prompt that are
    written as a session (`>>>`), which less than half of the problems have.
    """
    return PUBLISHED.load(config)
