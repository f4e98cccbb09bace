"""The form of a preset as JSON Schema, by which editors complete and check YAML as it is typed."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, PydanticInvalidForJsonSchema, PydanticSchemaGenerationError
from pydantic import TypeAdapter as Adapter
from pydantic.fields import FieldInfo

from tts.errors import MissingExtraError
from tts.parts import catalog
from tts.parts.build import parameters_of
from tts.presets.load import PromptParameters, SamplingParameters

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def preset_schema() -> dict[str, Any]:
    """Return the schema: every block, strategy, operator and parameter with its meaning.

    What only a run can tell (whether nodes fit together, values that depend on each other) is
    checked by `tts presets check`.
    """
    strategies, operators = _parts("strategy"), _parts("operator")
    wiring = {
        "from": {
            "description": "the node, or nodes, that it reads",
            "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
        }
    }
    return {
        "$schema": _DIALECT,
        "title": "A preset of tts",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "description": {"type": "string", "description": "one line"},
            "extends": {
                "type": "string",
                "description": "the name or file of the preset that this one changes",
            },
            "strategy": {
                "description": "a pipeline by name",
                "oneOf": [
                    {"const": name, "description": text} for name, (text, _) in strategies.items()
                ],
            },
            "parameters": {"type": "object", "description": "of the strategy"},
            "pipeline": {
                "type": "object",
                "description": "nodes by name, each with its operator",
                "additionalProperties": {
                    "type": "object",
                    "required": ["operator"],
                    "properties": {
                        "operator": {
                            "oneOf": [
                                {"const": name, "description": text}
                                for name, (text, _) in operators.items()
                            ]
                        },
                        **wiring,
                    },
                    "allOf": [
                        _when("operator", name, {**wiring, **fields, "operator": {}})
                        for name, (_, fields) in operators.items()
                    ],
                },
            },
            "sampling": {"description": "how samples are drawn", **_block(SamplingParameters)},
            "prompt": {"description": "what stands around the problem", **_block(PromptParameters)},
            "budget": {
                "description": "limit of each problem: 8k (tokens), 30s, 64calls, $0.05",
                "type": ["string", "number", "object"],
            },
        },
        "allOf": [
            {
                "if": {"required": ["strategy"], "properties": {"strategy": {"const": name}}},
                "then": {"properties": {"parameters": _closed(fields)}},
            }
            for name, (_, fields) in strategies.items()
        ],
    }


def _parts(kind: str) -> dict[str, tuple[str, Mapping[str, Any]]]:
    """Return of each part of a kind what it does, and its fields."""
    found: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for name in catalog.names(kind):
        try:
            fields = _fields(parameters_of(kind, name))
            found[name] = catalog.summary(catalog.load(kind, name)), fields
        except MissingExtraError:  # it needs what is not installed here
            continue
    return found


def _when(key: str, name: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    return {"if": {"properties": {key: {"const": name}}}, "then": _closed(fields)}


def _closed(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": dict(fields)}


def _block(model: type[BaseModel]) -> dict[str, Any]:
    return _closed(_fields(model))


def _fields(model: type[BaseModel]) -> dict[str, Any]:
    return {name: _field(field) for name, field in model.model_fields.items()}


def _field(field: FieldInfo) -> dict[str, Any]:
    """Return a field's schema; of what JSON has no form for (a pipeline within), its meaning."""
    try:
        annotation: Any = field.annotation
        schema = Adapter(annotation).json_schema()
    except (PydanticInvalidForJsonSchema, PydanticSchemaGenerationError):
        schema = {}
    if "$defs" in schema:  # refers to itself by a path that holds at the top alone
        schema = {}
    said = {"description": field.description} if field.description else {}
    return {**schema, **said}
