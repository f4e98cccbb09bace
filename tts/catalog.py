"""The folder is the registry: a module's name is its registered name.

To add a strategy, write `strategies/<name>.py`; nothing else changes. Plug-ins from other packages
are named by their dotted path.
"""

import difflib
import importlib
import pkgutil
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from types import ModuleType

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
    """Import a registered module, or a plug-in by its dotted path.

    Raises:
        InputError: There is no such name; the message suggests the nearest.
    """
    if name in names(kind):
        return importlib.import_module(f"{PACKAGES[kind]}.{name}")
    if "." in name:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            raise InputError(f"cannot import the {kind} {name!r}: {error}") from error
    raise InputError(unknown(kind, name, names(kind)))


def summary(module: ModuleType) -> str:
    """Return the first line of a module's docstring."""
    return (module.__doc__ or "").strip().partition("\n")[0]


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """Return the message for a name that is not among the known ones."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known)}"
    return f"unknown {kind} {name!r}; {hint}"


def preset_files() -> dict[str, Path]:
    """Return the presets that ship with the package, by name."""
    package = importlib.import_module("tts.strategies")
    folder = Path(next(iter(package.__path__))) / "presets"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}
