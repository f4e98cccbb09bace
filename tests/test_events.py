"""The trace is written only: kinds are declared once, and nothing is decided by them."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tts.events import KINDS
from tts.search.events import Decided

ROOT = Path(__file__).resolve().parent.parent
PRODUCT = ("tts", "strategies", "verifiers", "evals")
# Those that read a recorded trace as such: its file, a timeline of completions, a count of lines.
READERS = {
    "evals/stored_run.py": "the reader of trace.jsonl",
    "tts/bench/runtime_run.py": "when completions arrived",
    "tts/server/answers.py": "hands it on to a client who asks for it",
    "tts/viewer/outcome.py": "shows a recorded trace",
    "tts/viewer/problem.py": "shows a recorded trace",
    "tts/viewer/prompts.py": "lines of the log, which are no events",
    "tts/runtime/log_file.py": "its own lines, which are no events",
}


@cache
def sources() -> tuple[tuple[str, ast.Module], ...]:
    return tuple(_sources())


def _sources() -> Iterator[tuple[str, ast.Module]]:
    for folder in PRODUCT:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if folder == "tts" and path.resolve() != path:  # a linked folder, read by its own name
                continue
            name = str(path.relative_to(ROOT))
            yield name, ast.parse(path.read_text(encoding="utf-8"))


def emitted() -> dict[str, list[str]]:
    """Return where each kind is written, by kind; the first word of every call of `emit`."""
    found: dict[str, list[str]] = {}
    for name, tree in sources():
        for node in ast.walk(tree):
            match node:
                case ast.Call(
                    func=ast.Attribute(attr="emit"), args=[ast.Constant(value=str(kind)), *_]
                ):
                    found.setdefault(kind, []).append(name)
    return found


def test_every_kind_is_declared_and_every_declared_one_is_written() -> None:
    assert emitted().keys() | {Decided.KIND} == set(KINDS)


def test_meanings_are_whole_sentences() -> None:
    assert not [kind for kind, meaning in KINDS.items() if not meaning.endswith(".")]


def kind_comparisons(tree: ast.Module) -> list[int]:
    """Return the lines that compare an event's kind, or look it up, to decide something."""
    lines = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            if any(is_kind(side) for side in sides) and any(names_event(s) for s in sides):
                lines.append(node.lineno)
        if isinstance(node, ast.Match) and is_kind(node.subject):
            patterns = [case.pattern for case in node.cases]
            values = [p.value for p in patterns if isinstance(p, ast.MatchValue)]
            lines += [node.lineno] if any(names_event(value) for value in values) else []
    return lines


def is_kind(node: ast.expr) -> bool:
    return any(
        (isinstance(n, ast.Attribute) and n.attr == "kind")
        or (isinstance(n, ast.Constant) and n.value == "kind")
        for n in ast.walk(node)
    )


def names_event(node: ast.expr) -> bool:
    """Return whether a side holds the name of an event, or compares with another variable's."""
    words = [n.value for n in ast.walk(node) if isinstance(n, ast.Constant)]
    return any(word in KINDS for word in words if isinstance(word, str))


def test_the_search_for_comparisons_sees_what_it_should() -> None:
    seen = (
        'event.kind == "warning"',
        'event.kind in ("abort", "stopped")',
        'event["kind"] != "search"',
        'event.get("kind") == "decide"',
    )
    for text in seen:
        assert kind_comparisons(ast.parse(text)) == [1], text
    match = 'match event.kind:\n    case "request":\n        pass'
    assert kind_comparisons(ast.parse(match)) == [1]
    assert kind_comparisons(ast.parse('spec.kind == "vllm"')) == []


@pytest.mark.parametrize("folder", PRODUCT)
def test_nothing_is_decided_by_the_kind_of_an_event(folder: str) -> None:
    found = [
        f"{name}:{line}"
        for name, tree in sources()
        if name.split("/")[0] == folder and name not in READERS
        for line in kind_comparisons(tree)
    ]
    assert not found, "ask Result.facts instead"


def test_nothing_scans_the_trace_of_a_result() -> None:
    readers = {
        name
        for name, tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.comprehension | ast.For)
        and any(isinstance(n, ast.Attribute) and n.attr == "trace" for n in ast.walk(node.iter))
    }
    assert readers <= READERS.keys()
