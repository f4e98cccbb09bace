"""JSON for the files of a run: one line for every completion and every event of the trace."""

import json
from dataclasses import is_dataclass
from typing import Any

from pydantic_core import PydanticSerializationError, to_json


def encode_json(value: Any) -> bytes:
    """Return a value as JSON, dataclasses as objects; four times as fast as `json.dumps`.

    Half of a surrogate pair, which a server's answer may hold, is written as an escape, and numbers
    that are not finite as `json` reads them.

    Args:
        value: Of JSON values, tuples and dataclasses.

    Raises:
        TypeError: Something in it is nothing that can be written.
    """
    try:
        return to_json(value)
    except PydanticSerializationError:  # UTF-8 has no half of a pair
        return json.dumps(value, default=_fields).encode()


def _fields(value: Any) -> dict[str, Any]:
    """Return a dataclass's own fields."""
    if not is_dataclass(value):
        raise TypeError(f"{type(value).__name__} is no JSON value")
    return {name: getattr(value, name) for name in value.__dataclass_fields__}
