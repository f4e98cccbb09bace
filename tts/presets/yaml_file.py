"""YAML that remembers where each key stood, so that errors can say file and line."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tts.errors import PresetError
from tts.storage import bounded_yaml

KeyPath = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A mapping read from YAML.

    Attributes:
        values: Plain Python values.
        places: "file:line" of every key, by its path from the top.
    """

    values: dict[str, Any]
    places: dict[KeyPath, str]

    def place(self, path: KeyPath) -> str:
        """Return where a key, or the nearest one above it, was written."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, "")


def load_document(path: Path) -> Document:
    """Read a YAML mapping.

    Raises:
        PresetError: The file cannot be read, is no valid YAML, is no mapping, or repeats a key.
    """
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(bounded_yaml.MAX_CHARS + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise PresetError(f"{path}: cannot be read: {error}") from error
    try:
        node = bounded_yaml.compose(text)
    except yaml.YAMLError as error:
        raise _not_yaml(path, error) from error
    if not isinstance(node, yaml.MappingNode):
        raise PresetError(f"{path}: expected a mapping of keys to values")
    places: dict[KeyPath, str] = {(): f"{path}:1"}
    return Document(_read_mapping(node, path, (), places), places)


def parse_value(text: str) -> Any:
    """Read one value as YAML writes it: 3, 0.5, true, a word, [a, b].

    Raises:
        PresetError: The text is no valid YAML.
    """
    try:
        return bounded_yaml.load(text)
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", None) or str(error)
        raise PresetError(f"cannot read the value {text!r:.200}: {problem}") from error


def _not_yaml(path: Path, error: yaml.YAMLError) -> PresetError:
    if not isinstance(error, yaml.MarkedYAMLError):
        return PresetError(f"{path}: not valid YAML: {error}")
    line = error.problem_mark.line + 1 if error.problem_mark else 1
    return PresetError(f"{path}:{line}: not valid YAML: {error.problem}")


def _read_mapping(
    node: yaml.MappingNode, file: Path, path: KeyPath, places: dict[KeyPath, str]
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = str(key_node.value)
        place = f"{file}:{key_node.start_mark.line + 1}"
        if key in values:
            raise PresetError(f"{place}: {key!r} is given twice")
        places[(*path, key)] = place
        values[key] = _read(value_node, file, (*path, key), places)
    return values


def _read(node: yaml.Node, file: Path, path: KeyPath, places: dict[KeyPath, str]) -> Any:
    if isinstance(node, yaml.MappingNode):
        return _read_mapping(node, file, path, places)
    if isinstance(node, yaml.SequenceNode):
        return [_read(item, file, path, places) for item in node.value]
    try:
        return bounded_yaml.construct(node)
    except yaml.YAMLError as error:
        raise _not_yaml(file, error) from error
