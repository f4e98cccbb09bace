"""Values as text: what may cross between a test and the code that it tests.

Built-in values cross by value, as JSON. Of a subclass of an immutable built-in type its plain
value crosses, with a reference to the object for its further attributes. Everything else, such as
an instance of a class of the code's own or an iterator, crosses as a reference. Lists, dicts, sets
and their like keep their identity: what the other side sent once is filled anew when it comes
back, so that a function may change its arguments, and what was one object stays one.

In a message, a scalar is itself and all else is a list that begins with its kind: `["t", 1, 2]` is
the tuple (1, 2). Nothing that is read is ever executed.
"""

import builtins
import importlib
import sys
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

SCALARS = frozenset({type(None), bool, int, float, str})
# Types and exceptions that mean the same on both sides; one that could call or build anything
# (type, object) is not among them.
PLAIN_TYPES: dict[str, Any] = {
    kind.__name__: kind
    for kind in (
        *(int, float, str, bool, complex, bytes, bytearray, list, tuple, dict, set),
        *(frozenset, range, slice, type(None)),
    )
}
EXCEPTIONS = {
    name: kind
    for name, kind in vars(builtins).items()
    if isinstance(kind, type) and issubclass(kind, BaseException)
}
_SUBCLASSED: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (int, int.__int__),
    (float, float.__float__),
    (str, str.__str__),
    (bytes, lambda value: memoryview(value).tobytes()),
    (tuple, lambda value: tuple(tuple.__iter__(value))),
    (frozenset, lambda value: frozenset(frozenset.__iter__(value))),
)
# By "module.name": how a value of the standard library is taken apart into arguments.
_LIBRARY: dict[str, Callable[[Any], Iterable[Any]]] = {
    "builtins.complex": lambda v: (v.real, v.imag),
    "builtins.range": lambda v: (v.start, v.stop, v.step),
    "builtins.slice": lambda v: (v.start, v.stop, v.step),
    "fractions.Fraction": lambda v: (v.numerator, v.denominator),
    "decimal.Decimal": lambda v: (str(v),),
    "datetime.date": lambda v: (v.year, v.month, v.day),
    "datetime.time": lambda v: (v.hour, v.minute, v.second, v.microsecond),
    "datetime.datetime": lambda v: (
        *(v.year, v.month, v.day, v.hour, v.minute, v.second, v.microsecond),
    ),
    "datetime.timedelta": lambda v: (v.days, v.seconds, v.microseconds),
}
# Dicts and deques of `collections`: what their constructor takes before the items.
_DICTS = {"dict": "d", "OrderedDict": "D", "Counter": "C", "defaultdict": "F"}
_VIEWS: dict[type, str] = {type({}.keys()): "K", type({}.items()): "I"}
_FACTORIES = {name: PLAIN_TYPES[name] for name in ("list", "dict", "set", "int", "float", "str")}


def is_a(value: Any, *kinds: type) -> bool:
    """Return whether a value is of a type, whatever it says that its `__class__` is."""
    return issubclass(type(value), kinds)


class Peer:
    """What values need to know of the two sides; `wire.Side` fills it in."""

    def export(self, value: Any) -> list[Any]:
        """Return the reference to an object that does not cross."""
        raise NotImplementedError

    def resolve(self, reference: list[Any]) -> Any:
        """Return the object, or its stand-in, of a reference."""
        raise NotImplementedError

    def with_reference(self, value: Any, reference: list[Any]) -> Any:
        """Return a plain value that has the attributes of the object it is the value of."""
        raise NotImplementedError


class Encoder:
    """Writes the values of one message.

    Args:
        peer: Makes references.
        known: Containers that the other side sent, in the order in which it met them.
    """

    def __init__(self, peer: Peer, known: Iterable[Any] = ()) -> None:
        self._peer = peer
        self.containers = list(known)
        self._numbers = {id(container): k for k, container in enumerate(self.containers)}
        self._written: set[int] = set()

    def encode(self, value: Any) -> Any:
        """Return the value as JSON can write it."""
        kind = type(value)
        if kind in SCALARS:
            return value
        if kind is tuple:
            return ["t", *self._items(value)]
        if kind is list:
            return self._container("l", value, lambda: self._items(value))
        if kind in (set, frozenset, bytes, bytearray):
            return self._built_in(kind, value)
        if kind in _VIEWS:
            return [_VIEWS[kind], *self._items(value)]
        return self._other(kind, value)

    def _built_in(self, kind: type, value: Any) -> list[Any]:
        if kind is set:
            return self._container("s", value, lambda: self._items(value))
        if kind is bytearray:
            return self._container("B", value, lambda: [value.decode("latin-1")])
        if kind is bytes:
            return ["b", value.decode("latin-1")]
        return ["S", *self._items(value)]

    def _other(self, kind: type, value: Any) -> list[Any]:
        module, name = kind.__module__, kind.__qualname__
        if name in _DICTS and module in ("builtins", "collections") and is_a(value, dict):
            return self._dict(name, value)
        if (module, name) == ("collections", "deque"):
            return self._container("q", value, lambda: [value.maxlen, *self._items(value)])
        if (take := _LIBRARY.get(f"{module}.{name}")) and getattr(value, "tzinfo", None) is None:
            return ["v", f"{module}.{name}", *take(value)]
        if is_a(value, type) and value in (*PLAIN_TYPES.values(), *EXCEPTIONS.values()):
            return ["T", value.__name__]
        if value is Ellipsis or value is NotImplemented:
            return ["N", str(value)]
        for base, plain in _SUBCLASSED:
            if is_a(value, base):
                return ["p", self.encode(plain(value)), self._peer.export(value)]
        return self._peer.export(value)

    def _dict(self, name: str, value: dict[Any, Any]) -> list[Any]:
        head: list[Any] = []
        if name == "defaultdict":
            factory = getattr(value, "default_factory", None)
            head = [next((n for n, f in _FACTORIES.items() if f is factory), None)]
        pairs = [part for pair in value.items() for part in pair]
        return self._container(_DICTS[name], value, lambda: [*head, *self._items(pairs)])

    def _items(self, values: Iterable[Any]) -> list[Any]:
        items = list(values)
        if set(map(type, items)) <= SCALARS:
            return items
        return [self.encode(item) for item in items]

    def _container(self, kind: str, value: Any, items: Callable[[], list[Any]]) -> list[Any]:
        number = self._numbers.get(id(value))
        if number is None:
            number = self._numbers[id(value)] = len(self.containers)
            self.containers.append(value)
        elif number in self._written:
            return ["=", number]
        self._written.add(number)
        return [kind, number, *items()]


class Decoder:
    """Reads the values of one message.

    Args:
        peer: Knows references.
        known: Containers that this side sent; they are filled anew where they come back.

    Raises:
        ValueError, TypeError, IndexError, KeyError: While decoding: the message is malformed.
    """

    def __init__(self, peer: Peer, known: Iterable[Any] = ()) -> None:
        self._peer = peer
        self.containers: dict[int, Any] = dict(enumerate(known))
        self._readers: dict[str, Callable[[list[Any]], Any]] = {
            "t": lambda v: tuple(self._items(v[1:])),
            "S": lambda v: frozenset(self._items(v[1:])),
            "K": lambda v: dict.fromkeys(self._items(v[1:])).keys(),
            "I": lambda v: dict(self._items(v[1:])).items(),
            "b": lambda v: _text(v[1]).encode("latin-1"),
            "N": lambda v: {"Ellipsis": ..., "NotImplemented": NotImplemented}[v[1]],
            "T": lambda v: PLAIN_TYPES.get(v[1]) or EXCEPTIONS[v[1]],
            "=": lambda v: self.containers[v[1]],
            "p": self._subclassed,
            "v": self._library,
            "l": self._list,
            "s": self._set,
            "q": self._deque,
            "B": self._bytearray,
            **dict.fromkeys("dDCF", self._dict),
        }

    def decode(self, value: Any) -> Any:
        """Return the value that `Encoder.encode` was given, or its stand-in."""
        if type(value) is not list:
            return value
        read = self._readers.get(value[0])
        return self._peer.resolve(value) if read is None else read(value)

    def _items(self, values: list[Any]) -> list[Any]:
        if set(map(type, values)) <= SCALARS:
            return values
        return [self.decode(value) for value in values]

    def _known(self, number: int, kind: type, make: Callable[[], Any]) -> Any:
        if type(number) is not int:
            raise ValueError(f"not the number of a container: {number!r:.40}")
        if number not in self.containers:
            self.containers[number] = make()
        container = self.containers[number]
        if type(container) is not kind:
            raise ValueError(f"a {type(container).__name__} came back as a {kind.__name__}")
        return container

    def _list(self, value: list[Any]) -> list[Any]:
        known: list[Any] = self._known(value[1], list, list)
        known[:] = self._items(value[2:])
        return known

    def _set(self, value: list[Any]) -> set[Any]:
        known: set[Any] = self._known(value[1], set, set)
        items = self._items(value[2:])
        known.clear()
        known.update(items)
        return known

    def _bytearray(self, value: list[Any]) -> bytearray:
        known: bytearray = self._known(value[1], bytearray, bytearray)
        known[:] = _text(value[2]).encode("latin-1")
        return known

    def _deque(self, value: list[Any]) -> Any:
        deque = _from_collections("deque")
        known = self._known(value[1], deque, lambda: deque(maxlen=value[2]))
        items = self._items(value[3:])
        known.clear()
        known.extend(items)
        return known

    def _dict(self, value: list[Any]) -> dict[Any, Any]:
        name = next(name for name, kind in _DICTS.items() if kind == value[0])
        kind = dict if name == "dict" else _from_collections(name)
        items = value[2:]
        make: Callable[[], Any] = kind
        if name == "defaultdict":
            factory = items.pop(0)
            make = partial(kind, _FACTORIES.get(factory))
        known: dict[Any, Any] = self._known(value[1], kind, make)
        read = self._items(items)
        known.clear()
        for key, item in zip(read[::2], read[1::2], strict=True):
            known[key] = item
        return known

    def _library(self, value: list[Any]) -> Any:
        _LIBRARY[value[1]]
        module, _, name = value[1].rpartition(".")
        arguments = value[2:]
        if not set(map(type, arguments)) <= SCALARS:
            raise ValueError(f"{value[1]} of more than numbers and text")
        return getattr(importlib.import_module(module), name)(*arguments)

    def _subclassed(self, value: list[Any]) -> Any:
        plain = self.decode(value[1])
        if type(plain) not in {base for base, _ in _SUBCLASSED}:
            raise ValueError(f"no value of an immutable type: {value[1]!r:.40}")
        return self._peer.with_reference(plain, value[2])


def _text(value: Any) -> str:
    if type(value) is not str:
        raise ValueError(f"not text: {value!r:.40}")
    return value


def _from_collections(name: str) -> Any:
    return getattr(importlib.import_module("collections"), name)


def library_module(name: str) -> Any:
    """Import a module of the standard library by the name that the other side knows it by.

    Raises:
        ValueError: It is not of the standard library.
    """
    if name.partition(".")[0] not in sys.stdlib_module_names or "__" in name:
        raise ValueError(f"not a module of the standard library: {name!r:.40}")
    return importlib.import_module(name)
