"""Presets: YAML files that name a strategy, its parameters, and how models are asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from tts.errors import BudgetError, InputError, PresetError
from tts.parts import catalog
from tts.parts.build import load_verifier
from tts.parts.parameters import Parameters, no_such
from tts.pipeline import Pipeline
from tts.presets.graph import build_graph, build_strategy
from tts.presets.values import validate
from tts.presets.yaml_file import Document, KeyPath, load_document, parse_value
from tts.types import Budget, Problem, PromptExample, PromptOptions, Reflection, Sampling

_BLOCKS = ("sampling", "prompt", "budget")
_KEYS = ("description", "extends", "strategy", "parameters", "pipeline", *_BLOCKS)
_MAX_EXTENDS = 8
_MAX_NESTED = 8


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
        places: Where each of the values was written, by its path: "file:line" or "--set n=3".
        config: The strategy's parameters; None for a pipeline that was written out.
        prompt: What is said around every problem; None for nothing more than `tts.prompts` says.
    """

    name: str
    description: str
    pipeline: Pipeline
    sampling: Sampling
    budget: Budget
    values: Mapping[str, Any]
    places: Mapping[KeyPath, str] = field(default_factory=dict)
    config: Parameters | None = None
    prompt: PromptOptions | None = None

    def prompted(self, problem: Problem) -> Problem:
        """Return a problem as this preset asks it; one that says itself how stays as it is."""
        if self.prompt is None or problem.prompt is not None:
            return problem
        return replace(problem, prompt=self.prompt)


class ReflectionParameters(Parameters):
    """The `reflection:` block within `sampling:`."""

    amplitude: float = Field(3.0, description="most that is added to a word's logit")
    period: int = Field(600, ge=1, description="tokens of one wave")
    shift: float = Field(0.0, ge=0, lt=1, description="part of a wave that is left out at first")
    until: int = Field(8192, ge=0, description="token after which nothing is added")
    words: tuple[str, ...] = Field(
        Reflection().words,
        min_length=1,
        description="reflection words, to the letter and the space before",
    )


class SamplingParameters(Parameters):
    """The `sampling:` block."""

    temperature: float = Field(0.8, ge=0, description="0 takes the likeliest token")
    top_p: float = Field(1.0, gt=0, le=1, description="probability mass of the tokens drawn from")
    top_k: int = Field(0, ge=0, description="likeliest tokens drawn from; all if 0")
    min_p: float = Field(
        0.0, ge=0, le=1, description="least probability of a token, as part of the likeliest one's"
    )
    max_tokens: int | None = Field(
        None, ge=1, description="most tokens of a completion; 2,048 if none, 16,384 with thoughts"
    )
    stop: tuple[str, ...] = Field((), description="texts that end a completion")
    logprobs: int | None = Field(
        None, ge=1, le=20, description="likeliest tokens whose log-probabilities are reported"
    )
    reflection: ReflectionParameters | None = Field(
        None, description="waves that urge reflection words and hold them back"
    )
    chat_template_kwargs: dict[str, Any] = Field(
        default_factory=dict, description="what the model's chat template is rendered with"
    )
    extra_body: dict[str, Any] = Field(
        default_factory=dict, description="further fields of each request, by the engine's names"
    )

    def build(self) -> Sampling:
        """Return the value that the block describes."""
        values = self.model_dump(exclude={"reflection", "max_tokens"})
        if self.max_tokens is None:
            values["leaves_room"] = True
        else:
            values["max_tokens"] = self.max_tokens
        wave = None if self.reflection is None else Reflection(**self.reflection.model_dump())
        return Sampling(**values, reflection=wave)


class ExampleParameters(Parameters):
    """One of the `examples:` within `prompt:`."""

    problem: str = Field(min_length=1, description="statement of a solved problem")
    answer: str = Field(min_length=1, description="what the assistant said to it")


class PromptParameters(Parameters):
    """The `prompt:` block."""

    system: str = Field("", description="system message before each problem; none if empty")
    instruction: str | None = Field(
        None, description="what is asked beside the problem; the operator's own words if none"
    )
    answer: str | None = Field(
        None, description="how an answer is to be written; as fits its type if none"
    )
    examples: tuple[ExampleParameters, ...] = Field(
        (), description="solved problems shown before each problem"
    )
    template: str = Field(
        PromptOptions().template, description="where problem and instruction stand in the message"
    )

    @field_validator("template")
    @classmethod
    def _has_places(cls, template: str) -> str:
        for place in ("{problem}", "{instruction}"):
            if template.count(place) != 1:
                raise ValueError(f"it holds {place} once, where that is to stand")
        return template

    def build(self) -> PromptOptions | None:
        """Return the value that the block describes; None if it says nothing."""
        examples = tuple(PromptExample(one.problem, one.answer) for one in self.examples)
        options = PromptOptions(self.system, self.instruction, self.answer, examples, self.template)
        return None if options == PromptOptions() else options


def load_preset(name: str | Path, overrides: Sequence[str] = ()) -> Preset:
    """Load a preset that ships with the package, or a YAML file.

    Args:
        name: A preset's name, or a path that ends in .yaml or .yml.
        overrides: "n=32" (a parameter), "draft.n=32" (of a node), "sampling.temperature=0.7",
            "prompt.system=Be brief.", "budget=8k".

    Raises:
        PresetError: Anything wrong with it, with file and line and what to do.
    """
    if not isinstance(name, str | Path):
        raise PresetError(
            f"preset: expected a preset's name or file, got {name!r} ({type(name).__name__})"
        )
    return _load(str(name), overrides, depth=0)


def _load(name: str, overrides: Sequence[str], depth: int) -> Preset:
    path = find_preset(name)
    if depth > _MAX_NESTED:
        raise PresetError(f"{path}: presets are nested in each other in a circle")
    document = _resolve(path)
    for override in overrides:
        _override(document, override)
    return _build(path.stem, document, depth)


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
            raise PresetError(f"{document.place((key,))}: {no_such('a preset', key, _KEYS)}")
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
    if path[0] not in _BLOCKS:
        path = ("pipeline" if "pipeline" in document.values else "parameters", *path)
    block = document.values
    for part in path[:-1]:
        block = block.setdefault(part, {})
        if not isinstance(block, dict):
            raise PresetError(f"--set {override}: {part!r} holds a single value")
    block[path[-1]] = text if path[0] == "prompt" and len(path) == 2 else parse_value(text)
    document.places[path] = f"--set {override}"


def _check_verifiers(pipeline: Pipeline, document: Document) -> None:
    """Refuse wrong options now; a name that the catalogue lacks may be the caller's own."""
    for node_name, node in pipeline:
        for text in node.operator.spec.verifiers:
            path = ("pipeline", node_name) if "pipeline" in document.values else ("parameters",)
            try:
                if catalog.parse_verifier(text)[0] in catalog.names("verifier"):
                    load_verifier(text)
            except InputError as error:
                raise PresetError(f"{document.place(path)}: {error}") from error


def _build(name: str, document: Document, depth: int) -> Preset:
    values = document.values
    if ("strategy" in values) == ("pipeline" in values):
        raise PresetError(
            f"{document.place(())}: a preset names a `strategy` or a `pipeline`, not both"
        )
    if "pipeline" in values:

        def load(other: str) -> Pipeline:
            return _load(other, (), depth + 1).pipeline

        config, pipeline = None, build_graph(document, ("pipeline",), load)
    else:
        config, pipeline = build_strategy(document, ())
    _check_verifiers(pipeline, document)
    sampling = validate(
        SamplingParameters, values.get("sampling"), document, ("sampling",), "sampling"
    )
    prompt = validate(PromptParameters, values.get("prompt"), document, ("prompt",), "prompt")
    return Preset(
        name=name,
        description=str(values.get("description", "")),
        pipeline=pipeline,
        sampling=sampling.build(),
        budget=_build_budget(document),
        values=values,
        places=document.places,
        config=config,
        prompt=prompt.build(),
    )


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
    limits = tuple(f.name for f in fields(Budget))
    for key, value in block.items():
        if key not in limits:
            raise BudgetError(no_such("budget", key, limits))
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise BudgetError(f"budget {key} must be a number, got {value!r}")
    return Budget(**block)
