"""No two files import each other, directly or by way of others."""

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LINKED = ("strategies", "verifiers", "evals", "kernels")


def modules() -> dict[str, Path]:
    """Return every file of the package by its dotted name, linked folders by their real place."""
    paths = [p for p in (ROOT / "tts").rglob("*.py") if p.resolve() == p]
    paths += [p for folder in LINKED for p in (ROOT / folder).rglob("*.py")]
    found = {}
    for path in paths:
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts if parts[0] == "tts" else ("tts", *parts))
        found[name.removesuffix(".__init__")] = path
    return found


def imported(tree: ast.AST, known: set[str]) -> Iterator[str]:
    """Yield the modules that a file loads when it is imported itself.

    What stands in a function is loaded later; what stands under TYPE_CHECKING never is.
    """
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in known else node.module
        yield from imported(node, known)


@cache
def graph() -> dict[str, set[str]]:
    files = modules()
    return {
        name: {m for m in imported(ast.parse(path.read_text()), set(files)) if m in files} - {name}
        for name, path in files.items()
    }


def test_no_file_is_part_of_a_circle() -> None:
    found = graph()
    assert len(found) > 200 and "tts.protocols" in found["tts.runtime.context"]
    try:
        TopologicalSorter(found).prepare()
    except CycleError as error:
        pytest.fail(f"files import each other: {' -> '.join(error.args[1])}")


@pytest.mark.parametrize(
    ("room", "others"),
    [
        ("tts.operators", ("tts.runtime",)),
        ("tts.search", ("tts.runtime", "tts.operators")),
        ("tts.voting", ("tts.runtime", "tts.operators", "tts.search")),
        ("tts.runtime", ("tts.operators", "tts.search", "tts.engine", "tts.session.runtime")),
    ],
)
def test_rooms_beside_each_other_know_only_the_protocols(
    room: str, others: tuple[str, ...]
) -> None:
    breaches = [
        f"{name} imports {module}"
        for name, found in graph().items()
        if name.startswith(f"{room}.")
        for module in found
        if any(module == other or module.startswith(f"{other}.") for other in others)
    ]
    assert not breaches


def test_the_search_for_imports_sees_what_it_should() -> None:
    text = (
        "from typing import TYPE_CHECKING\n"
        "import a.b\n"
        "from a import c\n"
        "from a.d import thing\n"
        "if TYPE_CHECKING:\n    from a.later import x\n"
        "try:\n    import a.e\nexcept ImportError:\n    pass\n"
        "def f():\n    import a.late\n"
    )
    known = {"a", "a.b", "a.c", "a.d", "a.e", "a.late", "a.later"}
    found = [name for name in imported(ast.parse(text), known) if name in known]
    assert found == ["a.b", "a.c", "a.d", "a.e"]
