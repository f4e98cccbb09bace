"""A suite: runs in a YAML file, for `tts eval suite.yaml`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from tts.errors import InputError, ParameterError
from tts.parts.parameters import Parameters, checked
from tts.presets.yaml_file import load_document

_Several = str | tuple[str, ...]


class SuiteFile(Parameters):
    """What a suite may say; each benchmark, model, seed and preset is a run with each other."""

    benchmarks: _Several = Field(description="names, one or several")
    presets: _Several | tuple[str | dict[str, Any], ...] = Field(
        description="names or files; {NAME: {KEY: VALUE}} sets parameters, a list several values"
    )
    models: _Several = Field((), description="as after --model; one engine after the other")
    seeds: int | tuple[int, ...] = Field(0, description="one or several")
    limit: int | str | None = Field(None, description="so many problems, or FIRST-LAST")
    ids: tuple[str, ...] = Field((), description="only the problems of these ids")
    shuffle: int | None = Field(None, description="seed by which problems are shuffled first")
    epochs: int = Field(1, ge=1, description="how often each problem is solved")
    split: str = Field("test", description="the part of the benchmarks that is solved")
    data: str | None = Field(None, description="file of problems, in place of the download")
    budget: str | None = Field(None, description="limit of each problem")
    run_budget: str | None = Field(None, description="limit of each run as a whole")
    engine_args: dict[str, Any] = Field(
        default_factory=dict, description="options of the engines, as after --engine-arg"
    )
    verifiers: dict[str, str] = Field(default_factory=dict, description="model by verifier")


@dataclass(frozen=True, slots=True)
class Suite:
    """A suite as it was read.

    Attributes:
        file: What it says.
        presets: Names.
        overrides: As typed after `--set`.
    """

    file: SuiteFile
    presets: tuple[str, ...]
    overrides: tuple[str, ...]


def load_suite(path: Path) -> Suite:
    """Read a suite.

    Raises:
        InputError: The file cannot be read, or says what a suite cannot; with file and line.
    """
    document = load_document(path)
    try:
        file = checked(SuiteFile, document.values, "a suite")
    except ParameterError as error:
        raise InputError(f"{document.place(error.path)}: {error}") from error
    names, overrides = [], []
    for entry in several(file.presets):
        if isinstance(entry, str):
            names.append(entry)
            continue
        for name, changes in entry.items():
            if not isinstance(changes, Mapping):
                raise InputError(f"{document.place(('presets',))}: {name}: write {{KEY: VALUE}}")
            names.append(name)
            overrides += [f"{name}:{key}={_text(value)}" for key, value in changes.items()]
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(
            f"{document.place(('presets',))}: {twice[0]} is named twice; write one entry, with "
            "lists of values"
        )
    return Suite(file, tuple(names), tuple(overrides))


def to_flags(values: Mapping[str, Any]) -> list[str]:
    """Return options as they are typed after a flag."""
    return [f"{key}={_one(value)}" for key, value in values.items()]


def several(value: Any) -> tuple[Any, ...]:
    """Return one value, or several, as several."""
    return tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else (value,)


def _text(value: Any) -> str:
    return ",".join(map(_one, value)) if isinstance(value, list) else _one(value)


def _one(value: Any) -> str:
    """Return a value as YAML reads it again, without blanks."""
    if isinstance(value, str):
        return value
    return json.dumps(value, separators=(",", ":"), default=str)
