"""Words among letters: "no" is one, while "xy" is a product of two variables."""

import re

_RUN = re.compile(r"[A-Za-z]{2,}(?:[ -][A-Za-z]+)*")
_TELLING_VOWEL = re.compile("[eio]")


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
