"""Presets: YAML files that name a strategy, its parameters, a sampling profile and a budget."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from tts import catalog
from tts.errors import BudgetError, InputError, PipelineError, PresetError
from tts.operators.base import OperatorModel
from tts.pipeline import Node, Pipeline
from tts.types import Budget, Sampling
from tts.yaml_file import Document, KeyPath, load_document, parse_value

_KEYS = ("description", "extends", "strategy", "parameters", "pipeline", "sampling", "budget")
_MAX_EXTENDS = 8
_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Preset:
    """A strategy ready to run.

    Attributes:
        name: File name without its suffix.
        description: One line.
        pipeline: The checked graph.
        sampling: Sampling profile of all its requests.
        budget: Per problem; no limits if the preset names none.
        values: The resolved YAML, overrides included; what a run records.
    """

    name: str
    description: str
    pipeline: Pipeline
    sampling: Sampling
    budget: Budget
    values: Mapping[str, Any]


class _SamplingModel(BaseModel):
    """The `sampling:` block."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    temperature: float = Field(0.8, ge=0)
    top_p: float = Field(1.0, gt=0, le=1)
    top_k: int = Field(0, ge=0)
    min_p: float = Field(0.0, ge=0, le=1)
    max_tokens: int = Field(2048, ge=1)
    stop: tuple[str, ...] = ()
    logprobs: int | None = Field(None, ge=1, le=20)


def load_preset(name: str, overrides: Sequence[str] = ()) -> Preset:
    """Load a preset that ships with the package, or a YAML file.

    Args:
        name: A preset's name, or a path that ends in .yaml or .yml.
        overrides: "n=32" (a parameter), "draft.n=32" (of a node), "sampling.temperature=0.7",
            "budget=8k".

    Raises:
        PresetError: Anything wrong with it, with file and line and what to do.
    """
    path = find_preset(name)
    document = _resolve(path)
    for override in overrides:
        _override(document, override)
    return _build(path.stem, document)


def find_preset(name: str) -> Path:
    """Return the file of a preset.

    Raises:
        PresetError: There is no such preset.
    """
    if name.endswith((".yaml", ".yml")):
        path = Path(name)
        if not path.is_file():
            raise PresetError(f"{name}: there is no such file")
        return path
    files = catalog.preset_files()
    if name not in files:
        raise PresetError(catalog.unknown("preset", name, files))
    return files[name]


def _resolve(path: Path, depth: int = 0) -> Document:
    document = load_document(path)
    for key in document.values:
        if key not in _KEYS:
            raise PresetError(f"{document.place((key,))}: {_no_such('a preset', key, _KEYS)}")
    base = document.values.pop("extends", None)
    if base is None:
        return document
    place = document.place(("extends",))
    if depth >= _MAX_EXTENDS:
        raise PresetError(f"{place}: presets extend each other in a circle")
    sibling = path.parent / str(base)
    try:
        parent = _resolve(sibling if sibling.is_file() else find_preset(str(base)), depth + 1)
    except PresetError as error:
        raise PresetError(f"{place}: extends {base!r}: {error}") from error
    return Document(_merge(parent.values, document.values), {**parent.places, **document.places})


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            value = _merge(old, value)
        merged[key] = value
    return merged


def _override(document: Document, override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise PresetError(f"--set {override}: write KEY=VALUE, such as n=32 or sampling.top_p=0.9")
    path: KeyPath = tuple(key.strip().split("."))
    if path[0] not in ("sampling", "budget"):
        path = ("pipeline" if "pipeline" in document.values else "parameters", *path)
    block = document.values
    for part in path[:-1]:
        block = block.setdefault(part, {})
        if not isinstance(block, dict):
            raise PresetError(f"--set {override}: {part!r} holds a single value")
    block[path[-1]] = parse_value(text)
    document.places[path] = f"--set {override}"


def _build(name: str, document: Document) -> Preset:
    values = document.values
    if ("strategy" in values) == ("pipeline" in values):
        raise PresetError(
            f"{document.place(())}: a preset names a `strategy` or a `pipeline`, not both"
        )
    pipeline = _build_pipeline(document) if "pipeline" in values else _build_strategy(document)
    sampling = _validate(
        _SamplingModel, values.get("sampling"), document, ("sampling",), "sampling"
    )
    return Preset(
        name=name,
        description=str(values.get("description", "")),
        pipeline=pipeline,
        sampling=Sampling(**sampling.model_dump()),
        budget=_build_budget(document),
        values=values,
    )


def _build_strategy(document: Document) -> Pipeline:
    values = document.values
    name = str(values["strategy"])
    try:
        module = catalog.load("strategy", name)
    except InputError as error:
        raise PresetError(f"{document.place(('strategy',))}: {error}") from error
    config = _validate(
        module.Config, values.get("parameters"), document, ("parameters",), f"strategy {name!r}"
    )
    pipeline: Pipeline = module.build(config)
    try:
        pipeline.check()
    except PipelineError as error:
        raise PresetError(
            f"{document.place(('parameters',))}: strategy {name!r}: {error}"
        ) from error
    return pipeline


def _build_pipeline(document: Document) -> Pipeline:
    block = document.values["pipeline"]
    if not isinstance(block, Mapping) or not block:
        raise PresetError(
            f"{document.place(('pipeline',))}: expected nodes, each with an `operator`"
        )
    nodes: dict[str, Node] = {}
    open_names: list[str] = []

    def node_of(name: str) -> Node:
        if name in nodes:
            return nodes[name]
        if name in open_names:
            circle = " -> ".join([*open_names[open_names.index(name) :], name])
            raise PresetError(
                f"{document.place(('pipeline', name))}: nodes form a circle: {circle}"
            )
        open_names.append(name)
        entry = block[name]
        sources = [
            node_of(_known_node(source, name, block, document)) for source in _sources(entry)
        ]
        nodes[name] = Node(_build_operator(name, document), tuple(sources), name)
        open_names.pop()
        return nodes[name]

    try:
        pipeline = Pipeline([node_of(name) for name in block])
        pipeline.check(lambda name: f"{document.place(('pipeline', name))}: node {name!r}")
    except PipelineError as error:
        raise PresetError(str(error)) from error
    return pipeline


def _sources(entry: Any) -> list[str]:
    sources = entry.get("from", []) if isinstance(entry, Mapping) else []
    return [sources] if isinstance(sources, str) else list(sources)


def _known_node(source: str, name: str, block: Mapping[str, Any], document: Document) -> str:
    if source not in block:
        place = document.place(("pipeline", name, "from"))
        raise PresetError(f"{place}: {catalog.unknown('node', source, block)}")
    return source


def _build_operator(name: str, document: Document) -> Any:
    entry, path = document.values["pipeline"][name], ("pipeline", name)
    if not isinstance(entry, Mapping) or "operator" not in entry:
        raise PresetError(f"{document.place(path)}: node {name!r} needs an `operator`")
    operator = str(entry["operator"])
    try:
        module = catalog.load("operator", operator)
    except InputError as error:
        raise PresetError(f"{document.place((*path, 'operator'))}: {error}") from error
    model = next(
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, OperatorModel)
        and value.__module__ == module.__name__
    )
    parameters = {key: value for key, value in entry.items() if key not in ("operator", "from")}
    return _validate(model, parameters, document, path, f"operator {operator!r}")


def _build_budget(document: Document) -> Budget:
    block = document.values.get("budget")
    if block is None:
        return Budget()
    try:
        if isinstance(block, Mapping):
            return _budget_from_mapping(block)
        return Budget.parse(str(block))
    except BudgetError as error:
        raise PresetError(f"{document.place(('budget',))}: {error}") from error


def _budget_from_mapping(block: Mapping[str, Any]) -> Budget:
    limits = ("tokens", "flops", "seconds", "usd", "calls")
    for key, value in block.items():
        if key not in limits:
            raise BudgetError(_no_such("budget", key, limits))
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise BudgetError(f"budget {key} must be a number, got {value!r}")
    return Budget(**block)


def _validate(
    model: type[_Model], values: Any, document: Document, path: KeyPath, what: str
) -> _Model:
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
        return _no_such(what, key, model.model_fields)
    message = error["msg"].removeprefix("Value error, ")
    if not key:
        return f"{what}: {message}"
    return f"{what}: {key} = {error['input']!r}: {message[0].lower()}{message[1:]}"


def _no_such(what: str, key: str, known: Sequence[str] | Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(key, list(known), n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(known) or 'none'}"
    return f"{what} has no {key!r}; {hint}"
