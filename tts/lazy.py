"""Public doors: packages whose names are loaded on first use.

A door lists its names and the modules that define them; nothing is imported before a name is asked
for. In `tts.operators` a name (`vote`) is also that of the module which defines it, and importing
that module would put the module in the name's place: a `Door` keeps the name what it is.
"""

import sys
from collections.abc import Callable, Collection, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any


class Door(ModuleType):
    """A module that loads its public names on first use."""

    _homes: Mapping[str, str]
    _take: str
    _doors: Collection[str]

    def __getattr__(self, name: str) -> Any:
        """Load a public name."""
        if name in self._doors:
            return import_module(f"{self.__name__}.{name}")
        if name not in self._homes:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        module = import_module(self._homes[name])
        if self._take and self._is_own(name):
            owner, _, function = self._take.rpartition(".")
            take: Callable[[ModuleType], Any] = getattr(import_module(owner), function)
            value = take(module)
        else:
            value = getattr(module, name)
        super().__setattr__(name, value)
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        """Keep a public name from its module of the same name, which an import would put here."""
        if not (isinstance(value, ModuleType) and self._is_own(name)):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        """List the public names."""
        return sorted([*self._homes, *self._doors])

    def _is_own(self, name: str) -> bool:
        """Return whether a public name is also that of the door's own module that defines it."""
        return self._homes.get(name) == f"{self.__name__}.{name}"


def open_door(
    package: str, homes: Mapping[str, str], *, take: str = "", doors: Collection[str] = ()
) -> None:
    """Make a package a door; `from package import *` takes all its names.

    Args:
        package: The package's `__name__`.
        homes: The module that defines each public name.
        take: Dotted name of a function that makes the public value of a module of the package
            that has the same name; by default it is the module's attribute of that name.
        doors: Modules of the package that are public themselves.
    """
    module = sys.modules[package]
    names = sorted([*homes, *doors])
    module.__dict__.update(__all__=names, _homes=homes, _take=take, _doors=doors)
    module.__class__ = Door
