"""A suite: every benchmark by every preset, model and seed, typed or in a YAML file."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import Field

from tts.cli._engine import EngineFlags
from tts.errors import InputError, ParameterError
from tts.evals.runner import Plan
from tts.evaluation import Scope, plan_all
from tts.parts.parameters import Parameters, checked
from tts.presets.yaml_file import load_document
from tts.session.runtime import DEFAULT_MODEL, Runtime

_Names = str | tuple[str, ...]


class SuiteFile(Parameters):
    """What a suite may say; each benchmark, model, seed and preset is a run with each other."""

    benchmarks: _Names = Field(description="names, one or several")
    presets: _Names | tuple[str | dict[str, Any], ...] = Field(
        description="names or files; {NAME: {KEY: VALUE}} sets parameters, a list several values"
    )
    models: _Names = Field((), description="as after --model; one engine after the other")
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
    """What `tts eval` runs.

    Attributes:
        benchmarks: Names.
        presets: Names or files.
        overrides: As typed after `--set`.
        models: As typed after `--model`; one engine after the other.
        seeds: Each is a run of its own.
        scope: Which problems, within which limits; its seed is not used.
        engine_args: As typed after `--engine-arg`.
        verifiers: As typed after `--verifier`.
    """

    benchmarks: tuple[str, ...]
    presets: tuple[str, ...]
    overrides: tuple[str, ...]
    models: tuple[str, ...]
    seeds: tuple[int, ...]
    scope: Scope
    engine_args: tuple[str, ...] = ()
    verifiers: tuple[str, ...] = ()

    def works(self, engine: EngineFlags) -> Iterator[tuple[Runtime, list[Plan]]]:
        """Yield what runs on one set of engines, all checked and nothing started.

        Args:
            engine: The flags of engines; its model is not used.

        Raises:
            InputError: A benchmark, a preset, the data or a flag cannot be used.
        """
        for model in self.models:
            runtime = replace(
                engine,
                model=model,
                engine_arg=[*(engine.engine_arg or ()), *self.engine_args],
                verifier=[*(engine.verifier or ()), *self.verifiers],
            ).runtime()
            plans = plan_all(
                self.benchmarks, self.presets, self.scope, runtime.parts, overrides=self.overrides
            )
            yield runtime, [replace(plan, seed=seed) for seed in self.seeds for plan in plans]


def load_suite(path: Path, models: Sequence[str] = ()) -> Suite:
    """Read a suite.

    Args:
        path: The file.
        models: Those of a suite that names none; none are the default.

    Raises:
        InputError: The file cannot be read, or says what a suite cannot, with file and line; or it
            names its models, and so did somebody else.
    """
    document = load_document(path)
    try:
        file = checked(SuiteFile, document.values, "a suite")
    except ParameterError as error:
        raise InputError(f"{document.place(error.path)}: {error}") from error
    if file.models and models:
        raise InputError("the suite names its models: leave --model out, or the suite's models")
    names, overrides = [], []
    for entry in _several(file.presets):
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
    return Suite(
        benchmarks=_several(file.benchmarks),
        presets=tuple(names),
        overrides=tuple(overrides),
        models=_several(file.models) or tuple(models) or (DEFAULT_MODEL,),
        seeds=_several(file.seeds),
        scope=Scope.of(
            data=file.data,
            split=file.split,
            limit=file.limit,
            ids=file.ids,
            shuffle=file.shuffle,
            epochs=file.epochs,
            budget=file.budget,
            run_budget=file.run_budget,
        ),
        engine_args=_to_flags(file.engine_args),
        verifiers=_to_flags(file.verifiers),
    )


def parse_seeds(texts: Sequence[str]) -> tuple[int, ...]:
    """Return seeds as they are typed: 0,1,2, or one after each flag.

    Raises:
        InputError: One is no whole number.
    """
    try:
        return tuple(dict.fromkeys(int(part) for text in texts for part in text.split(",")))
    except ValueError:
        raise InputError(f"--seed {','.join(texts)}: write whole numbers, such as 0,1,2") from None


def _to_flags(values: Mapping[str, Any]) -> tuple[str, ...]:
    """Return options as they are typed after a flag."""
    return tuple(f"{key}={_one(value)}" for key, value in values.items())


def _several(value: Any) -> tuple[Any, ...]:
    """Return one value, or several, as several."""
    return tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else (value,)


def _text(value: Any) -> str:
    return ",".join(map(_one, value)) if isinstance(value, list) else _one(value)


def _one(value: Any) -> str:
    """Return a value as YAML reads it again, without blanks."""
    if isinstance(value, str):
        return value
    return json.dumps(value, separators=(",", ":"), default=str)
