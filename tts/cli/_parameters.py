"""Parameters for people: what each is called, what it is by default, and what it means."""

import json
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from tts.console.output import WIDTH


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a part.

    Attributes:
        name: As presets write it.
        default: As YAML has it; None also for one that must be given.
        is_required: Whether it must be given.
        meaning: What it does, with the words that it takes.
    """

    name: str
    default: Any
    is_required: bool
    meaning: str

    @property
    def default_text(self) -> str:
        """The default as YAML writes it."""
        return "required" if self.is_required else to_yaml(self.default)


def parameters(model: type[BaseModel]) -> list[Parameter]:
    """Return the parameters of a part."""
    return [_parameter(name, field) for name, field in model.model_fields.items()]


def to_yaml(value: Any) -> str:
    """Return a value on one line of YAML."""
    text = yaml.safe_dump(plain(value), default_flow_style=True, sort_keys=False, width=10**6)
    text = text.strip().removesuffix("...").strip()
    return text if "\n" not in text else json.dumps(plain(value), ensure_ascii=False)


def paragraphs(text: str) -> Iterator[str]:
    """Yield a docstring's lines at 80 columns; those that are indented, formulas say, stay so."""
    words: list[str] = []
    for line in (*text.strip().splitlines(), ""):
        if line and not line.startswith(" "):
            words.append(line)
            continue
        yield from textwrap.wrap(" ".join(words), WIDTH)
        words.clear()
        indent = line[: len(line) - len(line.lstrip())]
        yield from textwrap.wrap(line, WIDTH, subsequent_indent=f"{indent}    ") or [""]


def plain(value: Any) -> Any:
    """Return mappings as dicts and sequences as lists, which YAML can write."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def block(
    model: type[BaseModel], given: Mapping[str, Any], set_by: Mapping[str, str], indent: str = "  "
) -> Iterator[str]:
    """Yield the YAML lines of a block, every parameter with its meaning and where it was set.

    Args:
        model: The block's parameters.
        given: What the preset and the command line set.
        set_by: Where each of those was set.
        indent: Before each line.
    """
    for parameter in parameters(model):
        name = parameter.name
        comment = f"{indent}# "
        yield from textwrap.wrap(
            parameter.meaning, WIDTH, initial_indent=comment, subsequent_indent=comment
        )
        value = to_yaml(given.get(name, parameter.default))
        origin = f"{set_by[name]}; " if name in given else ""
        was = f" {parameter.default_text}" if name in given else ""
        yield f"{indent}{name}: {value}  # {origin}default{was}"


def _parameter(name: str, field: FieldInfo) -> Parameter:
    is_required = field.is_required()
    default = None if is_required else plain(field.get_default(call_default_factory=True))
    meaning = field.description or ""
    if words := _words(field.annotation):
        meaning = f"{meaning} ({', '.join(words)})"
    return Parameter(name, default, is_required, meaning)


def _words(annotation: Any) -> list[str]:
    """Return the words that a parameter takes; none where it takes other values."""
    if get_origin(annotation) is Literal:
        return [str(word) for word in get_args(annotation)]
    return [word for inner in get_args(annotation) for word in _words(inner)]
