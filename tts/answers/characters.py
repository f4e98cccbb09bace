"""Unicode mathematics to LaTeX: x², ½, √, full-width digits and hard spaces as models type them."""

import re
import unicodedata
from itertools import groupby

_LEVELS = {"<super>": "^", "<sub>": "_"}
_VULGAR_FRACTION = re.compile("[¼-¾⅐-⅞↉]")
_DIGIT = re.compile(r"[^\W0-9a-zA-Z_](?<=\d)")
_OVERLINED = re.compile("(?:\\d[\u0305\u0304])+")
_BARRED = re.compile("([A-Za-z])[\u0305\u0304]")
_GREEK = "αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΥΦΨΩ"


def _greek_command(letter: str) -> str:
    name = unicodedata.name(letter).rpartition(" ")[2].replace("LAMDA", "LAMBDA")
    return f"\\{name.title() if letter.isupper() else name.lower()} "


_SYMBOLS = str.maketrans(
    {
        **{letter: _greek_command(letter) for letter in _GREEK},
        "ϵ": r"\epsilon ",
        "ϕ": r"\phi ",
        "µ": r"\mu ",  # the micro sign
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2212\ufe63", "-"),
        **dict.fromkeys("\u2009\u200a\u202f\u00a0\u2002\u2003\u2005\u2006\u2007\u2008", r"\,"),
        **dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff\u00ad\u2061\u2062\u2063", ""),
        **dict.fromkeys("×✕✖⨯", r"\times "),
        **dict.fromkeys("·⋅∙", r"\cdot "),
        **dict.fromkeys("÷∕⁄", "/"),
        **dict.fromkeys("∅⌀Ø", r"\emptyset "),
        **dict.fromkeys("°º˚", r"^\circ"),
        **dict.fromkeys("′’ʹ", "'"),
        **dict.fromkeys("≤⩽≦", r"\le "),
        **dict.fromkeys("≥⩾≧", r"\ge "),
        **dict.fromkeys("\uff1b;\u066c", ","),
        "\u066b": ".",  # the Arabic decimal point
        "\uff5b": r"\{",
        "\uff5d": r"\}",
        "∗": "*",
        "″": "''",
        "∞": r"\infty ",
        "≠": r"\ne ",
        "≈": r"\approx ",
        "∪": r"\cup ",
        "∩": r"\cap ",
        "∈": r"\in ",
        "∖": r"\setminus ",
        "±": r"\pm ",
        "∓": r"\mp ",
        "∠": r"\angle ",
        "△": r"\triangle ",
        "→": r"\to ",
        "∑": r"\sum ",
        "∏": r"\prod ",
        "∫": r"\int ",
        "⌊": r"\lfloor ",
        "⌋": r"\rfloor ",
        "⌈": r"\lceil ",
        "⌉": r"\rceil ",
        "ℝ": r"\mathbb{R}",
        "ℤ": r"\mathbb{Z}",
        "ℚ": r"\mathbb{Q}",
        "ℕ": r"\mathbb{N}",
        "ℂ": r"\mathbb{C}",
    }
)
_ROOT = re.compile(r"([√∛])\s*(\d+|[A-Za-z]|\\(?!frac|sqrt)[a-z]+|\()?")


def to_latex(text: str) -> str:
    r"""Return a text with its Unicode mathematics as LaTeX; applying it twice changes nothing.

    Superscripts become powers, vulgar fractions fractions, hard and thin spaces `\,`, overlined
    digits `\overline{3}`; other compatibility characters, such as full-width digits and bold
    mathematical letters, become the plain ones (Unicode NFKC).
    """
    if text.isascii():
        return text.replace(";", ",")
    text = _OVERLINED.sub(lambda m: f"\\overline{{{re.sub('[^0-9]', '', m[0])}}}", text)
    text = _BARRED.sub(r"\\bar{\1}", text)
    text = _VULGAR_FRACTION.sub(_fraction, text.translate(_SYMBOLS))
    text = "".join(_at_level(mark, "".join(run)) for mark, run in groupby(text, _level))
    text = unicodedata.normalize("NFKC", text).translate(_SYMBOLS)
    text = _DIGIT.sub(lambda m: str(unicodedata.decimal(m[0])), text)
    return _ROOT.sub(_root, text)


def _level(character: str) -> str:
    return _LEVELS.get(unicodedata.decomposition(character).partition(" ")[0], "")


def _at_level(mark: str, run: str) -> str:
    return f"{mark}{{{unicodedata.normalize('NFKC', run)}}}" if mark else run


def _fraction(match: re.Match[str]) -> str:
    top, _, bottom = unicodedata.normalize("NFKC", match[0]).partition("⁄")
    return f"\\frac{{{top}}}{{{bottom}}}"


def _root(match: re.Match[str]) -> str:
    if match[2] == "(":
        return "sqrt(" if match[1] == "√" else "cbrt("
    command = r"\sqrt" if match[1] == "√" else r"\sqrt[3]"
    return f"{command}{{{match[2]}}}" if match[2] else command
