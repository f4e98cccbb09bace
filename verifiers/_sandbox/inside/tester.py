"""The process of a test: runs it as it stands, with stand-ins for what it names of the code.

The functions of the code run in another process, and what they return comes back as values made
here, so `assert f(2) == 4` compares two integers of our own interpreter, whatever the code did to
its own. An object of a class of the code's stays there; a `Remote` stands for it here. It forwards
attributes, calls, indices and iteration, and operators between two such objects. It does not hand
the test's values to the code's operators: `f(2) == 4`, where f(2) is such an object, is false.
"""

import ast
import builtins
import io
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any

from tts.verifiers._sandbox.inside.values import EXCEPTIONS, PLAIN_TYPES, library_module
from tts.verifiers._sandbox.inside.wire import Broken, Side

FILE = "test"
_MAX_REPORT_CHARS = 8_000
_MAX_LINE_CHARS = 2_000  # of one of many tests


class Tester(Side):
    """The test's end of the pipe.

    Attributes:
        broken: Why there is no other end any more; empty while there is.
    """

    broken = ""
    actions: Mapping[str, Callable[..., Any]] = {
        "call": lambda function, arguments, named: function(*arguments, **named),
        "iter": iter,
        "next": next,
    }

    def ask(self, action: str, *arguments: Any) -> Any:
        """Have the code do something; raises what it raised.

        Raises:
            Broken: The code has ended; a test that catches this fails all the same.
        """
        try:
            return super().ask(action, *arguments)
        except Broken as error:
            self.broken = str(error)
            raise
        except StopIteration as error:
            if action == "next":
                raise
            # It would end a loop of the test early, in silence.
            raise RuntimeError("the code raised StopIteration") from error

    def check(self, action: str, arguments: list[Any]) -> None:
        """Let the code call and iterate what it was given, and nothing else."""
        if action not in self.actions or not arguments or not self._was_given(arguments[0]):
            raise TypeError("the code may call, or iterate over, what a test gave it")

    def _was_given(self, value: Any) -> bool:
        return any(value is given for given in self._exported)

    def export(self, value: Any) -> list[Any]:
        """Return a reference, to what may be called or iterated alone."""
        is_known = isinstance(value, ModuleType | BaseException) or self.own_number(value)
        if is_known is None and not callable(value) and not hasattr(value, "__next__"):
            raise TypeError(
                f"the test hands a {type(value).__name__} to the code, which runs in another "
                "process: built-in values, functions and iterators can be handed over"
            )
        return super().export(value)

    def own_number(self, value: Any) -> int | None:
        """Return the number of the code's object that a stand-in stands for."""
        if isinstance(value, Remote):
            return value._tts_number
        if isinstance(value, type):
            return vars(value).get("_tts_class_number")
        return getattr(value, "_tts_number", None) if isinstance(value, _Attributes) else None

    def make_stand_in(self, number: int) -> "Remote":
        """Return a stand-in for an object of the code."""
        return Remote(self, number)

    def with_reference(self, value: Any, reference: list[Any]) -> Any:
        """Return a plain value that looks up further attributes in the code."""
        kind = type(value)
        stand_in = _value_class(kind)(value)
        stand_in._tts_side, stand_in._tts_number = self, self.resolve(reference)._tts_number
        return stand_in

    def make_exception_class(self, number: int, name: str, base: type[BaseException]) -> Any:
        """Return an exception class with the attributes of the code's class."""
        kind = type(str(name), (_Attributes, base), {"__module__": "__main__"})
        kind._tts_class_number = number  # type: ignore[attr-defined]
        return kind

    def make_exception(
        self, kind: type[BaseException], number: int, arguments: list[Any], lines: str
    ) -> BaseException:
        """Return the exception; one that would end a test early in silence becomes another."""
        if issubclass(kind, SystemExit):
            kind = CodeExit
        elif not issubclass(kind, Exception):
            kind, arguments = RuntimeError, [f"the code raised {kind.__name__}"]
        error = super().make_exception(kind, number, arguments, lines)
        if isinstance(error, _Attributes):
            error._tts_side, error._tts_number = self, number
        error.add_note(lines)
        return error

    def show_printed(self, text: str) -> None:
        """Print what the code printed, for tests that look at it."""
        if text:
            sys.stdout.write(text)


class CodeExit(SystemExit):
    """The code called `sys.exit`; a test may expect that, and else it fails."""


class _Attributes:
    """Looks up in the code what it does not have itself."""

    _tts_side: Side
    _tts_number: int
    _tts_plain: Callable[[Any], Any] | None = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_tts_"):
            raise AttributeError(name)
        return self._tts_side.ask("get", Remote(self._tts_side, self._tts_number), name)

    def __reduce_ex__(self, protocol: Any) -> Any:
        plain = self._tts_plain  # a copy of a value is the value alone
        return super().__reduce_ex__(protocol) if plain is None else (plain, (plain(self),))


def _value_class(base: type, known: dict[type, Any] = {}) -> Any:  # noqa: B006
    if base not in known:
        known[base] = type(base.__name__, (_Attributes, base), {"_tts_plain": base})
    return known[base]


class Remote:
    """Stands for an object of the code."""

    __slots__ = ("_tts_number", "_tts_side")
    _tts_side: Tester
    _tts_number: int

    def __init__(self, side: Side, number: int) -> None:
        object.__setattr__(self, "_tts_side", side)
        object.__setattr__(self, "_tts_number", number)

    def __getattr__(self, name: str) -> Any:
        return self._tts_side.ask("get", self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._tts_side.ask("set", self, name, value)

    def __delattr__(self, name: str) -> None:
        self._tts_side.ask("delete", self, name)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Call it."""
        return self._tts_side.ask("call", self, list(arguments), named)

    def __instancecheck__(self, value: Any) -> bool:
        return bool(self._tts_side.ask("isinstance", value, self))

    def __subclasscheck__(self, kind: Any) -> bool:
        return bool(self._tts_side.ask("issubclass", kind, self))

    def __enter__(self) -> Any:
        return self._tts_side.ask("enter", self)

    def __exit__(self, kind: Any, error: Any, _: Any) -> None:
        """Leave the code's block; it may not swallow an exception, such as a failed assertion."""
        self._tts_side.ask("exit", self, kind, error, None)

    def __reduce_ex__(self, _: Any) -> Any:
        raise TypeError("an object of the code's own class cannot be copied")

    def __eq__(self, other: object) -> Any:
        if isinstance(other, Remote):
            return self._tts_side.ask("eq", self, other)
        try:
            return bool(self._tts_side.ask("plain", self) == other)
        except TypeError:
            return False

    def __ne__(self, other: object) -> Any:
        if isinstance(other, Remote):
            return self._tts_side.ask("ne", self, other)
        return not self == other

    def __contains__(self, value: Any) -> bool:
        return any(item is value or item == value for item in self)

    def __hash__(self) -> int:
        return int(self._tts_side.ask("hash", self))

    def __iter__(self) -> Iterator[Any]:
        iterator: Iterator[Any] = self._tts_side.ask("iter", self)
        return iterator


def _asks(action: str) -> Callable[..., Any]:
    def method(self: Remote, *arguments: Any) -> Any:
        return self._tts_side.ask(action, self, *arguments)

    return method


def _asks_between(action: str) -> Callable[..., Any]:
    """Return an operator between two objects of the code; with a value it is not defined."""

    def method(self: Remote, other: Any) -> Any:
        if not isinstance(other, Remote):
            return NotImplemented
        return self._tts_side.ask(action, self, other)

    return method


for _name in ("len", "next", "bool", "str", "repr", "abs", "int", "float", "complex", "index"):
    setattr(Remote, f"__{_name}__", _asks(_name))
for _name in ("round", "reversed", "dir", "neg", "pos", "invert", "getitem", "setitem", "delitem"):
    setattr(Remote, f"__{_name}__", _asks(_name))
for _name in ("add", "sub", "mul", "matmul", "truediv", "floordiv", "mod", "pow", "lshift"):
    setattr(Remote, f"__{_name}__", _asks_between(_name))
for _name in ("rshift", "and", "or", "xor", "divmod", "lt", "le", "gt", "ge"):
    _action = f"{_name}_" if _name in ("and", "or") else _name
    setattr(Remote, f"__{_name}__", _asks_between(_action))


class _Names(dict[str, Any]):
    """The built-in names, and behind them those of the code."""

    def __init__(self, side: Tester, test: ast.Module) -> None:
        super().__init__(vars(builtins))
        self._side = side
        free = _free_names(test)
        self._modules = _modules(test, free)
        for name in _redefined(free):
            del self[name]

    def __missing__(self, name: str) -> Any:
        try:
            value = self._side.ask("global", name)
        except KeyError:
            if hasattr(builtins, name):
                return getattr(builtins, name)
            raise
        return library_module(name) if name in self._modules else value


def run_test(test: str, read: int, write: int) -> str:
    """Run a test; return why it failed, or nothing."""
    return run_on(Tester(read, write), test)


def run_on(side: Tester, test: str) -> str:
    """The same over a pipe that may have served tests before."""
    return _run(side, test, lambda tree: _Names(side, tree))


def _run(
    side: Tester,
    test: str,
    names: Callable[[ast.Module], dict[str, Any]],
    then: Callable[[ModuleType], None] = lambda _: None,
) -> str:
    """Run a test, then do something with its module; return why that failed, or nothing."""
    module = ModuleType("__main__")
    sys.modules["__main__"], sys.argv = module, [FILE]
    printed = sys.stderr = io.StringIO()
    try:
        side.ask("load")
        tree = ast.parse(test, FILE)
        module.__dict__["__builtins__"] = names(tree)
        exec(compile(tree, FILE, "exec", dont_inherit=True, optimize=0), module.__dict__)
        then(module)
    except CodeExit as error:
        return f"the code exited with {error.code}"
    except SystemExit as error:
        if error.code not in (None, 0, False):
            return f"it exited with {error.code}\n{printed.getvalue()}"[-_MAX_REPORT_CHARS:]
    except BaseException as error:
        return side.broken or _report(error, test)
    return side.broken


def warm_up() -> None:
    """Do once what Python does at the first use, so that no process of a test has to."""
    tree = ast.parse("assert f(1) == 1", FILE)
    names = {name: lambda x: x for name in _free_names(tree) - set(vars(builtins))}
    exec(compile(tree, FILE, "exec", dont_inherit=True, optimize=0), names)
    try:
        raise AssertionError
    except AssertionError as error:
        _report(error, "")


def _free_names(test: ast.Module) -> set[str]:
    """Return the names that a test reads and does not define."""
    read: set[str] = set()
    defined: set[str] = set()
    for node in ast.walk(test):
        if isinstance(node, ast.Name):
            (read if isinstance(node.ctx, ast.Load) else defined).add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            defined.add(node.name)
        elif isinstance(node, ast.arg):
            defined.add(node.arg)
        elif isinstance(node, ast.alias):
            defined.add((node.asname or node.name).partition(".")[0])
    return read - defined


def _redefined(free: set[str]) -> list[str]:
    """Return the built-in function that the code defines anew, where a test calls nothing else.

    The code must not replace `abs` in `abs(f(2) - 4) < 0.1`; but where the one name that a test
    leaves open is that of a built-in function, as in `sum(10, 15) == 6`, that is what it tests.
    """
    functions = [n for n in free if hasattr(builtins, n) and not _is_type(getattr(builtins, n))]
    has_other = any(not hasattr(builtins, name) for name in free)
    return functions if len(functions) == 1 and not has_other else []


def _modules(test: ast.Module, free: set[str]) -> set[str]:
    """Return the modules of which a test uses attributes alone, although the code imports them.

    It gets those of its own interpreter, since the code must not replace `math` in
    `math.isclose(f(2), 4)`.
    """
    bases = [n.value for n in ast.walk(test) if isinstance(n, ast.Attribute)]
    as_base = [base.id for base in bases if isinstance(base, ast.Name)]
    uses = [node.id for node in ast.walk(test) if isinstance(node, ast.Name)]
    names = free & sys.stdlib_module_names
    return {name for name in names if uses.count(name) == as_base.count(name)}


def _is_type(value: Any) -> bool:
    return value in PLAIN_TYPES.values() or value in EXCEPTIONS.values()


def _report(error: BaseException, test: str) -> str:
    """Return the last lines of a traceback, with the line of the test."""
    lines = test.splitlines()
    shown = []
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename == FILE and frame.lineno and frame.lineno <= len(lines):
            shown.append(f"line {frame.lineno}: {lines[frame.lineno - 1].strip()}")
    text = "".join(traceback.format_exception_only(error))
    return "\n".join([*shown, text])[-_MAX_REPORT_CHARS:]


def main(test: str, read: int, write: int, verdict: int) -> None:
    """Run a test and send its verdict: "P" for passed, "F" and why not."""
    _send_verdict(verdict, lambda: (run_test(test, read, write), ""))


class Program:
    """The code as one object, for an evaluator: its attributes are what the code defines."""

    def __init__(self, side: Tester) -> None:
        self._side = side

    def __getattr__(self, name: str) -> Any:
        try:
            return self._side.ask("global", name)
        except KeyError:
            raise AttributeError(f"the program defines no {name!r}") from None


def evaluate(asked: str, read: int, write: int, verdict: int) -> None:
    """Call a function of an evaluator with the code, and send "P" and its result, or "F" and why.

    All names of an evaluator are its own, or built in: it meets the code in what it is called with.

    Args:
        asked: JSON of the evaluator's text and the function's name.
        read: From the code.
        write: To the code.
        verdict: Where the verdict is written to.
    """
    text, function = json.loads(asked)
    side, results = Tester(read, write), [""]

    def call(module: ModuleType) -> None:
        results.append(json.dumps(vars(module)[function](Program(side))))

    _send_verdict(verdict, lambda: (_run(side, text, lambda _: vars(builtins), call), results[-1]))


def _send_verdict(verdict: int, run: Callable[[], tuple[str, str]]) -> None:
    """Send what `run` returns: why it failed, and its result if it did not."""
    try:
        reason, result = run()
    except BaseException as error:  # from an exception that cannot be shown
        reason, result = f"it raised a {type(error).__name__}", ""
    data = b"F" + reason.encode("utf-8", "replace") if reason else b"P" + result.encode()
    while data:
        data = data[os.write(verdict, data) :]


def run_together(tests: list[str], read: int, write: int, verdicts: int) -> None:
    """Run tests over one pipe and send a line for each that comes to its end.

    A line is `[passed, why not, seconds]`. Where the code's process ends, or lacks memory that
    earlier tests may have taken, no more are sent.
    """
    side = Tester(read, write)
    for test in tests:
        start = time.monotonic()
        reason = run_on(side, test)
        if side.broken or "MemoryError" in reason:
            return
        line = [not reason, reason[-_MAX_LINE_CHARS:], time.monotonic() - start]
        data = json.dumps(line).encode() + b"\n"
        while data:
            data = data[os.write(verdicts, data) :]
