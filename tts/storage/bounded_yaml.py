"""YAML that stays small: what is nested deeply, lies within itself or grows by aliases is refused.

An alias repeats what its anchor names, so that ten lines of ten aliases each are ten thousand
million values; they are counted before anything is built.
"""

from typing import Any

import yaml
from yaml.composer import ComposerError
from yaml.constructor import ConstructorError

MAX_CHARS = 1 << 20
MAX_DEPTH = 40
MAX_VALUES = 100_000


class _Loader(yaml.SafeLoader):
    """Stops before the depth at which Python's own stack would end."""

    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _too_deep(self.peek_event().start_mark)  # type: ignore[no-untyped-call]
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, OverflowError) as error:  # a day of no month, too many digits
            raise ConstructorError(None, None, str(error), node.start_mark) from error


def compose(text: str) -> yaml.Node | None:
    """Return the nodes of a document; None where it is empty.

    Raises:
        yaml.YAMLError: It is no valid YAML, or is too large; what it tells says where.
    """
    if len(text) > MAX_CHARS:
        raise yaml.YAMLError(f"longer than {MAX_CHARS:,} characters")
    node: yaml.Node | None = yaml.compose(text, Loader=_Loader)
    if node is not None:
        _measure(node, 1, {})
    return node


def construct(node: yaml.Node) -> Any:
    """Return the plain Python value of a node.

    Raises:
        yaml.YAMLError: There is none, such as for an unknown tag.
    """
    loader = _Loader("")
    try:
        return loader.construct_document(node)
    finally:
        loader.dispose()


def load(text: str) -> Any:
    """Return the plain Python value of a document.

    Raises:
        yaml.YAMLError: It is no valid YAML, or is too large; what it tells says where.
    """
    node = compose(text)
    return None if node is None else construct(node)


def _measure(node: yaml.Node, depth: int, known: dict[int, tuple[int, int]]) -> tuple[int, int]:
    """Return how many values a node has, aliases written out, and how many levels."""
    num_values, height = known.get(id(node), (0, 0))
    if depth + height > MAX_DEPTH:
        raise _too_deep(node.start_mark)
    if height:
        return num_values, height
    num_values, height = 1, 1
    for child in _children(node):
        more, levels = _measure(child, depth + 1, known)
        num_values, height = num_values + more, max(height, levels + 1)
    if num_values > MAX_VALUES:
        what = f"more than {MAX_VALUES:,} values, aliases written out"
        raise ComposerError(None, None, what, node.start_mark)
    known[id(node)] = num_values, height
    return num_values, height


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [child for pair in node.value for child in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _too_deep(mark: Any) -> ComposerError:
    what = f"nested more than {MAX_DEPTH} levels deep, or within itself"
    return ComposerError(None, None, what, mark)
