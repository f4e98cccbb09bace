"""Which room imports which: read from the sources, nothing is imported.

A room is a folder of modules, without the folders in it, or a single module that lies in `tts`
itself. The links in `tts` make `strategies`, `verifiers`, `evals` and `kernels` rooms of it.

To print the imports as they are, room by room: `python -m tests.support.layers`.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

_IMPORTERS = {"import_module", "__import__"}
_NAME = re.compile(r"tts(\.[A-Za-z_]\w*)+\.?")


class Found(NamedTuple):
    """One place where a module names another of ours.

    Attributes:
        line: Where.
        target: The dotted name; of a module, or of what is in it.
        is_import: Whether the module cannot run without it: not so a name in a table, by which a
            part is looked up, or one that only annotations need.
    """

    line: int
    target: str
    is_import: bool


@dataclass(slots=True)
class Uses:
    """What a room uses of the others, each with the places where it does.

    Attributes:
        imports: Rooms that it imports.
        names: Rooms that it only names.
    """

    imports: dict[str, list[str]] = field(default_factory=dict)
    names: dict[str, list[str]] = field(default_factory=dict)


def find_imports(source: str) -> Iterator[Found]:
    """Yield all that a module uses of ours, within functions and by `import_module` too."""
    tree = ast.parse(source)
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for statement in node.body
        for inner in ast.walk(statement)
    }
    called = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and _called(node.func) in _IMPORTERS
        for argument in node.args[:1]
        for inner in ast.walk(argument)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            for target in _imported(node):
                yield Found(node.lineno, target, id(node) not in for_types)
        elif isinstance(node, ast.Constant) and _NAME.fullmatch(str(node.value)):
            yield Found(node.lineno, str(node.value).rstrip("."), id(node) in called)


def _called(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else ast.unparse(function)


def _imported(node: ast.Import | ast.ImportFrom) -> list[str]:
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif node.level:  # only code that runs without this package does it, and within its room
        assert node.level == 1, f"line {node.lineno}: a relative import that leaves its room"
        names = []
    else:
        names = [f"{node.module}.{alias.name}" for alias in node.names]
    return [name for name in names if name.split(".")[0] in ("tts", "tests")]


def rooms_of(root: Path) -> dict[str, list[Path]]:
    """Return the modules of each room of a tree, by the room's dotted name."""
    rooms: dict[str, list[Path]] = {}
    folders = ["tts", "strategies", "verifiers", "evals", "kernels", "examples", "tests/support"]
    for folder in folders:
        for path in sorted((root / folder).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            if parts[0] not in ("tts", "examples", "tests"):
                parts = ("tts", *parts)
            is_loose = len(parts) == 2 and parts[0] == "tts" and parts[1] != "__init__"
            rooms.setdefault(".".join(parts if is_loose else parts[:-1]), []).append(path)
    return rooms


def room_of(target: str, rooms: Mapping[str, object]) -> str | None:
    """Return the room of a dotted name: the longest one that it begins with; None without one."""
    while target and target not in rooms:
        target = target.rpartition(".")[0]
    return target or None


def uses_of(root: Path) -> dict[str, Uses]:
    """Return what each room of a tree uses of the others."""
    rooms = rooms_of(root)
    found: dict[str, Uses] = {}
    for room, paths in rooms.items():
        uses = found[room] = Uses()
        for path in paths:
            for line, target, is_import in find_imports(path.read_text(encoding="utf-8")):
                other = room_of(target, rooms)
                # A string that begins like one of our modules and is none names no room.
                if other in (None, room) or (other == "tts" and not is_import):
                    continue
                places = (uses.imports if is_import else uses.names).setdefault(other, [])
                places.append(f"{path.relative_to(root)}:{line}")
    return found


def main() -> None:
    """Print every room, what it imports, and what it only names."""
    for room, uses in uses_of(Path(__file__).resolve().parents[2]).items():
        only_named = sorted(uses.names.keys() - uses.imports.keys())
        print(room, *sorted(uses.imports), "| names", *only_named)  # noqa: T201


if __name__ == "__main__":
    main()
