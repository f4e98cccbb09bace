"""Values, the many ways in which models and benchmarks write them, and values that look alike.

Each kind draws a value, writes it in one of its forms, and draws another value that is easily
taken for it. Everything comes from the generator that is passed in.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import permutations
from random import Random
from typing import Any

from tests.support import number_forms as numbers

_SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
_WORDS = (
    *("even", "odd", "Monday", "Tuesday", "yes", "no", "Alice", "Bob", "ellipse", "eclipse"),
    *("red", "read", "north", "south", "increasing", "decreasing", "convex", "concave"),
)


@dataclass(frozen=True)
class Kind:
    """A kind of answers.

    Attributes:
        draw: Returns a value.
        write: Returns one of its forms.
        confuse: Returns another value that looks alike.
    """

    draw: Callable[[Random], Any]
    write: Callable[[Any, Random], str]
    confuse: Callable[[Any, Random], Any]


def equal_pair(kind: Kind, rng: Random) -> tuple[str, str]:
    """Return two writings of one value."""
    value = kind.draw(rng)
    return tuple(_wrap(kind.write(value, rng), rng) for _ in range(2))  # type: ignore[return-value]


def unequal_pair(kind: Kind, rng: Random) -> tuple[str, str]:
    """Return writings of two values that look alike."""
    value = kind.draw(rng)
    other = next(v for _ in range(1_000) if (v := kind.confuse(value, rng)) != value)
    return _wrap(kind.write(value, rng), rng), _wrap(kind.write(other, rng), rng)


def _wrap(text: str, rng: Random) -> str:
    forms = (
        "{}",
        "{}",
        "{}",
        "${}$",
        "\\({}\\)",
        "\\boxed{{{}}}",
        " {} ",
        "{}.",
        "$\\boxed{{{}}}$",
    )
    return rng.choice(forms).format(text)


def _interval(rng: Random) -> tuple[Any, ...]:
    low = rng.randrange(-9, 9)
    return rng.choice("[("), low, low + rng.randrange(1, 9), rng.choice("])")


def _write_interval(value: tuple[Any, ...], rng: Random) -> str:
    begin, low, high, end = value
    plain = f"{begin}{low},{high}{end}"
    relations = ("\\le" if begin == "[" else "<", "\\le" if end == "]" else "<")
    forms = [plain, plain, f"{begin}{low}, {high}{end}", f"\\left{begin}{low}, {high}\\right{end}"]
    forms += [f"{begin}{low},\\,{high}{end}", f"x \\in {plain}", f"x∈{plain}"]
    if (begin, end) != ("(", ")"):  # else a pair of numbers
        forms.append(f"{low} {relations[0]} x {relations[1]} {high}")
    return rng.choice(forms)


def _confuse_interval(value: tuple[Any, ...], rng: Random) -> tuple[Any, ...]:
    begin, low, high, end = value
    return rng.choice(
        (
            ("(" if begin == "[" else "[", low, high, end),
            (begin, low, high, ")" if end == "]" else "]"),
            (begin, low, high + 1, end),
            (begin, low - 1, high, end),
            (begin, -high, -low, end),
        )
    )


def _numbers(rng: Random, smallest: int = 2) -> tuple[Fraction, ...]:
    return tuple(numbers.draw_fraction(rng) for _ in range(rng.randrange(smallest, 5)))


def _write_plain(value: Fraction, rng: Random) -> str:
    sign, p, q = ("-" if value < 0 else ""), abs(value.numerator), value.denominator
    if q == 1:
        return f"{sign}{p}"
    return rng.choice(
        (f"{sign}\\frac{{{p}}}{{{q}}}", f"{sign}{p}/{q}", f"{sign}\\dfrac{{{p}}}{{{q}}}")
    )


def _write_tuple(value: Sequence[Fraction], rng: Random) -> str:
    comma = rng.choice((",", ", ", ",\\ ", ",\\,", " , "))
    inside = comma.join(_write_plain(each, rng) for each in value)
    return rng.choice((f"({inside})", f"\\left({inside}\\right)", f"\\left( {inside} \\right)"))


def _write_set(value: frozenset[Fraction], rng: Random) -> str:
    parts = [_write_plain(each, rng) for each in sorted(value)]
    rng.shuffle(parts)
    comma = rng.choice((", ", ",\\,", "; "))  # "1,234/5" alone is a number
    inside = comma.join(parts)
    forms = [f"\\{{{inside}\\}}", f"\\left\\{{{inside}\\right\\}}", f"\\{{ {inside} \\}}", inside]
    if len(parts) == 2:
        forms += [" and ".join(parts), " \\text{ or } ".join(parts)]
    return rng.choice(forms)


def _confuse_tuple(value: tuple[Fraction, ...], rng: Random) -> tuple[Fraction, ...]:
    place = rng.randrange(len(value))
    changed = (*value[:place], numbers.confuse_fraction(value[place], rng), *value[place + 1 :])
    return rng.choice((changed, value[::-1], value[:-1] or value, (*value, value[0])))


def _confuse_set(value: frozenset[Fraction], rng: Random) -> frozenset[Fraction]:
    one = rng.choice(sorted(value))
    return rng.choice((value - {one} | {numbers.confuse_fraction(one, rng)}, value | {one + 1}))


def _matrix(rng: Random) -> tuple[tuple[Fraction, ...], ...]:
    width = rng.randrange(1, 4)
    return tuple(
        tuple(Fraction(rng.randrange(-9, 10)) for _ in range(width))
        for _ in range(rng.randrange(2, 4))
    )


def _write_matrix(value: tuple[tuple[Fraction, ...], ...], rng: Random) -> str:
    cell, row = rng.choice((" & ", "&", "  &  ")), rng.choice((" \\\\ ", "\\\\", " \\\\\n"))
    inside = row.join(cell.join(_write_plain(each, rng) for each in line) for line in value)
    columns = "c" * len(value[0])
    return rng.choice(
        (
            f"\\begin{{pmatrix}} {inside} \\end{{pmatrix}}",
            f"\\begin{{bmatrix}}{inside}\\end{{bmatrix}}",
            f"\\left(\\begin{{array}}{{{columns}}} {inside} \\end{{array}}\\right)",
        )
    )


def _confuse_matrix(
    value: tuple[tuple[Fraction, ...], ...], rng: Random
) -> tuple[tuple[Fraction, ...], ...]:
    place = rng.randrange(len(value))
    row = (value[place][0] + 1, *value[place][1:])
    changed = (*value[:place], row, *value[place + 1 :])
    return rng.choice((tuple(zip(*value, strict=True)), value[::-1], changed))


def _polynomial(rng: Random) -> tuple[int, ...]:
    """Return coefficients, from the constant up."""
    return (*(rng.randrange(-9, 10) for _ in range(rng.randrange(1, 4))), rng.randrange(1, 9))


def _write_polynomial(value: tuple[int, ...], rng: Random) -> str:
    terms = [(power, number) for power, number in enumerate(value) if number]
    rng.shuffle(terms)
    star = rng.choice(("", "", "*", "\\cdot ", " "))
    text = ""
    for power, number in terms:
        sign = "-" if number < 0 else "+" if text else ""
        gap = rng.choice(("", " ")) if text else ""
        size = str(abs(number)) if abs(number) != 1 or power == 0 else ""
        raised = rng.choice(
            (f"x^{power}", f"x^{{{power}}}", f"x{str(power).translate(_SUPERSCRIPTS)}")
        )
        variable = ("", "x", raised)[min(power, 2)]
        text += f"{gap}{sign}{gap}{size}{star if size and variable else ''}{variable}"
    return text


def _confuse_polynomial(value: tuple[int, ...], rng: Random) -> tuple[int, ...]:
    place = rng.randrange(len(value))
    changed = (*value[:place], value[place] + 1, *value[place + 1 :])
    negated = (*value[:place], -value[place], *value[place + 1 :])
    return rng.choice((changed, negated, (0, *value), tuple(-each for each in value)))


def _factors(rng: Random) -> tuple[int, ...]:
    return tuple(sorted(rng.randrange(-9, 10) for _ in range(rng.randrange(2, 4))))


def _write_factors(value: tuple[int, ...], rng: Random) -> str:
    roots = list(value)
    rng.shuffle(roots)
    if rng.random() < 0.5:
        return "".join("x" if r == 0 else f"(x{-r:+d})" for r in roots)
    coefficients = [1]
    for root in roots:
        padded = [0, *coefficients]
        coefficients = [a - root * b for a, b in zip(padded, [*coefficients, 0], strict=True)]
    return _write_polynomial(tuple(coefficients), rng)


def _confuse_factors(value: tuple[int, ...], rng: Random) -> tuple[int, ...]:
    place = rng.randrange(len(value))
    other = rng.choice((-value[place], value[place] + 1))
    return tuple(sorted((*value[:place], other, *value[place + 1 :])))


def _word(rng: Random) -> str:
    return rng.choice(_WORDS)


def _write_word(value: str, rng: Random) -> str:
    forms = (value, value, f"\\text{{{value}}}", f"\\mathrm{{{value}}}", f"\\textbf{{{value}}}")
    return rng.choice((*forms, value.capitalize()))


def _confuse_word(value: str, rng: Random) -> str:
    return rng.choice([word for word in _WORDS if word != value])


def _letters(rng: Random) -> str:
    return "".join(rng.sample("ABCDEFGH", 3))


def _write_label(value: str, rng: Random) -> str:
    return rng.choice((value, f"\\text{{{value}}}"))


def _confuse_letters(value: str, rng: Random) -> str:
    return "".join(rng.choice([p for p in permutations(value) if "".join(p) != value]))


def _relation(rng: Random) -> tuple[str, int]:
    return rng.choice(("<", ">", "\\le", "\\ge", "\\ne")), rng.randrange(-20, 20)


def _write_relation(value: tuple[str, int], rng: Random) -> str:
    sign, bound = value
    forms = {
        "<": ("<", "\\lt "),
        ">": (">", "\\gt "),
        "\\le": ("\\le ", "\\leq ", "≤", "<=", "\\leqslant "),
        "\\ge": ("\\ge ", "\\geq ", "≥", ">="),
        "\\ne": ("\\ne ", "\\neq ", "≠", "!="),
    }
    turned = {"<": ">", ">": "<", "\\le": "\\ge", "\\ge": "\\le", "\\ne": "\\ne"}
    space = rng.choice(("", " "))
    if rng.random() < 0.3:
        return f"{bound}{space}{rng.choice(forms[turned[sign]])}{space}x"
    return f"x{space}{rng.choice(forms[sign])}{space}{bound}"


def _confuse_relation(value: tuple[str, int], rng: Random) -> tuple[str, int]:
    sign, bound = value
    other = {"<": "\\le", ">": "\\ge", "\\le": "\\ge", "\\ge": ">", "\\ne": "<"}[sign]
    return rng.choice(((other, bound), (sign, bound + 1), (sign, -bound)))


def _line(rng: Random) -> tuple[int, int]:
    return rng.choice((-1, 1)) * rng.randrange(2, 9), rng.randrange(-9, 10)


def _write_line(value: tuple[int, int], rng: Random) -> str:
    slope, start = value
    rest = f"{start:+d}" if start else ""
    turned = f"{start}" if start else ""
    name = rng.choice(("y", "y", "f(x)"))
    forms = (f"{name} = {slope}x{rest}", f"{name}={slope}x{rest}", f"{name}={turned}{slope:+d}x")
    return rng.choice(forms)


def _confuse_line(value: tuple[int, int], rng: Random) -> tuple[int, int]:
    slope, start = value
    return rng.choice(((-slope, start), (slope, -start), (slope + 1, start), (slope, start + 1)))


KINDS = {
    "integer": Kind(numbers.draw_integer, numbers.write_integer, numbers.confuse_integer),
    "fraction": Kind(numbers.draw_fraction, numbers.write_fraction, numbers.confuse_fraction),
    "decimal": Kind(numbers.draw_decimal, numbers.write_decimal, numbers.confuse_decimal),
    "scientific": Kind(
        numbers.draw_scientific, numbers.write_scientific, numbers.confuse_scientific
    ),
    "surd": Kind(numbers.draw_surd, numbers.write_surd, numbers.confuse_surd),
    "pi": Kind(numbers.draw_pi, numbers.write_pi, numbers.confuse_pi),
    "interval": Kind(_interval, _write_interval, _confuse_interval),
    "tuple": Kind(_numbers, _write_tuple, _confuse_tuple),
    "set": Kind(lambda rng: frozenset(_numbers(rng)), _write_set, _confuse_set),
    "matrix": Kind(_matrix, _write_matrix, _confuse_matrix),
    "polynomial": Kind(_polynomial, _write_polynomial, _confuse_polynomial),
    "factors": Kind(_factors, _write_factors, _confuse_factors),
    "word": Kind(_word, _write_word, _confuse_word),
    "label": Kind(
        _letters, lambda value, rng: rng.choice((value, f"\\text{{{value}}}")), _confuse_letters
    ),
    "complex": Kind(numbers.draw_complex, numbers.write_complex, numbers.confuse_complex),
    "degrees": Kind(
        numbers.draw_degrees,
        numbers.write_degrees,
        lambda value, rng: value + rng.choice((-1, 1, 10, 90)),
    ),
    "money": Kind(numbers.draw_money, numbers.write_money, numbers.confuse_money),
    "relation": Kind(_relation, _write_relation, _confuse_relation),
    "line": Kind(_line, _write_line, _confuse_line),
    "based": Kind(numbers.draw_based, numbers.write_based, numbers.confuse_based),
}
