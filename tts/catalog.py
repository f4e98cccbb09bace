"""The folder is the registry: a module's name is its registered name.

To add a strategy, write `strategies/<name>.py`; nothing else changes. Plug-ins from other packages
are named by their dotted path.
"""

import ast
import difflib
import importlib
import pkgutil
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import ValidationError

from tts.errors import InputError

PACKAGES = {
    "strategy": "tts.strategies",
    "operator": "tts.operators",
    "verifier": "tts.verifiers",
    "benchmark": "tts.evals.benchmarks",
}
_SHARED = {"base"}  # modules that hold what the others share, not an entry


@cache
def names(kind: str) -> tuple[str, ...]:
    """Return the registered names of a kind: strategy, operator, verifier or benchmark."""
    package = importlib.import_module(PACKAGES[kind])
    found = (module.name for module in pkgutil.iter_modules(package.__path__) if not module.ispkg)
    return tuple(sorted(name for name in found if name[0] != "_" and name not in _SHARED))


def load(kind: str, name: str) -> ModuleType:
    """Import a registered module, or a plug-in by its dotted path; a verifier's options may follow.

    Raises:
        InputError: There is no such name; the message suggests the nearest.
    """
    if kind == "verifier":
        name, _ = parse_verifier(name)
    if name in names(kind):
        return importlib.import_module(f"{PACKAGES[kind]}.{name}")
    if "." in name:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            raise InputError(f"cannot import the {kind} {name!r}: {error}") from error
    raise InputError(unknown(kind, name, names(kind)))


def parse_verifier(text: str) -> tuple[str, dict[str, Any]]:
    """Split "confidence(measure=tail, tokens=128)" into its name and its options.

    Values are written as in Python; a bare word is a string, and so is another verifier with its
    options: "ensemble(verifiers=[rule, prm(reduction=last)])".

    Raises:
        InputError: The text is neither a name nor a name with options.
    """
    try:
        node = ast.parse(text.strip(), mode="eval").body
        options = node.keywords if isinstance(node, ast.Call) else []
        if isinstance(node, ast.Call) and (node.args or not all(o.arg for o in options)):
            raise ValueError("options need names")
        name = ast.unparse(node.func if isinstance(node, ast.Call) else node)
        return name, {str(option.arg): _option(option.value) for option in options}
    except (SyntaxError, ValueError) as error:
        raise InputError(
            f"cannot read the verifier {text!r}: write NAME or NAME(option=value, ...)"
        ) from error


def load_verifier(text: str, options: Mapping[str, Any] | None = None) -> tuple[ModuleType, Any]:
    """Return a verifier's module and its checked options.

    Args:
        text: Its name, with options or without.
        options: More of them; those of the text come first.

    Raises:
        InputError: There is no such verifier, or it has no such option.
    """
    name, own = parse_verifier(text)
    module = load("verifier", name)
    try:
        return module, module.Config(**{**(options or {}), **own})
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        if first["type"] == "extra_forbidden":
            problem = unknown("option", key, module.Config.model_fields)
        else:
            problem = f"{key}: {first['msg']}" if key else first["msg"]
        raise InputError(f"verifier {text!r}: {problem}") from error


def _option(node: ast.expr) -> Any:
    if isinstance(node, ast.Name | ast.Attribute | ast.Call):
        return ast.unparse(node)
    if isinstance(node, ast.List | ast.Tuple):
        return [_option(element) for element in node.elts]
    return ast.literal_eval(node)


def summary(module: ModuleType) -> str:
    """Return the first line of a module's docstring."""
    return (module.__doc__ or "").strip().partition("\n")[0]


def papers(module: ModuleType) -> list[str]:
    """Return the arXiv ids in a module's docstring."""
    return list(dict.fromkeys(re.findall(r"arXiv:(\d{4}\.\d{5})", module.__doc__ or "")))


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """Return the message for a name that is not among the known ones."""
    known = sorted(known)
    if not known:
        return f"unknown {kind} {name!r}; there are none"
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known)}"
    return f"unknown {kind} {name!r}; {hint}"


def preset_files() -> dict[str, Path]:
    """Return the presets that ship with the package, by name."""
    package = importlib.import_module("tts.strategies")
    folder = Path(next(iter(package.__path__))) / "presets"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}
