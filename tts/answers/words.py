"""Words among letters: "no" is one, "xy" a product of two variables, "twelve" a number."""

import re
from fractions import Fraction

_RUN = re.compile(r"[A-Za-z]{2,}(?:[ -][A-Za-z]+)*")
_TELLING_VOWEL = re.compile("[eio]")
_UNITS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen"),
    "nineteen",
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SMALL = {word: number for number, word in enumerate(_UNITS)}
_SMALL |= {word: 10 * number for number, word in enumerate(_TENS, start=2)}
_LARGE = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_PARTS = {"half": 2, "halves": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "tenth": 10}
_AMOUNT = re.compile(r"(-?\d+(?:\.\d+)?)[ -](thousand|[mbtr]+illion)")


def written_number(words: str) -> Fraction | None:
    """Return the number that English words name: twenty-one, one half, 5 million; None if none."""
    if (amount := _AMOUNT.fullmatch(words)) and amount[2] in _LARGE:
        return Fraction(amount[1]) * _LARGE[amount[2]]
    *before, last = words.casefold().replace("-", " ").split() or [""]
    divisor = _PARTS.get(last) or _PARTS.get(last.removesuffix("s"))
    if divisor is None:
        return _whole_number([*before, last])
    if not before and last != "half":
        return None  # "third" is a place
    top = Fraction(1) if before in ([], ["a"]) else _whole_number(before)
    return None if top is None else top / divisor


def _whole_number(words: list[str]) -> Fraction | None:
    total = group = 0
    previous = None  # what was said last, so that "one two" is no number
    for word in words:
        small = _SMALL.get(word)
        if small is not None:
            if not (previous is None or (previous in range(20, 100) and 0 < small < 10)):
                return None
            group += small
            previous = small
        elif word == "hundred" and 0 < group < 100:
            group *= 100
            previous = None
        elif word in _LARGE and group:
            total, group, previous = total + group * _LARGE[word], 0, None
        elif word != "and" or not (group or total):
            return None
    return Fraction(total + group) if words else None


def is_words(answer: str) -> bool:
    """Tell whether an answer is a word, a label or several words, and so no product of letters.

    Four letters are a word, capitals a label (ABC is not CBA), and so are two letters with e, i or
    o or three with any vowel: e and i are constants, and variables are seldom called o. What is
    left is a product: xy, ab, mn, pqr.
    """
    if _RUN.fullmatch(answer) is None:
        return False
    if len(answer) > 3 or answer.isupper():
        return True
    lowered = answer.lower()
    has_vowel = any(letter in "aeiou" for letter in lowered) and len(answer) == 3
    return has_vowel or _TELLING_VOWEL.search(lowered) is not None


def same_words(left: str, right: str) -> bool:
    """Tell whether words are the same; case counts only in labels of fewer than four letters."""
    if left.casefold() != right.casefold():
        return False
    if min(len(left), len(right)) > 3 or left == right:
        return True
    return left.lower() in ("no", "yes") or left.istitle() or right.istitle()
