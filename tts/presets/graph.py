"""A preset's `pipeline:` and `strategy:` blocks, and pipelines within nodes, to checked graphs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from tts.errors import InputError, ParameterError, PipelineError, PresetError
from tts.parts import catalog
from tts.parts.build import configure_part, parameters_of
from tts.parts.parameters import Parameters
from tts.pipeline import Node, Pipeline
from tts.presets.values import mapping, validate
from tts.presets.yaml_file import Document, KeyPath
from tts.protocols import Operator

LoadPreset = Callable[[str], Pipeline]


def build_graph(
    document: Document, path: KeyPath, load: LoadPreset, *, is_body: bool = False
) -> Pipeline:
    """Return the pipeline of the block of nodes at `path`.

    Args:
        document: The preset.
        path: Of the block.
        load: Returns the pipeline of another preset, for nodes that name one.
        is_body: It runs within a node, which feeds those that read and have no `from`.

    Raises:
        PresetError: Anything wrong with it, with file and line.
    """
    block = _block(document, path)
    if not isinstance(block, Mapping) or not block:
        raise PresetError(f"{document.place(path)}: expected nodes, each with an `operator`")
    builder = _Builder(document, path, load, block, {}, [])
    try:
        pipeline = Pipeline([builder.node(name) for name in block])
        pipeline.check(
            lambda name: f"{document.place((*path, name))}: node {name!r}", is_body=is_body
        )
    except PipelineError as error:
        raise PresetError(str(error)) from error
    return pipeline


def build_strategy(
    document: Document, path: KeyPath, *, is_body: bool = False
) -> tuple[Parameters, Pipeline]:
    """Return the parameters and the pipeline of the `strategy` at `path`.

    Raises:
        PresetError: Anything wrong with them, with file and line.
    """
    block = _block(document, path)
    name, at = str(block["strategy"]), (*path, "parameters")
    try:
        strategy = catalog.load("strategy", name)
    except InputError as error:
        raise PresetError(f"{document.place((*path, 'strategy'))}: {error}") from error
    values = mapping(block.get("parameters"), document, at, f"strategy {name!r}")
    try:
        config: Parameters = configure_part("strategy", name, values)
        pipeline: Pipeline = strategy.build(config)
        pipeline.check(is_body=is_body)
    except ParameterError as error:
        raise PresetError(f"{document.place((*at, *error.path))}: {error}") from error
    except InputError as error:
        raise PresetError(f"{document.place(at)}: strategy {name!r}: {error}") from error
    return config, pipeline


@dataclass(slots=True)
class _Builder:
    document: Document
    path: KeyPath
    load: LoadPreset
    block: Mapping[str, Any]
    nodes: dict[str, Node]
    open_names: list[str]

    def node(self, name: str) -> Node:
        if name in self.nodes:
            return self.nodes[name]
        if name in self.open_names:
            circle = " -> ".join([*self.open_names[self.open_names.index(name) :], name])
            raise PresetError(f"{self._place(name)}: nodes form a circle: {circle}")
        self.open_names.append(name)
        sources = tuple(self.node(self._known(source, name)) for source in self._sources(name))
        self.nodes[name] = Node(self._operator(name), sources, name)
        self.open_names.pop()
        return self.nodes[name]

    def _sources(self, name: str) -> list[str]:
        entry = self.block[name]
        sources = entry.get("from", []) if isinstance(entry, Mapping) else []
        return [sources] if isinstance(sources, str) else list(sources)

    def _known(self, source: str, name: str) -> str:
        if source not in self.block:
            message = catalog.unknown("node", source, self.block)
            raise PresetError(f"{self._place(name, 'from')}: {message}")
        return source

    def _operator(self, name: str) -> Operator:
        entry = self.block[name]
        if not isinstance(entry, Mapping) or "operator" not in entry:
            raise PresetError(f"{self._place(name)}: node {name!r} needs an `operator`")
        operator = str(entry["operator"])
        try:
            model = parameters_of("operator", operator)
        except InputError as error:
            raise PresetError(f"{self._place(name, 'operator')}: {error}") from error
        values = {key: value for key, value in entry.items() if key not in ("operator", "from")}
        path = (*self.path, name)
        for key in getattr(model, "bodies", ()):
            key, _, inner = key.partition(".")
            if values.get(key) is not None:
                values[key] = (
                    self._bodies((*path, key), inner) if inner else self._body((*path, key))
                )
        try:
            made = validate(model, values, self.document, path, f"operator {operator!r}")
            return cast("Operator", made)
        except PipelineError as error:
            raise PresetError(f"{self._place(name)}: node {name!r}: {error}") from error

    def _bodies(self, path: KeyPath, key: str) -> Any:
        """Return a list whose entries hold a pipeline each under a key; as it is if it is none."""
        value = _block(self.document, path)
        if not isinstance(value, list):
            return value
        return [
            {**entry, key: self._body((*path, str(i), key))}
            if isinstance(entry, Mapping) and entry.get(key) is not None
            else entry
            for i, entry in enumerate(value)
        ]

    def _body(self, path: KeyPath) -> Pipeline:
        """Return a pipeline within a node: a block of nodes, a strategy, or a preset's name."""
        value = _block(self.document, path)
        if isinstance(value, str):
            try:
                return self.load(value)
            except PresetError as error:
                raise PresetError(f"{self.document.place(path)}: {error}") from error
        if isinstance(value, Mapping) and isinstance(value.get("strategy"), str):
            return build_strategy(self.document, path, is_body=True)[1]
        return build_graph(self.document, path, self.load, is_body=True)

    def _place(self, *keys: str) -> str:
        return self.document.place((*self.path, *keys))


def _block(document: Document, path: KeyPath) -> Any:
    block: Any = document.values
    for key in path:
        block = block[int(key)] if isinstance(block, list) else block[key]
    return block
