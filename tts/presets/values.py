"""Values of a preset, checked against the parameters that they are."""

from collections.abc import Mapping
from typing import Any

from tts.errors import ParameterError, PresetError
from tts.parts.parameters import M, checked
from tts.presets.yaml_file import Document, KeyPath


def validate(model: type[M], values: Any, document: Document, path: KeyPath, what: str) -> M:
    """Return the parameters of some values; `what` is what they belong to.

    Raises:
        PresetError: Unknown keys or wrong values, with file and line.
    """
    try:
        return checked(model, mapping(values, document, path, what), what)
    except ParameterError as error:
        raise PresetError(f"{document.place((*path, *error.path))}: {error}") from error


def mapping(values: Any, document: Document, path: KeyPath, what: str) -> Mapping[str, Any]:
    """Return a block's keys and values; none for a block that is not there.

    Raises:
        PresetError: It is something else, with file and line.
    """
    if values is None:
        return {}
    if not isinstance(values, Mapping):
        raise PresetError(f"{document.place(path)}: {what} expects keys and values")
    return values
