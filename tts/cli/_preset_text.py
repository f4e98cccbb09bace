"""A preset as YAML that says everything: each parameter, what it means, and what set it."""

import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from tts.cli._parameters import block, plain
from tts.console.output import WIDTH
from tts.parts import catalog
from tts.parts.build import parameters_of
from tts.presets.load import Preset, PromptParameters, SamplingParameters
from tts.presets.yaml_file import KeyPath


def preset_lines(preset: Preset) -> Iterator[str]:
    """Yield the lines of a preset that is equal to the given one, with comments."""
    values = preset.values
    if preset.description:
        yield from _dump({"description": preset.description})
    if "strategy" in values:
        yield from _strategy(preset)
    else:
        yield from _pipeline(preset)
    yield "sampling:"
    given = values.get("sampling") or {}
    yield from block(SamplingParameters, given, _set_by(preset, ("sampling",), given))
    if "prompt" in values:
        yield "prompt:"
        said = values["prompt"] or {}
        yield from block(PromptParameters, said, _set_by(preset, ("prompt",), said))
    if "budget" in values:
        yield from _dump({"budget": values["budget"]})
    yield from _comment(f"nodes: {' -> '.join(name for name, _ in preset.pipeline)}")


def _strategy(preset: Preset) -> Iterator[str]:
    name = str(preset.values["strategy"])
    module = catalog.load("strategy", name)
    papers = ", ".join(f"arXiv:{paper}" for paper in catalog.papers(module))
    yield from _comment(catalog.summary(module) + (f" Source: {papers}." if papers else ""))
    yield f"strategy: {name}"
    model = parameters_of("strategy", name)
    if not model.model_fields:
        return
    yield "parameters:"
    given = preset.values.get("parameters") or {}
    yield from block(model, given, _set_by(preset, ("parameters",), given))


def _pipeline(preset: Preset) -> Iterator[str]:
    yield "pipeline:"
    for node, entry in preset.values["pipeline"].items():
        yield f"  {node}:"
        wiring = {key: entry[key] for key in ("operator", "from") if key in entry}
        yield from textwrap.indent("\n".join(_dump(wiring)), "    ").splitlines()
        model = parameters_of("operator", str(entry["operator"]))
        given = {key: value for key, value in entry.items() if key not in wiring}
        yield from block(model, given, _set_by(preset, ("pipeline", node), given), indent="    ")


def _set_by(preset: Preset, path: KeyPath, given: Mapping[str, Any]) -> dict[str, str]:
    """Return what set each of a block's values: "mine.yaml:3", or "--set n=3"."""
    places = {key: _nearest(preset.places, (*path, key)) for key in given}
    return {key: p if p.startswith("--") else Path(p).name for key, p in places.items()}


def _nearest(places: Mapping[KeyPath, str], path: KeyPath) -> str:
    inner = [place for at, place in places.items() if at[: len(path)] == path]
    return inner[-1] if inner else ""


def _comment(text: str) -> Iterator[str]:
    yield from textwrap.wrap(text, WIDTH, initial_indent="# ", subsequent_indent="# ")


def _dump(value: Mapping[str, Any]) -> Iterator[str]:
    text = yaml.safe_dump(plain(value), sort_keys=False, allow_unicode=True, width=WIDTH)
    yield from text.splitlines()
