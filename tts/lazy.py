"""Public doors: packages whose names are loaded on first use.

A door lists its names and the modules that define them; nothing is imported before a name is asked
for. In `tts.operators` a name (`vote`) is also that of the module which defines it, and importing
that module would put the module in the name's place: a `Door` keeps the name what it is.
"""

import sys
from collections.abc import Collection, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any


class Door(ModuleType):
    """A module that loads its public names on first use."""

    _homes: Mapping[str, str]
    _doors: Collection[str]

    def __getattr__(self, name: str) -> Any:
        """Load a public name."""
        if name in self._doors:
            return import_module(f"{self.__name__}.{name}")
        if name not in self._homes:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        value = getattr(import_module(self._homes[name]), name)
        super().__setattr__(name, value)
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        """Keep a public name from its module of the same name, which an import would put here."""
        is_home = isinstance(value, ModuleType) and self._homes.get(name) == value.__name__
        super().__setattr__(name, getattr(value, name) if is_home else value)

    def __dir__(self) -> list[str]:
        """List the public names."""
        return sorted([*self._homes, *self._doors])


def open_door(package: str, homes: Mapping[str, str], *, doors: Collection[str] = ()) -> list[str]:
    """Make a package a door; returns its public names, for `__all__`.

    Args:
        package: The package's `__name__`.
        homes: The module that defines each public name.
        doors: Modules of the package that are public themselves.
    """
    module = sys.modules[package]
    module.__dict__.update(_homes=homes, _doors=doors)
    module.__class__ = Door
    return dir(module)
