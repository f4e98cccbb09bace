"""Published tests of code: their own solutions pass, and solutions that were changed do not.

Set TTS_DATA_DIR to a folder with humaneval.jsonl (openai/human-eval) and mbpp_sanitized.jsonl
(google-research, mbpp), rows as published.
"""

import asyncio
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.sandboxes import open_sandbox
from tts.verifiers._sandbox.sandbox import Assertions, Limits

LIMITS = Limits(seconds=60.0, cpu_seconds=60.0)


@dataclass(frozen=True)
class Case:
    name: str
    code: str
    entry_point: str
    tests: tuple[str, ...]


def rows(name: str) -> list[dict[str, Any]]:
    folder = os.environ.get("TTS_DATA_DIR")
    if not folder:
        pytest.skip(f"TTS_DATA_DIR does not name a folder with {name}")
    return [json.loads(line) for line in (Path(folder) / name).read_text("utf-8").splitlines()]


def humaneval() -> list[Case]:
    """The official program is prompt, completion, test, and a call of `check`."""
    return [
        Case(
            row["task_id"],
            row["prompt"] + row["canonical_solution"],
            row["entry_point"],
            (f"{row['test']}\ncheck({row['entry_point']})",),
        )
        for row in rows("humaneval.jsonl")
    ]


def mbpp() -> list[Case]:
    """The official program is the code, the imports of the tests, and the asserts in a row."""
    return [
        Case(
            f"MBPP/{row['task_id']}",
            row["code"],
            entry_point(row["code"], row["test_list"][0]),
            tuple("\n".join([*row["test_imports"], test]) for test in row["test_list"]),
        )
        for row in rows("mbpp_sanitized.jsonl")
    ]


def entry_point(code: str, test: str) -> str:
    """Return the function of the code that a test calls."""
    defined = re.findall(r"^def (\w+)", code, flags=re.MULTILINE)
    return next(word.group() for word in re.finditer(r"\w+", test) if word.group() in defined)


def passed(codes: Sequence[tuple[str, tuple[str, ...]]]) -> list[bool]:
    """Tell of each code whether all its tests hold."""

    async def one(cell: Any, code: str, tests: tuple[str, ...]) -> bool:
        await cell.load(code)
        return all([(await cell.run(Assertions(test))).exit_code == 0 for test in tests])

    async def work() -> list[bool]:
        async with open_sandbox(LIMITS).open() as cell:
            return [await one(cell, code, tests) for code, tests in codes]

    return asyncio.run(work())


def broken(case: Case) -> str:
    """Return the code of a case, whose function gives its results wrapped in a list."""
    return (
        f"{case.code}\n\n_right = {case.entry_point}\n"
        f"def {case.entry_point}(*arguments):\n    return [_right(*arguments)]\n"
    )


@pytest.mark.slow
@pytest.mark.parametrize("load", [humaneval, mbpp])
def test_the_published_solutions_pass(load: Any) -> None:
    cases = load()
    results = passed([(case.code, case.tests) for case in cases])
    assert [case.name for case, ok in zip(cases, results, strict=True) if not ok] == []


@pytest.mark.slow
@pytest.mark.parametrize("load", [humaneval, mbpp])
def test_solutions_whose_results_were_changed_fail(load: Any) -> None:
    cases = load()
    results = passed([(broken(case), case.tests) for case in cases])
    assert [case.name for case, ok in zip(cases, results, strict=True) if ok] == []
