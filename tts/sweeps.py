"""Presets in several forms: `n=4,8,16` is three runs, and `rebase:width=16` is for one preset."""

import itertools
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from tts.errors import InputError
from tts.presets.load import Preset
from tts.session.arguments import to_preset

_OPENING, _CLOSING = "([{", ")]}"


def variants(
    given: Sequence[object], overrides: Sequence[str], models: Collection[str] = ()
) -> list[Preset]:
    """Return every preset in every form that the overrides say.

    An override whose value is several, with commas and no space between them, stands for one form
    with each; several such overrides for every combination. A form is called after what it has:
    "self_consistency n=8". `NAME:KEY=VALUE` is for the preset of that name alone. Text of a
    prompt is never several values, nor is what stands in brackets or quotes.

    Args:
        given: Presets, as `tts.evaluate` takes them.
        overrides: As typed after `--set`.
        models: Verifiers whose models are known.

    Raises:
        InputError: A preset or an override cannot be used.
    """
    names = {name for name in given if isinstance(name, str)}
    found = []
    for preset in given:
        axes = [_forms(text) for text in _own(preset, names, overrides)]
        for form in itertools.product(*axes):
            loaded = to_preset(preset, [text for text, _ in form], models)
            label = " ".join(text for text, is_one_of_several in form if is_one_of_several)
            found.append(replace(loaded, name=f"{loaded.name} {label}") if label else loaded)
    return found


def _own(preset: object, names: Collection[str], overrides: Sequence[str]) -> Iterator[str]:
    """Yield the overrides that are meant for a preset, without its name."""
    for text in overrides:
        name, colon, _ = text.partition("=")[0].partition(":")
        if not colon:
            yield text
        elif name not in names:
            raise InputError(f"--set {text}: {name!r} is none of the presets of this call")
        elif name == preset:
            yield text.removeprefix(f"{name}:")


def _forms(override: str) -> list[tuple[str, bool]]:
    """Return the overrides that one stands for, each with whether it is one of several."""
    key, equals, value = override.partition("=")
    if not equals or key.startswith("prompt.") or " " in value or value[:1] in "\"'":
        return [(override, False)]
    parts, depth = [""], 0
    for letter in value:
        depth += (letter in _OPENING) - (letter in _CLOSING)
        if letter == "," and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    if len(parts) == 1 or not all(parts):
        return [(override, False)]
    return [(f"{key}={part}", True) for part in parts]
