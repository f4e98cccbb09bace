"""Equations that define something: f(x) = 2x, a_n = n + 1, y = 2x, and lists of solutions.

What they define is the same under another name of the bound variable; a list of solutions, each
an assignment to the same variables, is a list of tuples.
"""

import re
from collections.abc import Sequence
from typing import Any

import sympy
from sympy.core.function import AppliedUndef

_NAME = r"(?:[A-Za-z]|\\[a-z]+)(?:_(?:\w|\{\w+\}))?"
_ASSIGNMENT = re.compile(rf"\s*({_NAME})\s*=([^=]+)")
_INDEXED = re.compile(r"([A-Za-z]+)_\{?([a-z])\}?")
_COMMA = re.compile(r"[()\[\]{},]")


def as_tuples(gold: str, candidate: str) -> tuple[str, str] | None:
    """Return answers with their solutions "p=5, q=2, p=7, q=2" as tuples "(5, 2), (7, 2)".

    Where both name their variables, both are written in the same order. None where the answers are
    not two such lists of the same variables, or one and a list of tuples.
    """
    left, right = _solutions(gold), _solutions(candidate)
    if left and right:
        names = sorted(left[0])
        return (_tuples(left, names), _tuples(right, names)) if names == sorted(right[0]) else None
    if left and candidate.startswith("("):
        return _tuples(left), candidate
    return (gold, _tuples(right)) if right and gold.startswith("(") else None


def with_plain_names(gold: Sequence[Any], candidate: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Return readings whose definitions have the same bound variables.

    y = 2x defines the function that f(x) = 2x does.
    """
    left, right = (list(map(_renamed, readings)) for readings in (gold, candidate))
    for index, (one, other) in enumerate(zip(left, right, strict=False)):
        if _is_graph(one) and _is_function(other):
            right[index] = _graph(gold=one, function=candidate[index])
        elif _is_function(one) and _is_graph(other):
            left[index] = _graph(gold=other, function=gold[index])
    return left, right


def _solutions(text: str) -> tuple[list[str], list[list[str]]] | None:
    """Return at least two variables and their values in each solution."""
    matches = [_ASSIGNMENT.fullmatch(part) for part in _split(text)]
    found = [(match[1], match[2].strip()) for match in matches if match]
    names = list(dict.fromkeys(name for name, _ in found))
    width = len(names)
    if len(found) < len(matches) or width < 2 or len(found) % width:
        return None
    if any(name != names[index % width] for index, (name, _) in enumerate(found)):
        return None
    values = [value for _, value in found]
    return names, [values[start : start + width] for start in range(0, len(values), width)]


def _tuples(
    solutions: tuple[list[str], list[list[str]]], order: Sequence[str] | None = None
) -> str:
    names, rows = solutions
    places = [names.index(name) for name in order or names]
    return ",".join(f"({','.join(row[place] for place in places)})" for row in rows)


def _split(text: str) -> list[str]:
    """Split at the commas that are in no bracket."""
    parts, start, depth = [], 0, 0
    for sign in _COMMA.finditer(text):
        if sign[0] != ",":
            depth += 1 if sign[0] in "([{" else -1
        elif depth == 0:
            parts.append(text[start : sign.start()])
            start = sign.end()
    return [*parts, text[start:]]


def _renamed(reading: Any) -> Any:
    """Return a definition, or a set of them, with its bound variables named by their place."""
    if isinstance(reading, sympy.FiniteSet):
        return sympy.FiniteSet(*map(_renamed, reading.args))
    if _is_function(reading):
        bound = reading.lhs.args
        return reading.xreplace({each: _place(index) for index, each in enumerate(bound)})
    if isinstance(reading, sympy.Eq) and isinstance(reading.lhs, sympy.Symbol):
        indexed = _INDEXED.fullmatch(reading.lhs.name)
        bound = [s for s in reading.rhs.free_symbols if indexed and s.name == indexed[2]]
        if indexed and bound:
            sequence = sympy.Function(indexed[1])(_place(0))
            return sympy.Eq(sequence, reading.rhs.xreplace({bound[0]: _place(0)}))
    return reading


def _place(index: int) -> sympy.Symbol:
    return sympy.Symbol(f"bound{index}", real=True)


def _is_function(reading: Any) -> bool:
    """Tell f(x) = ... , with variables as its arguments."""
    return (
        isinstance(reading, sympy.Eq)
        and isinstance(reading.lhs, AppliedUndef)
        and all(isinstance(each, sympy.Symbol) for each in reading.lhs.args)
    )


def _is_graph(reading: Any) -> bool:
    """Tell y = ... ."""
    return (
        isinstance(reading, sympy.Eq)
        and isinstance(reading.lhs, sympy.Symbol)
        and reading.lhs not in reading.rhs.free_symbols
    )


def _graph(*, gold: Any, function: Any) -> Any:
    """Return f(x) = ... as y = ..., if the other equation has y or the function's name."""
    name = gold.lhs.name
    if name in ("y", function.lhs.func.__name__):
        return sympy.Eq(gold.lhs, function.rhs)
    return function
