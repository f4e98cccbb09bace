"""Parameters, and the sentence that says what is wrong with them.

Operators, strategies, verifiers, benchmarks, memories and search policies declare their parameters
as fields of a `Parameters` class, each with a default and a description. Presets, command-line
overrides and Python calls are checked against it, and are refused with the same words.
"""

import difflib
from collections.abc import Callable, Iterable, Mapping
from inspect import Parameter, Signature
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from tts.errors import ParameterError

_ALIKE = 0.7  # of two names, from which on one may be the other misspelt
_MAX_SHOWN = 80


class Parameters(BaseModel):
    """Checked, immutable parameters; a key that is no field is refused, as is an infinite number.

    The validator is built on first use: most of the catalogue is imported and never run.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, defer_build=True)


M = TypeVar("M", bound=BaseModel)
F = TypeVar("F", bound=Callable[..., Any])


def checked(model: type[M], values: Mapping[str, Any], what: str) -> M:
    """Return the parameters that some values are.

    Args:
        model: The parameters' class.
        values: By parameter.
        what: What they belong to, as the subject of a sentence: "vote", "strategy 'cascade'".

    Raises:
        ParameterError: A key is unknown or missing, or a value is wrong.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        raise explained(error, model, what) from None


def explained(error: ValidationError, model: type[BaseModel], what: str) -> ParameterError:
    """Return the error that says in one sentence what is wrong."""
    found = error.errors(include_url=False)
    # An unknown key first: it is often the misspelt one that another error misses.
    first = next((each for each in found if each["type"] == "extra_forbidden"), found[0])
    return ParameterError(_sentence(first, model, what), path=tuple(map(str, first["loc"])))


def _sentence(error: ErrorDetails, model: type[BaseModel], what: str) -> str:
    *above, key = map(str, error["loc"]) if error["loc"] else ("",)
    name = ".".join((*above, key))
    fields = _fields_at(model, above)
    if error["type"] == "extra_forbidden":
        return no_such(what, name, [".".join((*above, field)) for field in fields])
    if error["type"] == "missing":
        meaning = fields[key].description if key in fields else None
        return f"{what} needs {name!r}" + (f": {meaning}" if meaning else "")
    message = _message(error)
    if not name:
        return f"{what}: {message}"
    shown = repr(error["input"])
    shown = shown if len(shown) <= _MAX_SHOWN else f"{shown[:_MAX_SHOWN]}..."
    return f"{what}: {name} = {shown}: {message[0].lower()}{message[1:]}"


def _message(error: ErrorDetails) -> str:
    """Return what is wrong with a value, in the words of YAML and JSON."""
    match error["type"]:
        case "tuple_type":
            return "Input should be a list"
        case "model_type" | "dict_type":
            return "Input should be a mapping of keys to values"
        case "too_short" | "too_long" if error["ctx"]["field_type"] == "Tuple":
            is_short = error["type"] == "too_short"
            most, word = ("min", "least") if is_short else ("max", "most")
            return f"List should hold at {word} {error['ctx'][f'{most}_length']}"
    return error["msg"].removeprefix("Value error, ")


def _fields_at(model: type[BaseModel], path: Iterable[str]) -> Mapping[str, FieldInfo]:
    """Return the fields of the model that a path of keys leads to; none where it leads astray."""
    fields = model.model_fields
    for key in path:
        annotation = fields[key].annotation if key in fields else None
        kinds = (annotation, *get_args(annotation))
        inner = [k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)]
        fields = inner[0].model_fields if inner else {}
    return fields


def no_such(what: str, key: str, known: Iterable[str]) -> str:
    """Return the sentence for a key that is not among the known ones."""
    known = list(known)
    near = difflib.get_close_matches(key, known, n=1, cutoff=_ALIKE)
    others = f"it has {', '.join(known)}" if known else "it takes none"
    hint = f"did you mean {near[0]!r}?" if near else others
    return f"{what} has no {key!r}; {hint}"


def described(function: F, name: str, text: str, model: type[BaseModel]) -> F:
    """Give a function a name, a docstring and a signature, for people and their editors.

    Args:
        function: Takes a model's parameters by name.
        name: What it is called.
        text: What it does.
        model: Its parameters, which are added to the docstring.
    """
    fields = model.model_fields.items()
    meanings = (f"    {key}: {field.description}" for key, field in fields)
    attributes: dict[str, Any] = {
        "__name__": name,
        "__qualname__": name,
        "__module__": model.__module__,
        "__doc__": "\n".join((text.rstrip(), "", "Args:", *meanings)),
        "__signature__": Signature([_parameter(key, field) for key, field in fields]),
    }
    for attribute, value in attributes.items():
        setattr(function, attribute, value)
    return function


def _parameter(name: str, field: FieldInfo) -> Parameter:
    default = Parameter.empty if field.is_required() else field.default
    if field.default_factory is not None:
        default = field.get_default(call_default_factory=True, validated_data={})
    return Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=field.annotation)
