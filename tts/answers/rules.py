"""Equality of canonical forms that needs no algebra: numbers, words, dates, prose."""

import re

from tts.answers.canonical import MAX_ANSWER_CHARS, is_number, is_prose
from tts.answers.numbers import numbers_equal, read_number
from tts.answers.words import is_words, same_words

_FORMULA_SIGN = re.compile(r"[\d$\\=]")
_DATE = re.compile(r"\d{1,4}([/.-])\d{1,2}\1\d{1,4}", re.ASCII)
_CLOCK = re.compile(r"(\d{1,2}):(\d\d)(?::(\d\d))?", re.ASCII)
_BASED = re.compile(r"(-?[0-9A-Za-z]+)_(?:(\d{1,2})|\{(\d+)\})", re.ASCII)
_LIST = re.compile(r"(\\\{|[(\[])?(.*?)(\\\}|[)\]])?")


def equal_by_rule(gold: str, candidate: str) -> bool | None:
    """Compare two different canonical forms; None where only algebra can tell."""
    if is_number(gold) and is_number(candidate):
        return False
    left, right = read_number(gold), read_number(candidate)
    if left is not None and right is not None:
        return numbers_equal(left, right)
    for compare in (_same_words, _same_parts, _same_base):
        known = compare(gold, candidate)
        if known is not None:
            return known
    if (right and is_words(gold)) or (left and is_words(candidate)):
        return False
    if _is_plain_prose(gold) or _is_plain_prose(candidate):
        return False
    return False if max(len(gold), len(candidate)) > MAX_ANSWER_CHARS else None


def _same_words(gold: str, candidate: str) -> bool | None:
    """Compare words, and lists of words; without brackets or in braces they have no order."""
    left, right = _word_list(gold), _word_list(candidate)
    if left is None or right is None:
        return None
    (bracket, words), (other_bracket, other_words) = left, right
    if bracket != other_bracket or len(words) != len(other_words):
        return False
    if bracket not in ("(", "["):
        words, other_words = (sorted(each, key=str.casefold) for each in (words, other_words))
    return all(map(same_words, words, other_words))


def _word_list(text: str) -> tuple[str, list[str]] | None:
    match = _LIST.fullmatch(text)
    if match is None:
        return None
    words = [word.strip() for word in match[2].split(",")]
    is_list = any(map(is_words, words)) and all(is_words(w) or len(w) == 1 for w in words)
    return (match[1] or "", words) if is_list else None


def _same_parts(gold: str, candidate: str) -> bool | None:
    """Compare two dates or two times of day part by part: 10/2/2021 is no quotient."""
    if _DATE.fullmatch(gold) and _DATE.fullmatch(candidate):
        left, right = (list(map(int, re.split("[/.-]", date))) for date in (gold, candidate))
        return left == right
    times = _CLOCK.fullmatch(gold), _CLOCK.fullmatch(candidate)
    if times[0] and times[1]:
        left, right = ([int(part or 0) for part in time.groups()] for time in times if time)
        return left == right
    return None


def _same_base(gold: str, candidate: str) -> bool | None:
    """Compare two numerals of a stated base by their digits: 101_2 is not 101_3."""
    left, right = _BASED.fullmatch(gold), _BASED.fullmatch(candidate)
    return left.groups() == right.groups() if left and right and left[1][-1].isdigit() else None


def _is_plain_prose(text: str) -> bool:
    """Tell whether a text is a sentence without a number or formula in it."""
    return _FORMULA_SIGN.search(text) is None and is_prose(text)
