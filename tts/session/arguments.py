"""What users pass to public functions, made into values; a wrong type is one sentence at once."""

import operator
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tts.errors import InputError
from tts.parts import catalog
from tts.pipeline import Pipeline
from tts.presets.load import Preset, load_preset
from tts.runtime.job import to_problem
from tts.session.verifiers import named_verifiers
from tts.types import Budget, Problem, Sampling

PIPELINE = "pipeline"  # what results name as their preset where a pipeline was given


def to_preset(given: object, overrides: object = (), models: Collection[str] = ()) -> Preset:
    """Return the preset that a name, a file, a pipeline or a loaded preset stands for.

    Args:
        given: What the user passed.
        overrides: "n=32" and the like, for a preset that is loaded here.
        models: Verifiers for which a model was named. One that the preset does not ask takes the
            place of the verifier that the preset leaves at its default.

    Raises:
        InputError: It is none of these, cannot be loaded, or overrides do not apply to it.
    """
    changes = to_texts(overrides, "overrides", "such as ['n=32']")
    if isinstance(given, str):
        preset = load_preset(given, changes)
        chosen = _unasked(preset, models)
        return load_preset(given, [*changes, f"verifier={chosen}"]) if chosen else preset
    if changes:
        raise InputError("overrides change a preset that is given by its name or file")
    if isinstance(given, Preset):
        return given
    if isinstance(given, Pipeline):
        return Preset(PIPELINE, "", given, Sampling(leaves_room=True), Budget(), {})
    raise wrong_type("preset", "a preset's name or file, a Preset or a Pipeline", given)


def _unasked(preset: Preset, models: Collection[str]) -> str:
    """Return the only verifier with a model that a preset with an open verifier does not ask."""
    config = preset.config
    if (
        config is None
        or "verifier" not in type(config).model_fields.keys() - config.model_fields_set
    ):
        return ""
    asked = {catalog.parse_verifier(text)[0] for text in named_verifiers([preset.pipeline])}
    unasked = [name for name in models if name not in asked]
    return unasked[0] if len(unasked) == 1 else ""


def to_problems(given: object) -> list[Problem]:
    """Return problems; those that are text are named by their place, "problem 0" and so on.

    Raises:
        InputError: They are no iterable of problems, one is empty, or two have one id.
    """
    if isinstance(given, str | Problem) or not isinstance(given, Iterable):
        raise wrong_type("problems", "a list of texts or Problems", given)
    problems = [to_problem(one, id=f"problem {place}") for place, one in enumerate(given)]
    seen: set[str] = set()
    for problem in problems:
        if problem.id in seen:
            raise InputError(f"two problems have the id {problem.id!r}")
        seen.add(problem.id)
    return problems


def to_int(given: object, argument: str, *, least: int | None = None) -> int:
    """Return a whole number.

    Raises:
        InputError: It is none, or less than `least`.
    """
    try:
        if isinstance(given, bool):
            raise TypeError
        number = operator.index(given)  # type: ignore[arg-type]
    except TypeError:
        raise wrong_type(argument, "a whole number", given) from None
    if least is not None and number < least:
        raise InputError(f"{argument}: expected at least {least}, got {number}")
    return number


def to_texts(given: object, argument: str, example: str) -> tuple[str, ...]:
    """Return a sequence of texts.

    Raises:
        InputError: It is one text, or no sequence of texts.
    """
    is_sequence = isinstance(given, Sequence) and not isinstance(given, str)
    if not is_sequence or not all(isinstance(one, str) for one in given):  # type: ignore[attr-defined]
        raise wrong_type(argument, f"a list of texts, {example}", given)
    return tuple(given)  # type: ignore[arg-type]


def to_text(given: object, argument: str, what: str) -> str:
    """Return a text; a path is one, too.

    Raises:
        InputError: It is none.
    """
    if not isinstance(given, str | Path):
        raise wrong_type(argument, what, given)
    return str(given)


def to_model(given: object) -> str:
    """Return an engine's line of text.

    Raises:
        InputError: It is none.
    """
    return to_text(given, "model", "text: MODEL, MODEL@URL or replay:FILE[#MODEL]")


def to_names(given: object) -> tuple[str, ...]:
    """Return the names of benchmarks, each once; one may stand for itself.

    Raises:
        InputError: There is none, or one is no text.
    """
    several = (given,) if isinstance(given, str) else given
    names = to_texts(several, "benchmarks", "such as ['chain']")
    if not names:
        raise InputError("benchmarks: name at least one")
    return tuple(dict.fromkeys(names))


def to_paths(given: object, argument: str) -> list[Path]:
    """Return a list of paths.

    Raises:
        InputError: It is one path, or no sequence of paths.
    """
    if isinstance(given, str | Path) or not isinstance(given, Sequence):
        raise wrong_type(argument, "a list of paths", given)
    return [Path(to_text(one, argument, "a list of paths")) for one in given]


def to_mapping(given: object, argument: str, example: str) -> Mapping[str, Any]:
    """Return a mapping by name; None is empty.

    Raises:
        InputError: It is none.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not all(isinstance(key, str) for key in given):
        raise wrong_type(argument, f"a mapping, such as {example}", given)
    return given


def wrong_type(argument: str, expected: str, given: object) -> InputError:
    """Return the error for an argument of the wrong type."""
    shown = repr(given)
    shown = shown if len(shown) <= 40 else f"{shown[:37]}..."
    return InputError(f"{argument}: expected {expected}, got {shown} ({type(given).__name__})")
