"""What a search may choose among: presets, and values of their parameters.

    presets:
      self_consistency: {n: [4, 8, 16], sampling.temperature: [0.6, 1.0]}
      mine.yaml: {draft.n: [4, 8], pick.verifier: [prm, judge]}

A preset may be a file with a pipeline of any shape, so an architecture is a preset as well. Each
preset with its own values is a point of the space, too.

A space of graphs says which engines of the run their nodes may ask, what a node of each costs, and
what a whole graph may; its presets are those that graphs are compared with, as they are:

    graph: {engines: {"": 1, big: 3}, budget: 9}
    presets: {self_consistency: , single: }
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tts.errors import PresetError
from tts.presets.load import Preset, load_preset
from tts.presets.yaml_file import Document, load_document
from tts.tuning.models import Models

_KEY, _GRAPH = "presets", "graph"
_SCALARS = (str, int, float, bool, type(None))


@dataclass(frozen=True, slots=True)
class Point:
    """A preset with some of its values changed.

    Attributes:
        preset: Its name or file.
        values: What is changed: paths, such as "sampling.temperature", and values.
    """

    preset: str
    values: tuple[tuple[str, Any], ...] = ()

    @property
    def overrides(self) -> tuple[str, ...]:
        """The changes, as `--set` takes them."""
        return tuple(f"{path}={json.dumps(value)}" for path, value in self.values)

    def load(self) -> Preset:
        """Return the preset with its changes.

        Raises:
            PresetError: They do not fit each other.
        """
        return load_preset(self.preset, self.overrides)

    def __str__(self) -> str:
        """Return preset and changes, as a command line has them."""
        return " ".join([self.preset, *(f"--set {change}" for change in self.overrides)])


@dataclass(frozen=True, slots=True)
class Space:
    """Presets, and the values of each parameter that is searched.

    Attributes:
        choices: Values by a parameter's path, by preset.
        models: Of graphs, in place of the presets' values; None where there are no graphs.
    """

    choices: Mapping[str, Mapping[str, tuple[Any, ...]]]
    models: Models | None = None

    @property
    def size(self) -> int:
        """Different points; presets with their own values are not counted."""
        return sum(math.prod(map(len, values.values())) for values in self.searched.values())

    @property
    def searched(self) -> Mapping[str, Mapping[str, tuple[Any, ...]]]:
        """The choices of presets that have any; the others run as they are, and only so."""
        return {preset: values for preset, values in self.choices.items() if values}

    def unchanged(self) -> list[Point]:
        """Return every preset with its own values."""
        return [Point(preset) for preset in self.choices]

    def edges(self) -> Iterator[Point]:
        """Yield points that together hold every value once: what is wrong in one is wrong here."""
        for preset, choices in self.choices.items():
            yield Point(preset)
            for path, values in choices.items():
                for value in values:
                    yield Point(preset, ((path, value),))


def load_space(path: Path) -> Space:
    """Read a space; every value of it is tried on its preset alone.

    Raises:
        PresetError: Anything is wrong with it, with file and line.
    """
    document = load_document(path)
    if unknown := sorted(document.values.keys() - {_KEY, _GRAPH}):
        raise PresetError(
            f"{document.place((unknown[0],))}: a space has {_KEY!r} and {_GRAPH!r}, and no "
            f"{unknown[0]!r}"
        )
    presets = document.values.get(_KEY)
    if not isinstance(presets, Mapping) or not presets:
        raise PresetError(
            f"{document.place((_KEY,))}: {_KEY!r} names presets, each with the values of its "
            "parameters, such as self_consistency: {n: [4, 8]}"
        )
    choices = {str(name): _choices(document, str(name)) for name in presets}
    if _GRAPH not in document.values:
        return Space(choices)
    if valued := [name for name, values in choices.items() if values]:
        raise PresetError(
            f"{document.place((_KEY, valued[0]))}: presets beside a graph run as they are; "
            f"give {valued[0]} no values"
        )
    return Space(choices, _models(document))


def _models(document: Document) -> Models:
    found, place = document.values[_GRAPH], document.place((_GRAPH,))
    shown = 'engines with the units that a node of each costs, such as {"": 1, big: 3}'
    if not isinstance(found, Mapping) or found.keys() != {"engines", "budget"}:
        raise PresetError(f"{place}: {_GRAPH!r} has 'engines' and 'budget'")
    engines, budget = found["engines"], found["budget"]
    if not isinstance(engines, Mapping) or not engines:
        raise PresetError(f"{place}: 'engines' are {shown}; got {engines!r}")
    if not all(_is_count(price) for price in (*engines.values(), budget)):
        raise PresetError(f"{place}: units are whole numbers of 1 or more; 'engines' are {shown}")
    if budget < min(engines.values()):
        raise PresetError(f"{place}: a budget of {budget} is too small for one node")
    return Models(dict(sorted(engines.items(), key=lambda pair: pair[1])), budget)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _choices(document: Document, preset: str) -> dict[str, tuple[Any, ...]]:
    place = document.place((_KEY, preset))
    found = document.values[_KEY][preset]
    if found is not None and not isinstance(found, Mapping):
        raise PresetError(f"{place}: {preset} expects parameters with lists of values")
    _try(place, Point(preset))
    choices: dict[str, tuple[Any, ...]] = {}
    for path, values in (found or {}).items():
        place = document.place((_KEY, preset, path))
        is_list = isinstance(values, list) and all(isinstance(one, _SCALARS) for one in values)
        if not is_list or not values:
            raise PresetError(f"{place}: {path} expects a list of single values, got {values!r}")
        for value in values:
            _try(place, Point(preset, ((str(path), value),)))
        choices[str(path)] = tuple(dict.fromkeys(values))
    return choices


def _try(place: str, point: Point) -> None:
    try:
        point.load()
    except PresetError as error:
        raise PresetError(f"{place}: {error}") from error
