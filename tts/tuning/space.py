"""What a search may choose among: presets, and values of their parameters.

    presets:
      self_consistency: {n: [4, 8, 16], sampling.temperature: [0.6, 1.0]}
      mine.yaml: {draft.n: [4, 8], pick.verifier: [prm, judge]}

A preset may be a file with a pipeline of any shape, so an architecture is a preset as well. Each
preset with its own values is a point of the space, too.
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

_KEY = "presets"
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
    """

    choices: Mapping[str, Mapping[str, tuple[Any, ...]]]

    @property
    def size(self) -> int:
        """Different points; presets with their own values are not counted."""
        return sum(math.prod(map(len, choices.values())) for choices in self.choices.values())

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
    if unknown := sorted(document.values.keys() - {_KEY}):
        raise PresetError(
            f"{document.place((unknown[0],))}: a space has {_KEY!r}, and no {unknown[0]!r}"
        )
    presets = document.values.get(_KEY)
    if not isinstance(presets, Mapping) or not presets:
        raise PresetError(
            f"{document.place((_KEY,))}: {_KEY!r} names presets, each with the values of its "
            "parameters, such as self_consistency: {n: [4, 8]}"
        )
    return Space({str(name): _choices(document, str(name)) for name in presets})


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
