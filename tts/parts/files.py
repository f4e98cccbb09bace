"""Files that parameters name: a run is told apart by what they hold, not by where they lie."""

import ast
import hashlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from tts.errors import InputError
from tts.parts.catalog import parse_verifier

# Parameters of strategies, operators, verifiers, tools and memories that name a file.
NAMES = frozenset({"calibration", "file", "policy", "router", "start"})
_PIECE = 1 << 20  # bytes


def files_named(values: Any) -> dict[str, str]:
    """Return the files that a preset's values name, as they are written, with their digests.

    Verifiers with options, such as "calibrated(file='prm.json')", are looked into. What is not
    there is left out.
    """
    found = {text: digest_of(Path(text)) for text in _named(values)}
    return {text: digest for text, digest in found.items() if digest is not None}


def with_digests(values: Any, digests: Mapping[str, str]) -> Any:
    """Return values in which the digests of files stand in place of their names.

    Args:
        values: JSON values, those that `files_named` was given or others.
        digests: By name.
    """
    if isinstance(values, Mapping):
        return {
            key: digests[value]
            if key in NAMES and isinstance(value, str) and value in digests
            else with_digests(value, digests)
            for key, value in values.items()
        }
    if isinstance(values, list | tuple):
        return [with_digests(value, digests) for value in values]
    if isinstance(values, str) and _has_options(values):
        return _options_with_digests(values, digests)
    return values


def digest_of(path: Path) -> str | None:
    """Return a hash of what a file or a folder holds; None where there is none to be read."""
    digest = hashlib.blake2b(digest_size=8)
    try:
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in files:
            if file != path and file.is_file():
                digest.update(repr(str(file.relative_to(path))).encode())
            if file == path or file.is_file():
                with file.open("rb") as stream:
                    while piece := stream.read(_PIECE):
                        digest.update(piece)
    except (OSError, ValueError):
        return None
    return digest.hexdigest()


def _named(values: Any) -> Iterator[str]:
    if isinstance(values, Mapping):
        for key, value in values.items():
            is_name = key in NAMES and isinstance(value, str) and value != ""
            if is_name and (key == "file" or Path(value).is_file()):  # a head is a folder
                yield value
            else:
                yield from _named(value)
    elif isinstance(values, list | tuple):
        for value in values:
            yield from _named(value)
    elif isinstance(values, str) and _has_options(values):
        with suppress(InputError):
            yield from _named(parse_verifier(values)[1])


def _options_with_digests(text: str, digests: Mapping[str, str]) -> str:
    """Return a verifier with its options in which digests stand in place of files' names."""
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError):
        return text
    is_changed = False
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg in NAMES:
            value = node.value
            name = value.value if isinstance(value, ast.Constant) else ast.unparse(value)
            if isinstance(name, str) and name in digests:
                node.value, is_changed = ast.Constant(digests[name]), True
    return ast.unparse(tree) if is_changed else text


def _has_options(text: str) -> bool:
    return "=" in text and text.endswith(")")
