"""Exact check of a countdown expression."""

import ast
import re
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

MAX_EXPRESSION = 200  # characters; a longer text is no answer to five numbers
_SIGNS = {
    "\\times": "*",
    "\\cdot": "*",
    "\\div": "/",
    "\u00d7": "*",
    "\u00b7": "*",
    "\u00f7": "/",
    "\u2212": "-",
}


def check_expression(text: str, numbers: Sequence[int], target: int) -> bool:
    """Say whether an expression uses each number once and has the target as its value.

    `= target` may follow. Fractions on the way are exact.
    """
    for shown, sign in _SIGNS.items():
        text = text.replace(shown, sign)
    text, _, claimed = text.partition("=")
    if claimed.strip() not in ("", str(target)) or len(text) > MAX_EXPRESSION:
        return False
    if not re.fullmatch(r"[\d+\-*/() ]+", text):
        return False
    used: list[int] = []
    try:
        value = _value(ast.parse(text.strip(), mode="eval").body, used)
    except (SyntaxError, ValueError, ZeroDivisionError, RecursionError):
        return False
    return value == target and Counter(used) == Counter(numbers)


def _value(node: ast.expr, used: list[int]) -> Fraction:
    if isinstance(node, ast.Constant) and type(node.value) is int:
        used.append(node.value)
        return Fraction(node.value)
    if not isinstance(node, ast.BinOp):
        raise ValueError("only numbers and binary signs")
    left, right = _value(node.left, used), _value(node.right, used)
    match node.op:
        case ast.Add():
            return left + right
        case ast.Sub():
            return left - right
        case ast.Mult():
            return left * right
        case ast.Div():
            return left / right
    raise ValueError("only + - * /")
