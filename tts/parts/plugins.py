"""Modules of other packages that may be named as parts, and how they come to be.

Two ways: an installed distribution offers a module by an entry point,

    [project.entry-points."tts.strategies"]
    fast = "my_package.fast"

or somebody loads a module on purpose, by `tts --plugin my_package.fast ...` on the command line or
`tts.load_plugin("my_package.fast")` in Python. Nothing else is imported for being named.
"""

import importlib
from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

from tts.errors import InputError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

# Loaded on purpose, by name, in order. As process-wide as `sys.modules`, and never taken back.
_LOADED: dict[str, None] = {}


def load_plugin(module: str) -> None:
    """Import a module, which presets may then name by its dotted path, as those below it.

    Args:
        module: Dotted path, such as "my_package.my_strategy"; importable from where you are.

    Raises:
        InputError: It cannot be imported.
    """
    _import(module, f"the plug-in {module!r}")
    _LOADED[module] = None


def loaded() -> tuple[str, ...]:
    """Return the modules that were loaded on purpose."""
    return tuple(_LOADED)


def is_loaded(path: str) -> bool:
    """Return whether a module, or one above it, was loaded on purpose."""
    return any(path == module or path.startswith(f"{module}.") for module in _LOADED)


def flags() -> list[str]:
    """Return the words of a command line that load them again."""
    return [word for module in _LOADED for word in ("--plugin", module)]


def named(kind: str, path: str) -> ModuleType:
    """Return the module that a dotted path names.

    Raises:
        InputError: It was not loaded on purpose, or cannot be imported.
    """
    if not is_loaded(path):
        raise InputError(
            f"unknown {kind} {path!r}: a name alone imports no module; if you trust it, load it "
            f"with `tts --plugin {path} ...` or tts.load_plugin({path!r})"
        )
    return _import(path, f"the {kind} {path!r}")


def named_function(path: str) -> Callable[..., Any]:
    """Return the function that a dotted path of a plug-in names: "my_package.facts.recall".

    Raises:
        InputError: Its module was not loaded on purpose, or it is no function.
    """
    module, _, name = path.rpartition(".")
    found = getattr(named("function", module), name, None)
    if not callable(found):
        raise InputError(f"{module} has no function {name!r}")
    function: Callable[..., Any] = found
    return function


def offered(group: str) -> dict[str, str]:
    """Return the distribution that offers each part of a group of entry points, by name."""
    return {name: point.dist.name if point.dist else "" for name, point in _points(group).items()}


def offered_as(group: str, module: str) -> str | None:
    """Return the name by which a module is offered in a group; None if it is not."""
    return next((name for name, point in _points(group).items() if point.value == module), None)


def load_offered(group: str, name: str) -> ModuleType | None:
    """Return the module that is offered by a name; None if there is none.

    Raises:
        InputError: It cannot be imported.
    """
    point = _points(group).get(name)
    if point is None:
        return None
    where = f"{name!r}, which {point.dist.name if point.dist else 'a package'} offers in {group},"
    return _import(point.value, where)


@cache
def _points(group: str) -> "dict[str, EntryPoint]":
    """Return a group's entry points; of one name the first on the path, as imports take it."""
    # Takes longer to import than all of this package's names, which seldom need it.
    metadata = importlib.import_module("importlib.metadata")
    found: dict[str, EntryPoint] = {}
    for point in metadata.entry_points(group=group):
        found.setdefault(point.name, point)
    return found


def _import(path: str, what: str) -> ModuleType:
    try:
        return importlib.import_module(path)
    # A plug-in's own code runs here; whatever it raises means that there is no plug-in.
    except Exception as error:
        hint = "; is it installed, or on PYTHONPATH?" if isinstance(error, ImportError) else ""
        raise InputError(
            f"{what} cannot be imported: {type(error).__name__}: {error}{hint}"
        ) from error
