"""The canonical form of an answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts.answers.groups import canonical_form
from tts.types import AnswerType

TYPES: tuple[AnswerType, ...] = ("math", "integer", "choice", "code", "countdown", "grid", "free")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("007", "7"),
        ("-0", "0"),
        ("+5", "5"),
        ("36.00", "36"),
        (".50", "0.5"),
        ("1,234,567", "1234567"),
        ("12{,}345", "12345"),
        ("11,\\! 111", "11111"),
        ("32, 349", "32, 349"),  # a list of two, unlike 32,349
        ("(1,234)", "(1,234)"),  # a pair
        ("\\$36", "36"),
        ("$ \\dfrac{1}{2} $", "\\frac{1}{2}"),
        ("\\frac12", "\\frac{1}{2}"),
        ("1 1/2", "1\\frac{1}{2}"),  # one and a half, not 11/2
        ("\\left( 3, \\  \\frac{\\pi}{2} \\right)", "(3,\\frac{\\pi}{2})"),
        ("15\\mbox{ cm}^2", "15"),
        ("1152 cups of flour", "1152"),
        ("2 million", "2000000"),  # a factor, not a unit
        ("3 sin x", "3 sin x"),
        ("90^{\\circ}", "90"),
        ("12^{\\mathrm{th}} \\text{ grade}", "12"),
        ("3rd", "3"),
        ("√242", "\\sqrt{242}"),
        ("2√π", "2\\sqrt{\\pi}"),
        ("x²", "x^2"),
        ("x₁₂", "x_{12}"),
        ("1½", "1\\frac{1}{2}"),
        ("１２．５", "12.5"),
        ("٤٢", "42"),
        ("𝑥 − 𝟏", "x-1"),
        ("10\\,000", "10000"),
        ("10\\hspace{2pt}000", "10000"),
        ("10\\mathord{,}000", "10000"),
        ("x²ʸ", "x^{2y}"),
        ("x̄", "\\bar{x}"),
        ("｛１，２｝", "\\{1,2\\}"),
        ("٣٫٥", "3.5"),
        ("10\u202f000", "10000"),
        ("10\u00a0000,5", "10000,5"),
        ("1 234 567", "1234567"),
        ("10'000", "10000"),
        ("1 234/5", "1\\frac{234}{5}"),  # a mixed number
        ("0.\\overline{3}", "\\frac{1}{3}"),
        ("0.1\\overline{6}", "\\frac{1}{6}"),  # 1/10 + 6/90
        ("0.\\dot{1}4285\\dot{7}", "\\frac{1}{7}"),
        ("0.(3)", "\\frac{1}{3}"),
        ("1.2333...", "\\frac{37}{30}"),  # 12/10 + 3/90
        ("0.\\overline{9}", "1"),
        ("3.14159...", "3.14159"),  # nothing repeats
        ("\\varnothing", "\\emptyset"),
        ("\\left\\{ \\right\\}", "\\emptyset"),
        ("\\{0\\}", "\\{0\\}"),
        ("\\frac\\pi6", "\\frac{\\pi}{6}"),
        ("\\frac ab", "\\frac{a}{b}"),
        ("x**2", "x^2"),
        ("**42**", "42"),
        ("2abc", "2abc"),  # a product, unlike 2 cups
        ("15 m", "15"),
        ("15m", "15m"),  # a product
        ("9\\sqrt{3} cm", "9\\sqrt{3}"),
        ("\\tan 30^\\circ", "\\tan 30^\\circ"),
        ("20 °C", "20"),
        ("28 pct.", "28%"),
        ("x = 5", "5"),
        ("y = 2x + 3", "y=2x+3"),
        ("\\text{(E)}", "E"),
        ("19, 46, and 82", "19,46,82"),
        ("2 \\sin b \\cos a", "2\\sin b\\cos a"),
        ("\N{MINUS SIGN}128", "-128"),
        ("\\boxed{" * 100 + "5" + "}" * 100, "5"),
        ("\\text{x" * 100 + "}" * 100, "x" * 100),
    ],
)
def test_canonical_math(answer: str, expected: str) -> None:
    assert canonical_form(answer, "math") == expected


@pytest.mark.parametrize(
    ("answer", "answer_type", "expected"),
    [
        ("(b)", "choice", "B"),
        ("C. 42", "choice", "C"),
        ("  An essay, with  case. ", "free", "An essay, with  case."),
        ("(1 + 2) \\times 3", "countdown", "(1+2)*3"),
        ("12 34\n| 0 1 |", "grid", "123401"),
        (" no grid ", "grid", "no grid"),
        ("  x = 1\n", "code", "x = 1"),
    ],
)
def test_canonical_other_types(answer: str, answer_type: AnswerType, expected: str) -> None:
    assert canonical_form(answer, answer_type) == expected


TOKENS = (
    "\\frac|\\dfrac|\\sqrt|\\text{|\\boxed{|{|}|(|)|[|]|,|.|;|$|%|=|-|+|0|1|23|007|a|x|and|or"
    "|cm|\\circ|²|½|√|π|\u2009|3|\\overline{|...|^|_|\\left|\\right|\\!"
    "|\\,|\\quad|**|E|(A)|million|\\ | |/"
)
PIECES = st.lists(st.sampled_from(TOKENS.split("|")), max_size=12).map("".join)


@given(answer=st.one_of(PIECES, st.text(max_size=40)), answer_type=st.sampled_from(TYPES))
def test_canonical_form_is_its_own_canonical_form(answer: str, answer_type: AnswerType) -> None:
    canonical = canonical_form(answer, answer_type)
    assert canonical_form(canonical, answer_type) == canonical


@given(number=st.integers(), zeros=st.integers(0, 5))
def test_integers_written_differently_are_one_class(number: int, zeros: int) -> None:
    sign = "-" if number < 0 else ""
    padded = f"{sign}{'0' * zeros}{abs(number)}"
    assert canonical_form(padded, "integer") == canonical_form(f"{number:,}", "integer")
