"""Every example runs, imports the public doors alone and fits a screen."""

import ast
import asyncio
import inspect
import runpy
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parent.parent.parent / "examples"
DOORS = ("engines", "errors", "operators", "strategies", "types", "verifiers")
EXAMPLES = sorted(FOLDER.glob("*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main: Any = runpy.run_path(str(path))["main"]
    outcome = main()
    if inspect.iscoroutine(outcome):
        asyncio.run(outcome)
    assert expected(path.stem) in capsys.readouterr().out


def expected(name: str) -> str:
    return {
        "solve_one_problem": "65 (8 of 8 votes)",  # 20 + 8 + 37
        "build_a_pipeline": "sum: 28",
        "compare_presets": "self_consistency: 4 of 4 right",
        "evaluate_a_benchmark": "self_consistency: ",
        "test_a_pipeline": "the majority won after 1 request",
    }[name]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_is_short_and_imports_public_doors_only(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) < 60
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)]
    ours = {node.module for node in nodes if (node.module or "").startswith("tts")}
    assert ours <= {f"tts.{door}" for door in DOORS}
