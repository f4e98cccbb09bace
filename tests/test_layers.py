"""Imports point one way: each folder may import only what stands below it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
VOCABULARY = {
    f"tts.{name}"
    for name in (
        "types",
        "errors",
        "protocols",
        "scoring",
        "seeds",
        "answers",
        "answers_canonical",
        "answers_checker",
        "answers_extract",
        "answers_worker",
        "prompts",
        "confidence",
        "cost",
        "stopping",
        "limits",
        "ngrams",
        "pools",
        "hardware",
    )
}
GRAPH = {"tts.operators", "tts.runtime", "tts.pipeline"}
# Folder or file, and what it may import of ours besides itself.
MAY_IMPORT: dict[str, set[str]] = {
    "kernels": set(),
    **{f"tts/{name.removeprefix('tts.')}.py": VOCABULARY for name in VOCABULARY},
    "tts/tasks": VOCABULARY,
    "tts/engine": VOCABULARY | {"tts.bundled", "tts.kernels"},
    "verifiers": VOCABULARY | {"tts.tasks"},
    "tts/operators": VOCABULARY | GRAPH | {"tts.allocation", "tts.search.memories"},
    "tts/memories": VOCABULARY,
    "tts/runtime": VOCABULARY | GRAPH,
    "tts/pipeline.py": VOCABULARY,
    "strategies": VOCABULARY
    | {"tts.pipeline", "tts.operators", "tts.search.tree", "tts.allocation"},
    "tts/budget": VOCABULARY,
    "tts/bundled": VOCABULARY | {"tts.tasks"},
    "evals": VOCABULARY
    | {
        "tts.api",
        "tts.allocation",
        "tts.tasks",
        "tts.runtime",
        "tts.presets.load",
        "tts.catalog",
        "tts",
    },
    "examples": {"tts"},
}


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            modules = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (m for m in modules if node.module == "tts")
            yield from ([node.module] if node.module != "tts" else [])


def is_allowed(name: str, allowed: set[str]) -> bool:
    return any(name == entry or name.startswith(f"{entry}.") for entry in allowed)


@pytest.mark.parametrize("place", MAY_IMPORT)
def test_imports_point_down(place: str) -> None:
    target = ROOT / place
    own = f"tts.{place.removeprefix('tts/').removesuffix('.py').replace('/', '.')}"
    allowed = MAY_IMPORT[place] | {own}
    files = [target] if target.suffix else sorted(target.rglob("*.py"))
    breaches = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in files
        for name in imports(path)
        if (name == "tts" or name.startswith("tts.")) and not is_allowed(name, allowed)
    ]
    assert not breaches
