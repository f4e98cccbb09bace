"""The process of the code: runs it, then does what the tests ask of it.

Nothing here is trusted with a verdict: the code may replace all of it, and would still only send
values of its own choice.
"""

import atexit
import builtins
import io
import operator
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from tts.verifiers._sandbox.inside.values import is_a
from tts.verifiers._sandbox.inside.wire import Broken, Side

FILE = "main.py"
_MAX_TRACEBACK_CHARS = 4_000
# What a test may ask of an object beside its attributes; each takes the object first.
OPERATORS: dict[str, Callable[..., Any]] = {
    **{f.__name__: f for f in (len, iter, next, bool, str, repr, hash, abs, int, float, complex)},
    **{f.__name__: f for f in (round, reversed, divmod, dir)},
    **{
        name: getattr(operator, name)
        for name in (
            *("add", "sub", "mul", "matmul", "truediv", "floordiv", "mod", "pow", "lshift"),
            *("rshift", "and_", "or_", "xor", "neg", "pos", "invert", "index"),
            *("eq", "ne", "lt", "le", "gt", "ge", "getitem", "setitem", "delitem"),
        )
    },
}


class Worker(Side):
    """The code's end of the pipe.

    Args:
        read, write: File descriptors.
        module: In which the code ran.
        failure: What it raised, if it did.
        printed: Where it prints to.
    """

    def __init__(
        self,
        read: int,
        write: int,
        *,
        module: ModuleType,
        failure: BaseException | None,
        printed: io.StringIO,
    ) -> None:
        super().__init__(read, write)
        self._module, self._failure, self._printed = module, failure, printed

    @property
    def actions(self) -> Mapping[str, Callable[..., Any]]:  # type: ignore[override]
        """What a test may ask."""
        return {
            **OPERATORS,
            "load": self._load,
            "global": lambda name: vars(self._module)[name],
            "call": lambda function, arguments, named: function(*arguments, **named),
            "get": getattr,
            "set": setattr,
            "delete": delattr,
            "isinstance": isinstance,
            "issubclass": issubclass,
            "enter": lambda value: type(value).__enter__(value),
            "exit": lambda value, *error: type(value).__exit__(value, *error),
            "plain": _plain,
        }

    def _load(self) -> None:
        if self._failure is not None:
            raise self._failure

    def make_stand_in(self, number: int) -> Any:
        """Return what the code may call, or iterate, of the test's."""
        return Given(self, number)

    def own_number(self, value: Any) -> int | None:
        """Return the number of what the test gave."""
        return value._number if type(value) is Given else None

    def with_reference(self, value: Any, reference: list[Any]) -> Any:
        """Return the code's own object, which a test had from it."""
        return self.resolve(reference)

    def describe(self, error: BaseException) -> str:
        """Return the code's lines of the traceback, for people."""
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == FILE]
        return "".join(traceback.format_list(frames))[-_MAX_TRACEBACK_CHARS:]

    def take_printed(self) -> str:
        """Return what the code has printed, once."""
        text = self._printed.getvalue()
        self._printed.seek(0)
        self._printed.truncate()
        return text


class Given:
    """A function or an iterator of the test's, as the code sees it."""

    def __init__(self, side: Side, number: int) -> None:
        self._side, self._number = side, number

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Have the test call it."""
        return self._side.ask("call", self, list(arguments), named)

    def __iter__(self) -> Any:
        return self._side.ask("iter", self)

    def __next__(self) -> Any:
        return self._side.ask("next", self)


def _plain(value: Any) -> Any:
    """Return the list, dict, set or bytearray that an object of a subclass is."""
    if is_a(value, list):
        return list(list.__iter__(value))
    if is_a(value, dict):
        return dict(dict.items(value))
    if is_a(value, set):
        return set(set.__iter__(value))
    if is_a(value, bytearray):
        return bytearray(bytearray.__iter__(value))
    raise TypeError("an object of the code's own class has no plain value")


def run_program(code: str) -> int:
    """Run a program as `python main.py` would, to its very end; return its exit code."""
    module = _module("__main__")
    status = _run(code, module)
    exit_code = 0
    if isinstance(status, SystemExit):
        exit_code = _exit_code(status)
    elif status is not None:
        _print_traceback(status)
        exit_code = 1
    if "threading" in sys.modules:
        sys.modules["threading"]._shutdown()
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        exit_code = exit_code or 120  # as Python itself does
    return exit_code


def serve_tests(code: str, read: int, write: int) -> None:
    """Run the code as a module, then serve the tests until they end."""
    module = _module("attempt")
    sys.stdout = printed = io.StringIO()
    failure = _run(code, module)
    try:
        Worker(read, write, module=module, failure=failure, printed=printed).serve()
    except Broken:
        os._exit(0)


def _module(name: str) -> ModuleType:
    module = sys.modules[name] = ModuleType(name)
    module.__dict__.update(__builtins__=builtins, __file__=FILE)
    return module


def _run(code: str, module: ModuleType) -> BaseException | None:
    sys.argv = [FILE]
    try:
        with open(FILE, "w", encoding="utf-8", errors="surrogatepass") as file:
            file.write(code)
        compiled = compile(code, FILE, "exec", dont_inherit=True)
        exec(compiled, module.__dict__)
    except BaseException as error:
        # From here on the traceback begins with the code's own frames.
        return error.with_traceback(error.__traceback__ and error.__traceback__.tb_next)
    return None


def _exit_code(status: SystemExit) -> int:
    if status.code is None or isinstance(status.code, int):
        return (status.code or 0) & 0xFF
    sys.stderr.write(f"{status.code}\n")
    return 1


def _print_traceback(error: BaseException) -> None:
    traceback.print_exception(error)
    sys.stderr.flush()
