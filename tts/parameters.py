"""Parts of an operator that are named in a preset: `{name: rebase, width: 16}`."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

P = TypeVar("P", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class NamedParts(Generic[P]):
    """A kind of parts: their name is that of a module, which holds a class.

    Attributes:
        package: Where the modules are; others are named by their dotted path.
        class_name: Of the class in each.
        advice: What to say of a name that is none: "search policy; name a strategy".
    """

    package: str
    class_name: str
    advice: str

    def type_of(self, name: str) -> type[P]:
        """Return the class of a name.

        Raises:
            ValueError: There is none.
        """
        path = name if "." in name else f"{self.package}.{name}"
        try:
            found: type[P] = getattr(import_module(path), self.class_name)
        except (ImportError, AttributeError) as error:
            raise ValueError(f"{name or 'nothing'!r} is no {self.advice}") from error
        return found

    def load(self, value: Any) -> Any:
        """Return the part that a mapping describes; what is no mapping as it is."""
        if not isinstance(value, Mapping):
            return value
        parameters = dict(value)
        return self.type_of(str(parameters.pop("name", ""))).model_validate(parameters)

    def dump(self, part: P) -> dict[str, Any]:
        """Return the mapping that describes a part, without what is its default."""
        name = type(part).__module__.removeprefix(f"{self.package}.")
        return {"name": name, **part.model_dump(mode="json", exclude_defaults=True)}
