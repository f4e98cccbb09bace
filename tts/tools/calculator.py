"""Exact arithmetic: numbers, + - * / // % **, brackets and a few functions; no names, no code.

What cannot be exact (a square root, a fractional power) is a float. Numbers of more than some
thousand digits are refused before they are computed.
"""

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from tts.protocols import Context
from tts.tools.base import Found, Tool, ToolConfig, only

_MAX_BITS = 10_000
_MAX_LENGTH = 1_000
_MAX_FACTORIAL = 1_000
_MAX_PLACES = 1_000  # to round to
_OPERATORS: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "abs": abs,
    "ceil": math.ceil,
    "cos": math.cos,
    "exp": math.exp,
    "floor": math.floor,
    "gcd": lambda *values: math.gcd(*map(_whole, values)),
    "lcm": lambda *values: math.lcm(*map(_whole, values)),
    "log": math.log,
    "max": max,
    "min": min,
    "round": lambda value, *places: round(value, *map(_places, places)),
    "sin": math.sin,
    "sqrt": lambda value: _power(value, Fraction(1, 2)),
    "tan": math.tan,
    "factorial": lambda value: _factorial(_whole(value)),
}
_SIGNS = str.maketrans(
    {"^": "**", "\N{MULTIPLICATION SIGN}": "*", "\N{DIVISION SIGN}": "/", "\N{MINUS SIGN}": "-"}
)
_MONEY = re.compile(r"\$(?=\d+\.\d)")
_CONSTANTS = {"pi": math.pi, "e": math.e}
_Number = Fraction | float


class Config(ToolConfig):
    """Parameters of the calculator."""


class Calculator(Tool):
    """Evaluates an expression."""

    signature = "calculator(expression: str) -> number"
    about = "exact arithmetic with numbers alone, no names or units"

    async def call(self, context: Context, arguments: Sequence[str], *, task: str) -> Found:
        """Return the value.

        Raises:
            ValueError: It is no arithmetic, is too large, or divides by zero.
            ArithmeticError: A float has no such value.
        """
        return Found(evaluate(only(arguments, "an expression")))


def build(config: Config) -> Calculator:
    """Return the tool."""
    return Calculator(config)


def evaluate(expression: str) -> str:
    """Return the value of an expression: an integer, a finite decimal, else a fraction "1/3".

    `^` is a power, and an amount of money such as $3.50 a number.

    Raises:
        ValueError: It is no arithmetic, is too large, or divides by zero.
        ArithmeticError: A float has no such value.
    """
    if len(expression) > _MAX_LENGTH:
        raise ValueError(f"an expression of more than {_MAX_LENGTH:,} characters")
    text = _MONEY.sub("", expression.translate(_SIGNS))
    try:
        body = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise ValueError(f"{expression!r} is no arithmetic") from error
    try:
        return _written(_value(body))
    except ZeroDivisionError:
        raise ValueError(f"{expression!r} divides by zero") from None


def _value(node: ast.expr) -> _Number:
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            # As it is written: 0.1 is a tenth.
            return Fraction(repr(value)) if math.isfinite(value) else float(value)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _value(operand)
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return _power(_value(left), _value(right))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _exact(_OPERATORS[type(op)](_value(left), _value(right)))
        case ast.Call(func=ast.Name(id=name), args=values, keywords=[]) if name in _FUNCTIONS:
            return _exact(_FUNCTIONS[name](*map(_value, values)))
        case ast.Name(id=name) if name in _CONSTANTS:
            return _CONSTANTS[name]
    raise ValueError(f"{ast.unparse(node)!r} is no arithmetic")


def _power(base: _Number, exponent: _Number) -> _Number:
    if isinstance(base, Fraction) and isinstance(exponent, Fraction):
        if exponent.denominator == 1:
            if _bits(base) * abs(exponent.numerator) > _MAX_BITS:
                raise ValueError("the number is too large")
            return Fraction(base**exponent.numerator)
        if exponent == Fraction(1, 2) and base >= 0:
            root = Fraction(math.isqrt(base.numerator), math.isqrt(base.denominator))
            if root * root == base:
                return root
    value: float | complex = float(base) ** float(exponent)
    if isinstance(value, complex):
        raise ValueError("a root of a negative number")
    return value


def _exact(value: Any) -> _Number:
    found = value if isinstance(value, float) else Fraction(value)
    if isinstance(found, Fraction) and _bits(found) > _MAX_BITS:
        raise ValueError("the number is too large")
    return found


def _bits(value: Fraction) -> int:
    return max(value.numerator.bit_length(), value.denominator.bit_length())


def _places(value: _Number) -> int:
    if not -_MAX_PLACES <= value <= _MAX_PLACES:
        raise ValueError("the number is too large")
    return _whole(value)


def _whole(value: _Number) -> int:
    if value != int(value):
        raise ValueError(f"{_written(value)} is no whole number")
    return int(value)


def _factorial(value: int) -> int:
    if not 0 <= value <= _MAX_FACTORIAL:
        raise ValueError(f"a factorial of a number from 0 to {_MAX_FACTORIAL:,}")
    return math.factorial(value)


def _written(value: _Number) -> str:
    if isinstance(value, float):
        return repr(value)
    if value.denominator == 1:
        return str(value.numerator)
    decimal = f"{float(value):.12g}"
    return decimal if Fraction(decimal) == value else f"{value.numerator}/{value.denominator}"
