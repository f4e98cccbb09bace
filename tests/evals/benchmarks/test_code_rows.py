"""Rows as LiveCodeBench and EvalPlus publish them: what is shown, and what grades a program."""

import base64
import json
import os
import pickle
import zlib
from pathlib import Path
from typing import Any

import pytest

from tests.evals.benchmarks.test_benchmarks import load
from tts.errors import ProblemError
from tts.types import Answer, Problem, Support

VOTE = Support(votes=1, voters=1, weight=1.0, probability=1.0)
EVALPLUS = {
    "task_id": "HumanEval/7",
    "prompt": 'def half(x):\n    """Halve x, or each of its items."""\n',
    "entry_point": "half",
    "canonical_solution": ("    return [half(i) for i in x] if isinstance(x, list) else x / 2\n"),
    "base_input": [[2], [[1, 2]]],
    "plus_input": [[0.3], [[]]],
    "atol": 0,
}
ADDS = [{"input": "1 2\n", "output": "3", "testtype": "stdin"}]
MORE = [{"input": "5 6\n", "output": "11", "testtype": "stdin"}]
PRINTS = {
    "question_id": "abc1",
    "question_content": "Add two numbers.",
    "starter_code": "",
    "difficulty": "easy",
    "public_test_cases": json.dumps(ADDS),
    "private_test_cases": MORE,
    "metadata": "{}",
}
METHOD = {
    "question_id": "lc2",
    "question_content": "Join.",
    "starter_code": "class Solution:\n    def join(self, a: str, b: List[int]) -> str:\n        ",
    "public_test_cases": [
        {"input": '"x"\n[1, 2]', "output": '"x12"', "testtype": "functional"},
    ],
    "private_test_cases": "",
    "metadata": json.dumps({"func_name": "join"}),
}


def packed(value: Any) -> str:
    return base64.b64encode(zlib.compress(pickle.dumps(value))).decode()


def problem_of(folder: Path, row: dict[str, Any]) -> tuple[Any, Problem]:
    path = folder / "rows.jsonl"
    path.write_text(json.dumps(row) + "\n", "utf-8")
    benchmark = load("file", path)
    (problem,) = benchmark.problems("test")
    return benchmark, problem


def is_right(folder: Path, row: dict[str, Any], code: str) -> bool | None:
    benchmark, problem = problem_of(folder, row)
    correct: bool | None = benchmark.grade(problem, Answer(code, code, VOTE)).correct
    return correct


def test_a_row_of_evalplus_is_graded_by_what_its_solution_gives(tmp_path: Path) -> None:
    _, problem = problem_of(tmp_path, EVALPLUS)
    assert problem.id == "HumanEval/7" and "tests" not in problem.metadata
    assert "Halve x" in problem.statement and len(problem.metadata["hidden_tests"]) == 2
    half = "def half(x):\n    return {} if isinstance(x, list) else x * 0.5{}"
    assert is_right(tmp_path, EVALPLUS, half.format("[half(i) for i in x]", "")) is True
    assert is_right(tmp_path, EVALPLUS, half.format("[half(i) for i in x]", " + 1e-9")) is True
    assert is_right(tmp_path, EVALPLUS, half.format("[half(i) for i in x]", " + 1e-3")) is False
    assert is_right(tmp_path, EVALPLUS, half.format("x and [0.5, 1.0]", "")) is True
    assert is_right(tmp_path, EVALPLUS, half.format("[0.5, 1.0]", "")) is False  # only of [1, 2]


def test_a_program_of_livecodebench_reads_and_prints(tmp_path: Path) -> None:
    for private in (MORE, json.dumps(MORE), packed(json.dumps(MORE))):
        row = {**PRINTS, "private_test_cases": private}
        _, problem = problem_of(tmp_path, row)
        assert problem.metadata["tests"] == [{"input": "1 2\n", "output": "3"}]
        assert len(problem.metadata["hidden_tests"]) == 2 and problem.id == "abc1"
    assert is_right(tmp_path, PRINTS, "print(sum(map(int, input().split())))") is True
    assert is_right(tmp_path, PRINTS, "print(3)") is False


def test_a_method_of_livecodebench_is_called(tmp_path: Path) -> None:
    _, problem = problem_of(tmp_path, METHOD)
    assert problem.metadata["hidden_tests"] == ["assert Solution().join('x', [1, 2]) == 'x12'"]
    code = "class Solution:\n    def join(self, a, b):\n        return a + ''.join(map(str, b))"
    assert is_right(tmp_path, METHOD, code) is True
    assert is_right(tmp_path, METHOD, code.replace("a +", "")) is False


class Harm:
    def __reduce__(self) -> Any:
        return os.remove, ("/nonexistent",)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"private_test_cases": packed(Harm())}, "where a text is expected"),
        ({"private_test_cases": "no base64!"}, "cannot be read"),
        ({"private_test_cases": '{"a": 1}'}, "cannot be read"),
        ({"public_test_cases": "[1]"}, "no list of objects"),
        ({"public_test_cases": [{"testtype": "functional", "input": "1"}]}, "no func_name"),
    ],
)
def test_tests_that_cannot_be_read_are_named(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    with pytest.raises(ProblemError, match=r"rows\.jsonl") as refused:
        problem_of(tmp_path, {**PRINTS, **change})
    assert words in str(refused.value)
