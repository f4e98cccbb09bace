"""From a part's name and its parameters to the part: one way for all kinds.

A strategy's `build(config)` returns a pipeline, a benchmark's the benchmark, a memory's what steps
call to mind, a verifier's the verifier. A verifier whose module names a `DEFAULT_MODEL` scores by a
reward model: its `build(config, reward_model)` is also given the engine that serves that model. One
whose module names a `MODEL_OPTION` reads a file of its own instead, the value of that option.
"""

import ast
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from tts.errors import InputError
from tts.parts import catalog
from tts.parts.files import digest_of
from tts.parts.parameters import Parameters, checked, described

if TYPE_CHECKING:
    from tts.pipeline import Pipeline


def parameters_of(kind: str, name: str) -> type[Parameters]:
    """Return the class of a part's parameters.

    Args:
        kind: A key of `tts.parts.catalog.KINDS`.
        name: As presets write it.

    Raises:
        InputError: There is no such part, or its parameters are no `Parameters`.
    """
    module = catalog.load(kind, name)
    if kind == "operator":
        return _operator_in(module)
    holder = catalog.KINDS[kind].parameters
    model = getattr(module, holder)
    if not (isinstance(model, type) and issubclass(model, Parameters)):
        raise InputError(
            f"{module.__name__}: {holder} is no class of tts.parts.parameters.Parameters"
        )
    return model


def configure_part(kind: str, name: str, values: Mapping[str, Any]) -> Any:
    """Return a part's parameters, checked.

    Raises:
        InputError: There is no such part.
        ParameterError: A parameter is unknown or missing, or a value is wrong.
    """
    return checked(parameters_of(kind, name), values, f"{kind} {name!r}")


def build_part(kind: str, name: str, values: Mapping[str, Any]) -> Any:
    """Return a part: a strategy's pipeline, a benchmark, a memory.

    Raises:
        InputError: There is no such part, or it cannot be built here.
        ParameterError: A parameter is unknown or missing, or a value is wrong.
    """
    config = configure_part(kind, name, values)
    return catalog.load(kind, name).build(config)


def part_of_field(kind: str, value: Any) -> Any:
    """Return the part that a field's value `{name: facts, file: facts.txt}` describes.

    For pydantic's validators; a value that is no mapping is returned as it is.

    Raises:
        ValueError: There is no such part, or a parameter of it is wrong.
    """
    if not isinstance(value, Mapping):
        return value
    values = dict(value)
    name = str(values.pop("name", ""))
    if not name:
        known = ", ".join(catalog.sources(kind))
        raise ValueError(f"a {kind} needs a `name`; there are: {known}")
    make = configure_part if kind == "policy" else build_part
    try:
        return make(kind, name, values)
    except InputError as error:
        raise ValueError(str(error)) from error


def part_to_mapping(kind: str, part: object, config: Parameters) -> dict[str, Any]:
    """Return the mapping that describes a part, without parameters that have their default."""
    name = catalog.name_of(kind, type(part).__module__)
    return {"name": name, **config.model_dump(mode="json", exclude_defaults=True)}


def load_verifier(
    text: str, options: Mapping[str, Any] | None = None, *, model: str | None = None
) -> tuple[ModuleType, Any]:
    """Return a verifier's module and its checked options.

    Args:
        text: Its name, with options or without.
        options: More of them; those of the text come first.
        model: What it reads in place of its default; only one with a `MODEL_OPTION` looks at it.

    Raises:
        InputError: There is no such verifier.
        ParameterError: It has no such option, or a value is wrong.
    """
    name, own = catalog.parse_verifier(text)
    parameters, module = parameters_of("verifier", name), catalog.load("verifier", name)
    given = dict(options or {})
    if model is not None and hasattr(module, "MODEL_OPTION"):
        given[module.MODEL_OPTION] = model
    return module, checked(parameters, {**given, **own}, f"verifier {text!r}")


def default_model(verifier: str) -> str | None:
    """Return the reward model that a verifier reads by default; None if it reads none.

    Args:
        verifier: With its options or without.

    Raises:
        InputError: There is no such verifier.
    """
    name, _ = catalog.parse_verifier(verifier)
    model: str | None = getattr(catalog.load("verifier", name), "DEFAULT_MODEL", None)
    return model


def reads_file(verifier: str) -> bool:
    """Return whether a verifier's model is a file of its own, and no engine."""
    name, _ = catalog.parse_verifier(verifier)
    return hasattr(catalog.load("verifier", name), "MODEL_OPTION")


def content_of(verifier: str, model: str) -> str:
    """Return what a verifier's model is told apart by: what its file holds, or else its name."""
    return (digest_of(Path(model)) if reads_file(verifier) else None) or model


def strategy_factory(module: ModuleType) -> "Callable[..., Pipeline]":
    """Return the function that makes a strategy's pipeline of its parameters."""
    name = catalog.name_of("strategy", module.__name__)

    def make(**parameters: Any) -> "Pipeline":
        pipeline: Pipeline = build_part("strategy", name, parameters)
        return pipeline

    return described(make, name, module.__doc__ or "", module.Config)


def verifier_factory(module: ModuleType) -> Callable[..., str]:
    """Return the function that makes a verifier's name of its options.

    A pipeline names its verifiers, so that it can be written down; a run builds what is named.
    """
    name = catalog.name_of("verifier", module.__name__)

    def make(**options: Any) -> str:
        config = configure_part("verifier", name, options)
        given = config.model_dump(exclude_defaults=True)
        written = ", ".join(f"{key}={_written(value)}" for key, value in given.items())
        return f"{name}({written})" if written else name

    return described(make, name, module.__doc__ or "", module.Config)


def _written(value: Any) -> str:
    """Return a value as `parse_verifier` reads it: a word, or another verifier, without quotes."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_written, value))}]"
    return value if isinstance(value, str) and _is_plain(value) else repr(value)


def _is_plain(text: str) -> bool:
    try:
        node = ast.parse(text, mode="eval").body
    except SyntaxError:
        return False
    return isinstance(node, ast.Name | ast.Attribute | ast.Call) and ast.unparse(node) == text


def _operator_in(module: ModuleType) -> type[Parameters]:
    """Return the operator that a module defines."""
    for value in vars(module).values():
        is_own = isinstance(value, type) and value.__module__ == module.__name__
        if is_own and issubclass(value, Parameters) and hasattr(value, "run"):
            operator: type[Parameters] = value
            return operator
    raise InputError(
        f"{module.__name__} is no operator: it defines no tts.operators.base.OperatorModel"
    )
