"""Plain numbers, read and compared without algebra."""

from fractions import Fraction

import pytest

from tts.answers.numbers import numbers_equal, read_number
from tts.answers.words import written_number


@pytest.mark.parametrize(
    ("canonical", "value"),
    [
        ("3", Fraction(3)),
        ("-0.25", Fraction(-1, 4)),
        ("1/3", Fraction(1, 3)),
        ("-\\frac{1}{3}", Fraction(-1, 3)),
        ("2\\frac{1}{2}", Fraction(5, 2)),
        ("50%", Fraction(1, 2)),
        ("6.6\\times10^{-3}", Fraction(66, 10_000)),
        ("10^{-3}", Fraction(1, 1000)),
        ("1.5E3", Fraction(1500)),
        ("x", None),
        ("1/0", None),
        ("10^{999999999}", None),  # would fill the memory
        ("10^30", None),  # 10 to the 30, or 10 cubed and a zero? the parser knows
        ("", None),
    ],
)
def test_reading(canonical: str, value: Fraction | None) -> None:
    number = read_number(canonical)
    assert (number and number.value) == value


@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [
        ("0.5", "1/2", True),
        ("0.333333", "1/3", True),  # six digits
        ("0.33333", "1/3", False),
        ("0.083333", "1/12", True),
        ("0.333334", "1/3", False),  # not what 1/3 rounds to
        ("0.000012", "1/83000", False),  # 0.00001205: two digits are known
        ("123456.5", "246912/2", False),  # 123456, although only 4 millionths away
        ("33.333333%", "1/3", True),
        ("0.3333333", "0.333333", False),  # two decimals
        ("9%", "9", True),
        ("9%", "0.09", True),
        ("12.5%", "12.5", False),
    ],
)
def test_comparing(left: str, right: str, equal: bool) -> None:
    first, second = read_number(left), read_number(right)
    assert first is not None
    assert second is not None
    assert numbers_equal(first, second) is equal
    assert numbers_equal(second, first) is equal


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("zero", Fraction(0)),
        ("Twelve", Fraction(12)),
        ("twenty-one", Fraction(21)),
        ("three hundred and five", Fraction(305)),
        ("two hundred thousand", Fraction(200_000)),
        ("one million two hundred thousand thirty", Fraction(1_200_030)),
        ("5 million", Fraction(5_000_000)),
        ("2.5 billion", Fraction(2_500_000_000)),
        ("half", Fraction(1, 2)),
        ("one half", Fraction(1, 2)),
        ("three quarters", Fraction(3, 4)),
        ("a third", Fraction(1, 3)),
        ("third", None),  # a place
        ("one two", None),
        ("twenty twelve", None),
        ("twenty zero", None),
        ("hundred", None),
        ("and", None),
        ("ten apples", None),
        ("", None),
    ],
)
def test_numbers_in_words(words: str, expected: Fraction | None) -> None:
    assert written_number(words) == expected
