r"""An answer's mathematics as sympy expressions, by math-verify's parser with its faults mended.

All that is worked around in math-verify 0.9 and latex2sympy2_extended 1.11 when they read is here:

* `ConversionConfig.lowercase_symbols` is on, so that n and N are one variable;
* the letter I is read as the imaginary unit, \gamma and \Gamma both as Euler's constant;
* primes are removed as if they were quotes (y' is y), and what follows \angle is a product;
* units are removed down to single letters ("2d", "5t" are read as 2 and 5);
* the parser predicts with full context where the simple kind gives the same tree four times faster.
"""

import re
from functools import lru_cache
from typing import Any

import math_verify.parser
import sympy
from antlr4 import PredictionMode
from latex2sympy2_extended.latex2sympy2 import (
    ConversionConfig,
    NormalizationConfig,
    _Latex2Sympy,
)
from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse

from tts.answers.words import is_words

_NORMALIZATION = NormalizationConfig(
    basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="all"
)
_LATEX = LatexExtractionConfig(normalization_config=_NORMALIZATION)
_BARE = (_LATEX,)
_PROSE = (_LATEX, ExprExtractionConfig())
_MATH_IN_PROSE = re.compile(r"\$|\\boxed|\\\(|\\\[|(?<![\\A-Za-z])[A-Za-z]{2,} |[^\x00-\x7f]{2}")
_LETTERS = re.compile(r"(?<![\\A-Za-z_^{])[A-Za-z]{2,}(?![A-Za-z])")
_MAX_WORDS = 2
_DEGREES = re.compile(r"(\d+(?:\.\d+)?)\^\\circ")
_ANGLE_FUNCTION = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)(?![A-Za-z])")
_BARE_ROOT = re.compile(r"(?<![\\A-Za-z])(sqrt|cbrt)\(")
_BARE_FUNCTION = re.compile(
    r"(?<![\\A-Za-z])(arc(?:sin|cos|tan)|sinh?|cosh?|tanh?|cot|sec|csc|ln|log|exp|pi|theta|alpha"
    r"|beta|lambda|sigma|omega|infty)(?![A-Za-z])"
)
_PRIME = re.compile(r"(?<=[A-Za-z])(?:_(\w|\{[^{}]*\}))?('+|\^\{?\\prime\}?)")
_FIGURE = re.compile(r"(\\(?:angle|triangle))\s*([A-Z]{1,4})(?![A-Za-z])")
_SET_BUILDER = re.compile(
    r"\\\{\s*([a-z])\s*(?:\\in\s*\\mathbb\s*\{?R\}?)?\s*(?:\||:|\\mid(?![A-Za-z]))([^|:]*)\\\}"
)
_MEMBER = re.compile(r"^[A-Za-z]\s*\\in(?![A-Za-z])\s*(?!.*\\in(?![A-Za-z]))")
_RELATION = re.compile(r"[<>]|\\(?:[lg]e|ne)(?![A-Za-z])")
_SCIENTIFIC = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)[eE]([-+]?\d+)(?!\w)")


class _Reader(_Latex2Sympy):  # type: ignore[misc]  # the libraries are untyped
    """The parser, with every letter a variable of its own."""

    def __init__(self, mode: Any) -> None:
        super().__init__(is_real=True, config=ConversionConfig(lowercase_symbols=False))
        self._mode = mode

    def create_parser(self, latex_str: str) -> Any:
        parser = super().create_parser(latex_str)
        parser._interp.predictionMode = self._mode
        return parser

    def convert_atom_expr(self, atom_expr: Any) -> Any:
        found = super().convert_atom_expr(atom_expr)
        text = atom_expr.getText()
        if found is sympy.I or found is sympy.EulerGamma:
            return sympy.Symbol(text.strip("\\ "), real=True)
        return found

    def convert_atom(self, atom: Any) -> Any:
        if atom.FUNC_GAMMA():
            return sympy.Symbol(atom.getText().strip("\\ "), real=True)
        return super().convert_atom(atom)


def _to_sympy(
    latex: str, *, is_real: bool, convert_degrees: bool, normalization_config: None
) -> Any:
    """Take the place of `latex2sympy` in math-verify's parser, whose options cannot be set."""
    try:
        return _Reader(PredictionMode.SLL).parse(latex)
    except Exception:  # whatever it was, the slower prediction decides
        return _Reader(PredictionMode.LL).parse(latex)


math_verify.parser.latex2sympy = _to_sympy


@lru_cache(maxsize=1024)
def read(text: str) -> list[Any]:
    """Parse an answer: as bare mathematics first; a sentence is searched for its mathematics."""
    text = _MEMBER.sub("", text)
    if (condition := _SET_BUILDER.fullmatch(text)) and _RELATION.search(condition[2]):
        text = condition[2]
    text = _close_roots(text)
    text = _BARE_FUNCTION.sub(r"\\\1 ", text)
    text = _PRIME.sub(_prime, text)
    text = _FIGURE.sub(lambda m: f"\\text{{{m[1][1:]}{m[2]}}}", text)
    text = _SCIENTIFIC.sub(r"\1\\cdot 10^{\2}", text)
    if _ANGLE_FUNCTION.search(text):
        text = _DEGREES.sub(r"\\frac{\1\\pi}{180}", text)
    if "$" not in text and "\\boxed" not in text and not _is_prose(text):
        bare = list(parse(f"${text}$", _BARE, parsing_timeout=None))
        # Half-read mathematics is worse than none: 4*sqrt(a must not become 4.
        if not _MATH_IN_PROSE.search(text) or any(not isinstance(part, str) for part in bare):
            return bare
    return list(parse(text, _PROSE, parsing_timeout=None))


def with_imaginary_unit(readings: list[Any]) -> list[Any]:
    """Read the letter i as the imaginary unit.

    The parser takes it for a variable, so that i^2 and -1 would differ.
    """
    changed = []
    for reading in readings:
        names = {symbol.name: symbol for symbol in getattr(reading, "free_symbols", ())}
        changed.append(reading.subs(names["i"], sympy.I) if "i" in names else reading)
    return changed


def _is_prose(text: str) -> bool:
    """Tell a sentence, which must not be read as a product of its letters."""
    return sum(is_words(run) for run in _LETTERS.findall(text)) > _MAX_WORDS


def _prime(match: re.Match[str]) -> str:
    primes = "p" * (match[2].count("'") or 1)
    return f"_{{{(match[1] or '').strip('{}')}{primes}}}"


def _close_roots(text: str) -> str:
    """Write sqrt(...) and cbrt(...) as LaTeX, with the bracket that belongs to it."""
    while root := _BARE_ROOT.search(text):
        depth = 1
        end = root.end()
        while end < len(text) and depth:
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            end += 1
        inside = text[root.end() : end - 1] if depth == 0 else text[root.end() :]
        command = "\\sqrt" if root[1] == "sqrt" else "\\sqrt[3]"
        text = f"{text[: root.start()]}{command}{{{inside}}}{text[end:]}"
    return text
