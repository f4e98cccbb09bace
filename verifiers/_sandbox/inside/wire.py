"""One end of the pipe between a test and the code that it tests.

Either side may ask the other to do something with values (`Side.ask`), and while it waits it does
what the other asks: a test calls a function of the code, which calls a function that the test gave
it. A message is one line of JSON: a request `["do", action, arguments]`, an answer
`["ok", value and changed arguments, printed]` or a failure `["error", exception, printed]`.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from tts.verifiers._sandbox.inside.values import (
    EXCEPTIONS,
    Decoder,
    Encoder,
    Peer,
    is_a,
    library_module,
)

MAX_MESSAGE_BYTES = 64 * 2**20


class Broken(BaseException):
    """The other side ended, or sent what is no message."""


class Side(Peer):
    """A side of the pipe: what it may be asked, and what it gave references to.

    Args:
        read, write: File descriptors.
    """

    def __init__(self, read: int, write: int) -> None:
        self._read, self._write = os.fdopen(read, "rb"), write
        self._exported: list[Any] = []
        self._numbers: dict[int, int] = {}
        self._stand_ins: dict[int, Any] = {}

    actions: Mapping[str, Callable[..., Any]]

    def make_stand_in(self, number: int) -> Any:
        """Return what stands for an object of the other side."""
        raise NotImplementedError

    def check(self, action: str, arguments: list[Any]) -> None:
        """Refuse what the other side may not ask."""

    def take_printed(self) -> str:
        """Return what was printed since the last message."""
        return ""

    def show_printed(self, text: str) -> None:
        """Print what the other side printed."""

    def ask(self, action: str, *arguments: Any) -> Any:
        """Have the other side do something; raises what that raised.

        Raises:
            Broken: There is no other side any more.
        """
        encoder = Encoder(self)
        self._send(["do", action, encoder.encode(arguments)])
        while True:
            verb, *rest = self._receive()
            if verb == "do":
                self._answer(*rest)
                continue
            return self._unpack(verb, rest, encoder.containers)

    def serve(self) -> None:
        """Do what the other side asks until it ends.

        Raises:
            Broken: It has ended.
        """
        while True:
            verb, *rest = self._receive()
            if verb != "do":
                raise Broken(f"an answer that nobody asked for: {verb!r:.40}")
            self._answer(*rest)

    def _unpack(self, verb: str, rest: list[Any], sent: list[Any]) -> Any:
        try:
            value, printed = rest
            decoder = Decoder(self, sent)
            decoded = decoder.decode(value)
            self.show_printed(str(printed))
        except RecursionError:
            raise ValueError("the code returned a value that is nested too deeply") from None
        except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
            raise Broken(f"the code sent what is no message: {error}") from error
        if verb == "error" and isinstance(decoded, BaseException):
            raise decoded
        if verb != "ok" or type(decoded) is not tuple or not decoded:
            raise Broken("the code sent what is no message")
        return decoded[0]

    def _answer(self, action: str, written: Any) -> None:
        try:
            decoder = Decoder(self)
            arguments = decoder.decode(written)
            known = list(decoder.containers.values())
            self.check(action, arguments)
            value = self.actions[action](*arguments)
            encoder = Encoder(self, known)
            parts = [value, *known] if self._changed(written, arguments) else [value]
            message = ["ok", encoder.encode(tuple(parts))]
        except Broken:
            raise
        except BaseException as error:
            message = ["error", Encoder(self).encode(error)]
        self._send([*message, self.take_printed()])

    def _changed(self, written: Any, arguments: Any) -> bool:
        """Tell whether arguments differ from what was sent; where that is unclear, they do."""
        return bool(Encoder(_Echo(self)).encode(arguments) != written)

    def export(self, value: Any) -> list[Any]:
        """Return a reference: to a module by name, an exception by its class, else by number."""
        if is_a(value, ModuleType):
            return ["m", value.__name__]
        own = self.own_number(value)
        if own is not None:
            return ["y", own]
        if is_a(value, BaseException):
            return self._export_exception(value)
        number = self.number_of(value)
        if is_a(value, type) and issubclass(value, BaseException):
            return ["X", number, value.__name__, _built_in_base(value).__name__]
        return ["o", number]

    def own_number(self, value: Any) -> int | None:
        """Return the number by which the other side knows a stand-in for an object of its own."""
        raise NotImplementedError

    def resolve(self, reference: list[Any]) -> Any:
        """Return the object, or its stand-in, of a reference."""
        kind, *rest = reference
        if kind == "y":
            return self._exported[rest[0]]
        if kind == "o":
            return self._stand_in(rest[0], lambda: self.make_stand_in(rest[0]))
        if kind == "m":
            return library_module(rest[0])
        if kind == "X":
            return self._exception_class(*rest)
        if kind == "x":
            return self._exception(*rest)
        raise ValueError(f"a value of no known kind: {kind!r:.40}")

    def number_of(self, value: Any) -> int:
        """Return the number by which the other side knows an object of this one."""
        if id(value) not in self._numbers:
            self._numbers[id(value)] = len(self._exported)
            self._exported.append(value)  # and so kept alive: the number stays its own
        return self._numbers[id(value)]

    def _stand_in(self, number: int, make: Callable[[], Any]) -> Any:
        if type(number) is not int:
            raise ValueError(f"not the number of an object: {number!r:.40}")
        if number not in self._stand_ins:
            self._stand_ins[number] = make()
        return self._stand_ins[number]

    def _export_exception(self, error: BaseException) -> list[Any]:
        kind = type(error)
        is_built_in = EXCEPTIONS.get(kind.__name__) is kind
        name: Any = kind.__name__ if is_built_in else self.export(kind)
        encoder = Encoder(self)
        arguments = [encoder.encode(argument) for argument in error.args]
        return ["x", name, self.number_of(error), arguments, self.describe(error)]

    def describe(self, error: BaseException) -> str:
        """Return what the other side may know of where an exception came from."""
        return ""

    def _exception(self, name: Any, number: int, arguments: list[Any], lines: str) -> Any:
        kind = EXCEPTIONS[name] if type(name) is str else self.resolve(name)
        decoder = Decoder(self)
        decoded = [decoder.decode(argument) for argument in arguments]
        return self.make_exception(kind, number, decoded, str(lines))

    def make_exception(
        self, kind: type[BaseException], number: int, arguments: list[Any], lines: str
    ) -> BaseException:
        """Return what stands for an exception of the other side, with its traceback in words."""
        try:
            return kind(*arguments)
        except TypeError:  # the arguments of some are not what they are made from
            return kind.__new__(kind, *arguments)

    def _exception_class(self, number: int, name: str, base: str) -> Any:
        parent = EXCEPTIONS[base]
        return self._stand_in(number, lambda: self.make_exception_class(number, name, parent))

    def make_exception_class(self, number: int, name: str, base: type[BaseException]) -> Any:
        """Return a class that stands for an exception class of the other side."""
        return type(str(name), (base,), {"__module__": "__main__"})

    def _send(self, message: list[Any]) -> None:
        with _long_numbers():
            data = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(self._write, view) :]
        except OSError as error:
            raise Broken("the code ended its process") from error

    def _receive(self) -> list[Any]:
        line = self._read.readline(MAX_MESSAGE_BYTES)
        if not line.endswith(b"\n"):
            raise Broken(
                f"a message of more than {MAX_MESSAGE_BYTES} bytes"
                if len(line) == MAX_MESSAGE_BYTES
                else "the code ended its process"
            )
        try:
            with _long_numbers():
                message = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise Broken("the code sent what is no message") from error
        if type(message) is not list or len(message) != 3:
            raise Broken("the code sent what is no message")
        return message


class _Echo(Peer):
    """Writes what a side was sent as the other side wrote it."""

    def __init__(self, side: Side) -> None:
        self._side = side

    def export(self, value: Any) -> list[Any]:
        theirs = self._side.own_number(value)
        return ["y", self._side.number_of(value)] if theirs is None else ["o", theirs]


class _long_numbers:
    """Lifts Python's limit on the digits of numbers, for the messages alone."""

    def __enter__(self) -> None:
        self._before = sys.get_int_max_str_digits()
        sys.set_int_max_str_digits(0)

    def __exit__(self, *_: object) -> None:
        sys.set_int_max_str_digits(self._before)


def _built_in_base(kind: type[BaseException]) -> type[BaseException]:
    return next(base for base in kind.__mro__ if EXCEPTIONS.get(base.__name__) is base)
