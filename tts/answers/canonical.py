"""The canonical form of an answer: a cheap, pure normaliser.

Two answers with the same canonical form are the same answer. The converse does not hold: 1/2 and
0.5 have different forms, and only a comparison (`tts.answers.checker`) finds them equal.
"""

import re
from collections.abc import Callable
from fractions import Fraction

from tts.answers.characters import to_latex
from tts.answers.words import is_words, written_number
from tts.types import AnswerType

MAX_ANSWER_CHARS = 1_000
"""Longer texts are no answers; they are only trimmed, and never compared symbolically."""

_MAX_PROSE_WORDS = 5
_DIGITS = re.compile(r"\s*(-?)0*([0-9]{1,40})\s*")
_GRID_DIGIT = re.compile(r"[0-9]")
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d*[1-9])?", re.ASCII)
_SPACES = re.compile(r"(?<!\\)\\[,;: ]|(?<!\\)~|\\q?quad(?![A-Za-z])|\s+")
_SIZES = re.compile(r"\\(?:left|right|[bB]igg?[lrm]?)(?![A-Za-z])\s*")
_DELIMITERS = re.compile(r"(?<!\\)\\[()\[\]]|\*\*|\\displaystyle(?![A-Za-z])")
_DOLLAR = re.compile(r"(?<!\\)\$")
_CURRENCY = re.compile(r"^(-?)\s*\\?[$€£¥]\s*(?=[\d.])|(?<=\d)\s*\\?[$€£¥]$")
_SEPARATOR = (
    r"(?:,\s*\\!\s*|(?:\\mathord)?\{,\}\s*|\{(?:\\,| )\}|'| "
    r"|(?:\\[,;:! ]|\\(?:thin|en)space|\\hspace\*?\{[^{}]*\}|~)\s*)"
)
_GROUPED = re.compile(rf"(?<![\d.,^_])\d{{1,3}}(?:{_SEPARATOR}\d{{3}})+(?!\d|\s*/)")
_POWER = re.compile(r"(?<=[\w)}\]])\*\*(?=[\w({-]|\\(?![)\]]))")
_EMPTY_SET = re.compile(
    r"\\varnothing(?![A-Za-z])|\\O(?![A-Za-z])|\\\{\s*\\\}|^(?:the )?(?:empty|null) set$"
    r"|^(?i:no (?:real )?solutions?)$"
)
_BAR = r"\\(?:overline|bar|dot|overset\{\.\})"
_REPEATING = re.compile(
    rf"(?<![\d.])(\d*)\.(\d*)(?:{_BAR}\s*(?:\{{(\d+)\}}|(\d))"
    rf"(?:(\d*){_BAR}\s*(?:\{{(\d)\}}|(\d)))?|\((\d+)\)$)(?:\.\.\.|\\[lc]?dots)?"
    r"|(?<![\d.])(\d*)\.(\d*?)(\d)\11\11+\s*(?:\.\.\.|\\[lc]?dots)"
)
_GROUPED_FIRST = re.compile(r"[-+]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?(?:[*/]\d+(?:\.\d+)?)+")
_ESCAPED_TWICE = re.compile(
    r"\\\\(?=(?:[dt]?frac|boxed|text|sqrt|left|right|c?dots?|times|pi|infty|cup|pm|mathb[bf]|quad"
    r"|le|ge|leq|geq|in)(?![A-Za-z]))"
)
_ROWS = re.compile(r"\\begin\{|&")
_COMMA_GROUPED = re.compile(r"[-+]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?%?")
_PLAIN = re.compile(r"([-+]?)0*(\d*)\.?(\d*)")
_ASSIGNED = re.compile(r"[A-Za-z](?:_(?:\w|\{\w+\}))?\s*(?:=|\\approx)\s*(-?[\d.,]*\d)")
# TeX takes one token as an argument without braces: \\frac12, \\frac\\pi6, \\frac ab.
_BARE_ARGUMENT = r"(\d|[A-Za-z]|\\(?!frac|sqrt|text|mathbb)[A-Za-z]+)"
_BRACED_ARGUMENT = r"\{(?:[^{}]|\{[^{}]*\})*\}"
_RENAMED = (
    (re.compile(r"\\[dtc]frac(?![A-Za-z])"), r"\\frac"),
    (re.compile(r"\\(?:leq|leqslant)(?![A-Za-z])|<="), r"\\le "),
    (re.compile(r"\\(?:geq|geqslant)(?![A-Za-z])|>="), r"\\ge "),
    (re.compile(r"\\neq(?![A-Za-z])|!="), r"\\ne "),
    (re.compile(r"\\lt(?![A-Za-z])"), "<"),
    (re.compile(r"\\gt(?![A-Za-z])"), ">"),
    (re.compile(r"\^\s*\{\s*\\circ\s*\}|\^\\degree(?![A-Za-z])"), r"^\\circ"),
    (re.compile(r"\\(?:mathbf|boldsymbol|bm)\s*\{(\w)\}"), r" \1 "),
    (re.compile(r"\\(?:text(?:bf|it|rm|normal)|math(?:rm|bf)|mbox)\s*\{"), r"\\text{"),
    (re.compile(r"\\langle(?![A-Za-z])\s*"), "("),
    (re.compile(r"\s*\\rangle(?![A-Za-z])"), ")"),
    (re.compile(r"\\operatorname\*?\s*\{(a?rc)?(sin|cos|tan|cot|log|ln|exp)\}"), r"\\\1\2 "),
    (re.compile(r"^(?:\\approx|\\simeq|approximately|about|roughly)\s*(?=[-\d\\$])"), ""),
    (re.compile(r"(?<=\d:\d\d)\s*[Aa]\.? ?[Mm]\b\.?"), "am"),
    (re.compile(r"(?<=\d:\d\d)\s*[Pp]\.? ?[Mm]\b\.?"), "pm"),
    (re.compile(r"^(-?\d[\d.]*)\s*[xX]\s*(?=10\^)"), r"\1\\times "),
    (re.compile(r"\\text\s*\{[\s,]*(?:and|or)[\s,]*\}"), ","),
    (
        re.compile(rf"\\frac(?![A-Za-z])\s*{_BARE_ARGUMENT}\s*(?={_BARE_ARGUMENT}|\{{)"),
        r"\\frac{\1}",
    ),
    (re.compile(rf"(\\frac{_BRACED_ARGUMENT})\s*{_BARE_ARGUMENT}"), r"\1{\2}"),
    (re.compile(r"\\sqrt\s*(\d|\\pi|[A-Za-z](?![A-Za-z]))"), r"\\sqrt{\1}"),
    (re.compile(r"([_^])\{([\dA-Za-z])\}"), r"\1\2"),
    (re.compile(r"(?<![\d.^_])(\d+) (\d+)/(\d+)(?!\d)"), r"\1\\frac{\2}{\3}"),
    (re.compile(r"(?<=[\d}])\s*\\?(?:%|percent(?:age)?\b|pct\b)"), "%"),
    (re.compile(r"(?<![A-Za-z\\])infinity(?![A-Za-z])", re.IGNORECASE), r"\\infty "),
    (re.compile(r"(?<![A-Za-z\\])(?:and|or)(?![A-Za-z])"), ","),
    (re.compile(r"(?<=[\d)}])(?:and|or)(?=[A-Za-z]\w?\s*[(=<>])"), ","),
    (re.compile(r",(?:\s*,)+"), ","),
)
_WRAPPER = re.compile(r"\\(?:boxed|fbox|text)\s*\{")
_QUOTED = re.compile(r"([`*_\"])([^`*_\"]+)\1")
_ORDINAL = re.compile(r"(?<=\d)\s*(?:\^\{?\s*\\text\{(?:st|nd|rd|th)\}\s*\}?|(?:st|nd|rd|th)\b)")
_POWER_OF_UNIT = r"(?:\s*\^(?:\d|\{-?\d\}))?"
# In "2\\text{a}+3\\text{b}" a letter is a variable.
_TEXT_UNIT = re.compile(
    r"(?<=[\d})])\s*\\text\{(?!\w\}\s*[-+*=_(])[^{}\d]*\}"
    rf"{_POWER_OF_UNIT}(?:\s*/\s*\\text\{{[^{{}}\d]*\}}{_POWER_OF_UNIT})*"
)
_TEXT = re.compile(r"\\text\{([^{}]*)\}")
_WORD_UNIT = re.compile(
    r"(?P<number>-?\d[\d.,]*|.*[\d}]|.*\\pi)(?P<space>\s*)"
    r"(?P<word>(?<![\\A-Za-z])[A-Za-z]+(?: [a-z]+){0,4}|[^\x00-\x7f]{1,6})"
    r"(?:\s*\^(?:\d|\{\d\}))?"
)
_QUOTIENT_UNIT = re.compile(
    r"(-?\d[\d.,]*) (?:[ckm]?m|[km]?g|mi|ft|L|l)/(?:[smhL]|hr?|min|[ckm]?m)(?:\^[23])?"
)
_PROSE_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,}")
_OPENING = re.compile(r"(?<!\\)(?:\$|\\[(\[])")
_LOOSE_SPACE = re.compile(
    r"(?<![A-Za-z\d,]) |(?<=,) (?!\d{3}(?!\d))| (?![A-Za-z\d])|(?<=\d) (?=[A-Za-z](?![A-Za-z]))"
)
_LETTER = re.compile(r"\(?([A-Ja-j])(?:[).:]\s*.*)?", re.DOTALL)
_OPERATORS = ((r"\times", "*"), (r"\cdot", "*"), (r"\div", "/"))
_NO_UNITS = re.compile(
    r"\b(?:and|times|over|minus|plus|[mbtr]+illion|thousand|hundred|dozen|hal(?:f|ves)|thirds?|quarters?"
    r"|percent(?:age)?|pct|sin|cos|tan|cot|sec|csc|log|exp|sqrt|mod|infinity|alpha|beta|gamma|theta"
    r"|phi|not|only|if)\b"
)
_ANGLE_FUNCTION = re.compile(r"(?<![A-Za-z])(?:sin|cos|tan|cot|sec|csc)(?![A-Za-z])")
_SHORT_UNITS = re.compile("[ckm]m|ft|[km]g|ml|in|yd|mi|lb|oz|hr|mph")
_LETTER_UNITS = re.compile("[mglsh]")


def canonical_form(answer: str, answer_type: AnswerType) -> str:
    """Return the canonical form of an answer; applying it twice changes nothing.

    Numbers lose leading zeros, thousands separators, trailing decimal zeros, a currency sign and
    units (15 cm^2 and 15 are one answer, as in the graders of the MATH benchmark); LaTeX loses
    delimiters, sizes, spacing and variants of the same command, and Unicode mathematics becomes
    LaTeX. Case matters, except in the letter of a "choice".

    Args:
        answer: As extracted from a text, or as a benchmark gives it.
        answer_type: "code", "free" and "exact" are only trimmed; of a "grid" the digits are left.
    """
    if answer_type in ("code", "free", "exact"):
        return answer.strip()
    if answer_type == "grid":
        return "".join(_GRID_DIGIT.findall(answer)) or answer.strip()
    text = " ".join(answer.split())
    if len(text) > MAX_ANSWER_CHARS:
        return text
    if answer_type == "countdown":
        return _repeat(_expression_pass, text)
    if digits := _DIGITS.fullmatch(text):
        return "0" if digits[2] == "0" else digits[1] + digits[2]
    text = _repeat(_math_pass, text)
    letter = _LETTER.fullmatch(text) if answer_type == "choice" else None
    return letter[1].upper() if letter else text


def is_number(canonical: str) -> bool:
    """Tell whether a canonical form is a plain number: another number then is another answer."""
    return _NUMBER.fullmatch(canonical) is not None


def _repeat(step: Callable[[str], str], text: str) -> str:
    """Apply a pass until nothing changes, so that the canonical form is its own canonical form.

    Two or three passes are the rule; deep nesting takes one a level.
    """
    seen = [text]
    while len(text) <= MAX_ANSWER_CHARS and len(seen) <= MAX_ANSWER_CHARS:
        text = step(text)
        if text in seen:
            # A cycle of passes: its least member is the same from wherever one enters it.
            return min(seen[seen.index(text) :])
        seen.append(text)
    return text.strip()


def _expression_pass(text: str) -> str:
    text = _unwrap(_DELIMITERS.sub("", _DOLLAR.sub("", to_latex(text)))).strip(" .")
    for command, sign in _OPERATORS:
        text = text.replace(command, sign)
    return text.replace(" ", "")


def _math_pass(text: str) -> str:
    text = to_latex(text)
    if is_prose(text):
        return " ".join(text.split()).rstrip(" .")
    if len(_DOLLAR.findall(text)) % 2 == 0:
        text = _DOLLAR.sub("", text)
    if not _ROWS.search(text):
        text = _ESCAPED_TWICE.sub(r"\\", text)
    if not text.startswith("**"):
        text = _POWER.sub("^", text)
    text = _DELIMITERS.sub("", _SIZES.sub("", text))
    text = _GROUPED.sub(lambda match: re.sub(_SEPARATOR, "", match[0]), text)
    text = _REPEATING.sub(_repeating_to_fraction, text)
    text = _SPACES.sub(" ", text).replace("\\!", "")
    text = _unwrap(text.rstrip(" .,:").lstrip(" ,:"))
    for pattern, replacement in _RENAMED:
        text = pattern.sub(replacement, text)
    text = _EMPTY_SET.sub(r"\\emptyset ", text)
    text = _TEXT.sub(r"\1", _TEXT_UNIT.sub("", _ORDINAL.sub("", text)))
    text = _strip_unit(_CURRENCY.sub(r"\1", " ".join(text.split())))
    if (number := written_number(text)) is not None:
        return _written(number)
    return _plain_number(_LOOSE_SPACE.sub("", text))


def _repeating_to_fraction(match: re.Match[str]) -> str:
    r"""Return 0.1\overline{6} and its like as \frac{1}{6}."""
    whole, fixed = (match[1], match[2]) if match[11] is None else (match[9], match[10])
    block = match[11] or match[8] or "".join(filter(None, match.group(3, 4, 5, 6, 7)))
    shift = 10 ** len(fixed)
    value = Fraction(int(whole or "0")) + Fraction(int(fixed or "0"), shift)
    value += Fraction(int(block), shift * (10 ** len(block) - 1))
    return _written(value)


def _written(value: Fraction) -> str:
    if value.denominator == 1:
        return str(value.numerator)
    return f"\\frac{{{value.numerator}}}{{{value.denominator}}}"


def is_prose(text: str) -> bool:
    """Tell a sentence, perhaps with mathematics in it, from an answer with a unit or a word."""
    if len(_PROSE_WORD.findall(_TEXT.sub("", text))) > _MAX_PROSE_WORDS:
        return True
    formula = _OPENING.search(text)
    before = _PROSE_WORD.findall(text, 0, formula.start()) if formula else []
    return any(word not in ("and", "or") for word in before)


def _unwrap(text: str) -> str:
    r"""Remove a box or \text around everything, and brackets around a choice letter."""
    while (opening := _WRAPPER.match(text)) and _closes_at_end(text, opening.end() - 1):
        text = text[opening.end() : -1].strip()
    if (opening := _WRAPPER.match(text)) and _stays_open(text, opening.end() - 1):
        text = text[opening.end() :]
    if quoted := _QUOTED.fullmatch(text):
        return quoted[2]
    return text[1] if re.fullmatch(r"\([A-J]\)", text) else text


def _closes_at_end(text: str, start: int) -> bool:
    return _closing_brace(text, start) == len(text) - 1


def _stays_open(text: str, start: int) -> bool:
    """Tell whether a brace has no counterpart while all within it have theirs."""
    return _closing_brace(text, start) is None and _closing_brace(text + "}", start) == len(text)


def _closing_brace(text: str, start: int) -> int | None:
    depth = 0
    for index in range(start, len(text)):
        if text[index] in "{}" and text[index - 1] != "\\":
            depth += 1 if text[index] == "{" else -1
            if depth == 0:
                return index
    return None


def _strip_unit(text: str) -> str:
    """Remove a unit after a number: a word, or a short known unit; 2abc and 2m are products."""
    if not _ANGLE_FUNCTION.search(text):
        text = re.sub(r"(?<=\d)\^\\circ ?[CF]?$", "", text)
    if quotient := _QUOTIENT_UNIT.fullmatch(text):
        return quotient[1]
    match = _WORD_UNIT.fullmatch(text)
    return match["number"] if match and _has_unit(*match.group("number", "space", "word")) else text


def _has_unit(number: str, space: str, words: str) -> bool:
    first = words.partition(" ")[0]
    if not first.isascii() or _SHORT_UNITS.fullmatch(first):
        return True
    is_plain = number[-1].isdigit() and not set(number) & set("{\\^_")
    if len(first) < 3:
        is_amount = bool(space) or "," in number  # 1,000m is no product
        return is_amount and is_plain and _LETTER_UNITS.fullmatch(first) is not None
    is_word = len(first) > 2 + 2 * (not space) + (not is_plain)
    return is_word and is_words(first.lower()) and not _NO_UNITS.search(words)


def _plain_number(text: str) -> str:
    if match := _ASSIGNED.fullmatch(text):
        text = match[1]
    if _COMMA_GROUPED.fullmatch(text) or _GROUPED_FIRST.fullmatch(text):
        text = text.replace(",", "")
    match = _PLAIN.fullmatch(text.removesuffix("%"))
    if match is None or not (match[2] or match[3] or "0" in text):
        return text
    sign, whole, decimals = match[1], match[2] or "0", match[3].rstrip("0")
    number = f"{whole}.{decimals}" if decimals else whole
    percent = "%" if text.endswith("%") else ""
    return f"-{number}{percent}" if sign == "-" and number != "0" else number + percent
