"""Values of a preset, checked against the model that takes them."""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from tts.errors import PresetError
from tts.presets.yaml_file import Document, KeyPath

_Model = TypeVar("_Model", bound=BaseModel)


def validate(
    model: type[_Model], values: Any, document: Document, path: KeyPath, what: str
) -> _Model:
    """Return the model of some values; `what` is what they belong to.

    Raises:
        PresetError: Unknown keys or wrong values, with file and line.
    """
    if values is None:
        values = {}
    if not isinstance(values, Mapping):
        raise PresetError(f"{document.place(path)}: {what} expects keys and values")
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        place = document.place((*path, *map(str, first["loc"])))
        raise PresetError(f"{place}: {_describe(first, what, model)}") from error


def _describe(error: ErrorDetails, what: str, model: type[BaseModel]) -> str:
    key = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden":
        return no_such(what, key, model.model_fields)
    message = error["msg"].removeprefix("Value error, ")
    if not key:
        return f"{what}: {message}"
    return f"{what}: {key} = {error['input']!r}: {message[0].lower()}{message[1:]}"


def no_such(what: str, key: str, known: Sequence[str] | Mapping[str, Any]) -> str:
    """Return the message for a key that is not among the known ones."""
    near = difflib.get_close_matches(key, list(known), n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(known) or 'none'}"
    return f"{what} has no {key!r}; {hint}"
