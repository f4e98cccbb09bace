"""Every parameter of a pipeline's nodes: those that the run set, and the defaults of the others."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from tts.errors import InputError
from tts.parts import catalog
from tts.parts.build import parameters_of

_GRAPH = ("operator", "from")  # of a node: what it is and what it reads


def parameters_of_nodes(pipeline: Mapping[str, Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return what each node of a graph is set to.

    Args:
        pipeline: As a preset writes it, parameters that have their default left out.

    Returns:
        By node, of each parameter its `name`, its `value`, whether the run set it (`is_set`; the
        others have the default of this version), and its `meaning`. Those of a part, such as a
        search's policy, follow it as `policy.width`.
    """
    return {
        node: list(_rows("operator", str(entry.get("operator", "")), _without(entry, *_GRAPH)))
        for node, entry in pipeline.items()
    }


def _rows(kind: str, part: str, given: Mapping[str, Any], above: str = "") -> Iterator[Any]:
    fields = _fields(kind, part)
    for name in dict.fromkeys((*fields, *given)):
        field, is_set = fields.get(name), name in given
        value = given[name] if is_set else None if field is None else _default(field)
        meaning = (field.description if field else None) or ""
        row = {"name": above + name, "value": value, "is_set": is_set, "meaning": meaning}
        if name in catalog.KINDS and isinstance(value, Mapping) and "name" in value:
            yield {**row, "value": value["name"]}
            yield from _rows(name, str(value["name"]), _without(value, "name"), f"{above}{name}.")
        else:
            yield row


def _without(values: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in keys}


def _fields(kind: str, part: str) -> Mapping[str, FieldInfo]:
    """Return the parameters of a part; none where this version has no such part."""
    try:
        return parameters_of(kind, part).model_fields
    except InputError:
        return {}


def _default(field: FieldInfo) -> Any:
    value = field.get_default(call_default_factory=True, validated_data={})
    return None if field.is_required() else to_jsonable_python(value, fallback=str)
