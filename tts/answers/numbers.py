"""Plain numbers, compared exactly and without algebra: 3, -0.25, 1/3, 2 1/2, 50%, 6.6 x 10^-34.

The rules of equality of numbers live here, for answers that are plain numbers and for those that
`tts.answers.symbolic` evaluates.
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

_MAX_EXPONENT = 400
_FEWEST_DIGITS = 6
_WRITTEN_OUT = 9  # decimals
_CLOSE = Fraction(5, 10**6)
_DECIMAL = r"(?:\d+(?:\.\d*)?|\.\d+)"
_FRACTION = r"\\frac\{(\d+)\}\{(\d+)\}"
_NUMBER = re.compile(
    rf"([-+]?)(?:(\d+)?{_FRACTION}|(\d+)/(\d+)"
    rf"|({_DECIMAL})?(?:(?:^|(?<=\d)\s*(?:\\times|\\cdot|\*)\s*|(?<=[-+]))10\^(?:\{{(-?\d+)\}}|(\d))"
    rf"|(?<=\d)[eE]([-+]?\d+))?)(\\?%)?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Number:
    """An exact value and how it was written.

    Attributes:
        value: The number; a percentage's is its hundredth.
        decimals: Digits after the point of a decimal, counted to the place where it ends: 3 for
            0.125 and -2 for 1.5e3; None where the number is written without a point.
        digits: Digits written after leading zeros of the whole part; 0 without a point.
        is_percent: Written with a percent sign.
    """

    value: Fraction
    decimals: int | None = None
    digits: int = 0
    is_percent: bool = False


def read_number(canonical: str) -> Number | None:
    """Return the number that a canonical form is; None for anything else."""
    match = _NUMBER.fullmatch(canonical) if any(c.isdigit() for c in canonical) else None
    if match is None:
        return None
    sign, mixed, top, bottom, left, right, written, braced, single, power, percent = match.groups()
    exponent = int(braced or single or power or 0)
    divisor = int(bottom or right or 1)
    if divisor == 0 or abs(exponent) > _MAX_EXPONENT:
        return None
    if top or left:
        value = Fraction(int(top or left), divisor) + int(mixed or 0)
        number = Number(value)
    else:
        number = decimal_number(written or "1", exponent)
    value = -number.value if sign == "-" else number.value
    return Number(
        value / 100 if percent else value,
        None if number.decimals is None else number.decimals + 2 * bool(percent),
        number.digits,
        bool(percent),
    )


def decimal_number(written: str, exponent: int = 0) -> Number:
    """Return a number from its decimal digits, without a sign, times a power of ten."""
    value = Fraction(Decimal(written)) * Fraction(10) ** exponent
    whole, point, places = written.partition(".")
    if not point:
        return Number(value)
    return Number(value, len(places) - exponent, len(whole.lstrip("0")) + len(places))


def numbers_equal(left: Number, right: Number) -> bool:
    """Tell whether two numbers are one answer: exactly equal, or one the rounded form of the other.

    A decimal equals an exact number (a fraction, a root) that rounds to it if it gives six digits
    or more: 0.333333 is 1/3, and 0.33 is not. What ends within nine decimals is not rounded. Two
    decimals are equal only exactly, as are whole numbers. A whole percentage also equals its number
    of hundredths: 9% is 0.09 and 9.
    """
    if left.value == right.value:
        return True
    if left.is_percent != right.is_percent:
        percent, other = (left, right) if left.is_percent else (right, left)
        hundredths = percent.value * 100
        if percent.decimals is None and hundredths.denominator == 1 and hundredths == other.value:
            return True
    if (left.decimals is None) == (right.decimals is None):
        return False
    decimal, exact = (left, right) if right.decimals is None else (right, left)
    return rounds_to(exact.value, decimal)


def rounds_to(exact: Fraction, decimal: Number) -> bool:
    """Tell whether a number rounds to a decimal that gives enough digits to be known by them."""
    if decimal.decimals is None or decimal.digits < _FEWEST_DIGITS:
        return False
    if 10**_WRITTEN_OUT % exact.denominator == 0:
        return False  # it could have been written out
    distance = abs(exact - decimal.value)
    half_unit = Fraction(1, 2) * Fraction(10) ** -decimal.decimals
    return distance <= half_unit and distance <= _CLOSE * abs(exact)
