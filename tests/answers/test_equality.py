"""Which answers are equal, kind by kind; every pair is compared both ways."""

from collections.abc import Iterator

import pytest

from tts.answers.groups import AnswerChecker
from tts.types import AnswerType


@pytest.fixture(scope="module")
def checker() -> Iterator[AnswerChecker]:
    with AnswerChecker() as checker:
        yield checker


@pytest.mark.parametrize(
    ("gold", "candidate", "answer_type", "expected"),
    [
        ("1/2", "0.5", "math", True),
        ("\\frac{10}{20}", "0.5", "math", True),
        ("2x+3", "3+2x", "math", True),
        ("4", "4\\sqrt{2}", "math", False),
        ("4", "4*sqrt(2*(1+m^2)*a)", "math", False),  # half-read, this would be 4
        ("-1", "i + i^2 + i^3", "math", True),  # i - 1 - i
        ("\\sin(90^{\\circ}-x)", "\\cos(x)", "math", True),
        ("\\text{east}", "seat", "math", False),  # not a product of letters
        ("\\text{even}", "Even", "math", True),
        ("\\frac{84}{2}", "42", "integer", True),
        ("B", "b)", "choice", True),
        ("in 5 minutes", "5", "free", False),
        ("the same text", "the same text", "free", False),  # judges decide
        ("20:34", "20:34:00", "math", True),
        ("5/1/2021", "05/01/2021", "math", True),
        ("1+2", "2+1", "countdown", False),  # another expression, though equal in value
        ("", "", "math", False),  # nothing is no answer
    ],
)
def test_equality(
    checker: AnswerChecker, gold: str, candidate: str, answer_type: AnswerType, expected: bool
) -> None:
    assert checker.are_equal(gold, candidate, answer_type) is expected


def both_ways(checker: AnswerChecker, left: str, right: str) -> set[bool]:
    return {checker.are_equal(*pair, "math") for pair in ((left, right), (right, left))}


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("\\pi(R^2-r^2)", "0"),
        ("\\frac{m}{M}", "\\frac{M}{m}"),
        ("n", "N"),
        ("\\frac{GMm}{R}", "\\frac{GMM}{r}"),
        ("V", "v"),
        ("2\\pi R", "2\\pi r"),
        ("a+A", "2a"),
        ("x_A", "x_a"),
        ("\\Omega", "\\omega"),
        ("\\Phi", "\\phi"),
        ("\\Sigma", "\\sigma"),
        ("E", "e"),
        ("e^E", "E^e"),
        ("I", "i"),
        ("L", "l"),
        ("\\frac{A}{a}", "1"),
        ("T-t", "0"),
        ("\\{A,a\\}", "\\{a\\}"),
        ("(A,a)", "(a,A)"),
        ("K=k", "k=K^2"),
        ("F(x)", "f(x)"),
        ("X", "x"),
        ("\\mathbf{A}", "a"),
        ("P(A)", "p(a)"),
    ],
)
def test_letters_of_another_case_are_other_variables(
    checker: AnswerChecker, left: str, right: str
) -> None:
    assert both_ways(checker, left, right) == {False}


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("\\frac{52!}{47!\\cdot 5!}", "\\frac{52!}{48!\\cdot 4!}"),
        ("\\frac{1}{2^{98}}", "-\\frac{1}{2^{98}}"),
        ("6.63\\times 10^{-34}", "1.05\\times 10^{-34}"),
        ("1-2^{-60}", "1-2^{-61}"),
        ("\\frac{1}{2^{98}}", "\\frac{1}{2^{99}}"),
        ("10^{-20}", "10^{-21}"),
        ("e^{-100}", "e^{-101}"),
        ("\\frac{1}{100!}", "\\frac{1}{101!}"),
        ("\\frac{x}{10^{30}}", "\\frac{2x}{10^{30}}"),
        ("2^{100}", "2^{100}+1"),
        ("\\sqrt{2}\\cdot10^{-20}", "\\sqrt{3}\\cdot10^{-20}"),
        ("\\frac{\\pi}{10^{20}}", "0"),
        ("1.6\\times10^{-19}", "0"),
        ("(10^{-20},1)", "(2\\cdot10^{-20},1)"),
        ("\\{10^{-20}\\}", "\\{10^{-21}\\}"),
        ("0.000001", "\\frac{1}{900000}"),
        ("\\frac{1}{3^{50}}", "\\frac{1}{3^{51}}"),
        ("1+10^{-16}", "1"),
        ("\\binom{100}{50}", "\\binom{100}{49}"),
        ("100!", "100!+1"),
        ("\\frac{1}{\\binom{52}{5}}", "\\frac{1}{\\binom{52}{6}}"),
        ("\\begin{pmatrix}10^{-20}\\end{pmatrix}", "\\begin{pmatrix}10^{-21}\\end{pmatrix}"),
        ("x=10^{-20}", "x=10^{-21}"),
        ("\\frac{1}{2^{98}}+x", "-\\frac{1}{2^{98}}+x"),
        ("3.00\\times10^8", "2.99\\times10^8"),
        ("[0,10^{-20}]", "[0,10^{-21}]"),
        ("x+10^{-20}", "x"),
        ("\\pi+10^{-60}", "\\pi"),
    ],
)
def test_numbers_differ_however_small_they_are(
    checker: AnswerChecker, left: str, right: str
) -> None:
    assert both_ways(checker, left, right) == {False}


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("ABC", "CBA"),
        ("on", "no"),
        ("ten", "net"),
        ("AB", "BA"),
        ("BAC", "ABC"),
        ("was", "saw"),
        ("it", "ti"),
        ("top", "pot"),
        ("ABCD", "DCBA"),
        ("BC", "CB"),
        ("DEF", "FED"),
        ("two", "tow"),
        ("yes", "sey"),
        ("god", "dog"),
        ("A,B", "A,C"),
        ("Bob", "bob's"),
        ("AC", "CA"),
        ("PQR", "RQP"),
        ("\\text{on}", "\\text{no}"),
        ("\\triangle ABC", "\\triangle BCA"),
        ("ABC", "2"),
        ("no", "0"),
        ("(ABC)", "(CBA)"),
        ("ABC, DEF", "CBA, FED"),
        ("\\{on\\}", "\\{no\\}"),
    ],
)
def test_words_and_labels_are_no_products(checker: AnswerChecker, left: str, right: str) -> None:
    assert both_ways(checker, left, right) == {False}


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("2c", "2d"),
        ("5t", "5"),
        ("2abc", "2"),
        ("y'", "y"),
        ("1010_2", "1010_3"),
        ("\\frac{1}{3}", "0.33"),
        ("\\frac12", "\\frac13"),
        ("10/02/2021", "05/01/2021"),
        ("05/01/2021", "01/05/2021"),
        ("12:30", "10:25"),
        ("\\sqrt{2}", "1.41"),
        ("x>3", "x\\ge3"),
        ("(1,2]", "[1,2)"),
        ("\\emptyset", "0"),
        ("\\{0\\}", "\\emptyset"),
        ("x^2", "2x"),
        ("x²", "x"),
        ("½", "2"),
        ("10\\,000", "10"),
        ("0.\\overline{3}", "0.3"),
        ("0.\\overline{3}", "0.33"),
        ("1,2", "1.2"),
    ],
)
def test_what_only_looks_alike_is_different(checker: AnswerChecker, left: str, right: str) -> None:
    assert both_ways(checker, left, right) == {False}


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("x(1+10^{-20})", "x"),
        ("\\sqrt{x^2+10^{-40}}", "|x|"),
        ("\\sqrt{x}", "x"),
        ("\\frac{x}{y}", "\\frac{y}{x}"),
        ("x^y", "y^x"),
        ("a^2b", "ab^2"),
        ("\\sin x", "\\cos x"),
        ("x-y", "y-x"),
        ("|x-y|", "x-y"),
        ("\\sqrt{x^2y^2}", "xy"),
        ("\\max(x,y)", "x"),
        ("\\ln x", "\\log x"),
        ("2^n", "n^2"),
        ("n!", "\\Gamma(n)"),
        ("\\binom{n}{k}", "\\binom{n}{k+1}"),
        ("\\sqrt{x}\\sqrt{y}", "\\sqrt{x+y}"),
        ("\\lfloor x\\rfloor", "\\lceil x\\rceil"),
        ("x", "|x|"),
    ],
)
def test_other_functions_are_different(checker: AnswerChecker, left: str, right: str) -> None:
    assert both_ways(checker, left, right) == {False}


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("x²", "x^2"),
        ("½", "0.5"),
        ("１２", "12"),
        ("10\\,000", "10000"),
        ("10 000", "10000"),
        ("10\u2009000", "10000"),
        ("10\u00a0000", "10000"),
        ("10\u202f000", "10,000"),
        ("0.\\overline{3}", "\\frac13"),
        ("\\emptyset", "\\varnothing"),
        ("\\emptyset", "∅"),
        ("\\emptyset", "\\{\\}"),
        ("0.\\overline{142857}", "\\frac17"),
        ("0.1\\overline{6}", "\\frac{1}{6}"),
        ("x³+1", "1+x^3"),
        ("¾", "\\frac{3}{4}"),
        ("2⅓", "\\frac73"),
        ("x₁+x₂", "x_2+x_1"),
        ("−5", "-5"),
        ("√2", "\\sqrt{2}"),
        ("2π", "2\\pi"),
        ("π/4", "\\frac{\\pi}{4}"),
        ("x≥3", "x\\ge3"),
        ("3×10⁴", "30000"),
        ("10⁻³", "0.001"),
        ("∞", "\\infty"),
        ("θ", "\\theta"),
        ("α+β", "\\beta+\\alpha"),
        ("90°", "90"),
        ("１／２", "0.5"),
        ("ｘ＋１", "x+1"),
        ("x·y", "xy"),
        ("5 − 3", "2"),
        ("1\u20442", "0.5"),
        ("0.3\u0305", "1/3"),
        ("0.\\dot{3}", "1/3"),
        ("10~000", "10000"),
        ("10\\ 000", "10000"),
        ("1{,}000", "1000"),
        ("\\mathbb{R}", "ℝ"),
        ("x∈ℝ", "x\\in\\mathbb{R}"),
        ("[0,∞)", "[0,\\infty)"),
        ("(−∞,3)∪(3,∞)", "(-\\infty,3)\\cup(3,\\infty)"),
        ("٤٢", "42"),
        ("x**2", "x^2"),
        ("sqrt(2)/2", "\\frac{\\sqrt2}{2}"),
        ("2*pi", "2\\pi"),
        ("sin(x)", "\\sin x"),
    ],
)
def test_writing_does_not_matter(checker: AnswerChecker, left: str, right: str) -> None:
    assert both_ways(checker, left, right) == {True}


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("xy", "yx"),
        ("ab", "ba"),
        ("mn", "nm"),
        ("pqr", "rqp"),
        ("2ab", "2ba"),
        ("No", "no"),
        ("Yes", "yes"),
        ("\\text{even}", "Even"),
        ("\\frac{52!}{47!\\cdot 5!}", "2598960"),
        ("6.63\\times 10^{-34}", "6.63e-34"),
        ("\\frac{1}{2^{10}}", "\\frac{1}{1024}"),
        ("0.333333", "\\frac13"),
        ("\\sqrt{8}", "2\\sqrt2"),
        ("1-2^{-60}", "\\frac{2^{60}-1}{2^{60}}"),
        ("i^2", "-1"),
        ("e^{i\\pi}", "-1"),
        ("\\pi r^2", "r^2\\pi"),
        ("nRT", "RTn"),
        ("3.0\\times10^8", "300000000"),
        ("50\\%", "\\frac12"),
        ("\\infty", "infinity"),
        ("1010_2", "1010"),
        ("2\\text{ hours}", "2"),
        ("(x-1)(x+1)", "x^2-1"),
        ("\\ln e", "1"),
        ("\\frac{m}{M}", "\\frac{2m}{2M}"),
        ("A", "A"),
        ("\\cos^2x", "1-\\sin^2x"),
        ("\\{1,2\\}", "\\{2,1\\}"),
        ("x=5", "5"),
        ("0.5x", "\\frac{x}{2}"),
        ("0.1+0.2", "0.3"),
        ("\\frac{0.5}{2}", "0.25"),
        ("9^{1/2}", "3"),
        ("\\log_{10}1000", "3"),
        ("|{-3}|", "3"),
        ("\\lfloor 3.7\\rfloor", "3"),
        ("3!", "6"),
        ("\\{x\\mid x>3\\}", "\\{x\\mid x>3\\}"),
        ("2x+3y=6", "4x+6y=12"),
        ("y=2x", "2x=y"),
        ("x<5", "5>x"),
        ("\\pi", "3.141593"),
        ("\\sqrt{x}\\sqrt{y}", "\\sqrt{xy}"),
        ("\\sqrt{x^2y^2}", "|xy|"),
        ("\\ln(xy)", "\\ln x+\\ln y"),
        ("\\frac{x^2-1}{x-1}", "x+1"),
        ("\\sqrt[3]{x^3}", "x"),
        ("a^{\\frac{1}{2}}", "\\sqrt a"),
        ("\\frac{1}{\\sqrt2}", "\\frac{\\sqrt2}{2}"),
        ("\\frac{a+b}{c}", "\\frac{a}{c}+\\frac{b}{c}"),
        ("2\\sin x\\cos x", "\\sin 2x"),
        ("\\tan x", "\\frac{\\sin x}{\\cos x}"),
        ("e^{x+y}", "e^xe^y"),
        ("(x+y)^3", "x^3+3x^2y+3xy^2+y^3"),
        ("\\binom{n}{k}", "\\frac{n!}{k!(n-k)!}"),
        ("2^{n+1}", "2\\cdot2^n"),
        ("\\log_2 x", "\\frac{\\ln x}{\\ln 2}"),
        ("\\frac{z+\\bar{z}}{2}", "\\frac{\\bar{z}+z}{2}"),
        ("\\overline{z}", "\\bar{z}"),
        ("|a-b|", "|b-a|"),
        ("\\sqrt{12}", "2\\sqrt{3}"),
        ("\\cos\\frac{\\pi}{5}", "\\frac{1+\\sqrt5}{4}"),
        ("\\arcsin\\frac12", "\\frac\\pi6"),
        ("C+x", "x+C"),
        ("\\sum_{k=1}^{\\infty}\\frac{1}{k^2}", "\\frac{\\pi^2}{6}"),
        ("\\int_0^\\pi \\sin x dx", "2"),
        ("\\lim_{x\\to0}\\frac{\\sin x}{x}", "1"),
        ("\\prod_{k=1}^5 k", "120"),
    ],
)
def test_the_same_mathematics_is_equal(checker: AnswerChecker, left: str, right: str) -> None:
    assert both_ways(checker, left, right) == {True}


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("f(x)=2x+3", "y=2x+3"),
        ("f(x)=2x+3", "2x+3"),
        ("s(t)=5t", "s=5t"),
        ("f(n)=n^2", "f(x)=x^2"),
        ("f(x,y)=x-y", "f(a,b)=a-b"),
        ("a_n=2n+1", "a_k=2k+1"),
        ("W(n)=1 and W(n)=-1", "W(x)=1orW(x)=-1"),
        ("\\\\boxed{W(n) = 1 \\\\text{ and } W(n) = -1", "W(n)=-1,W(n)=1"),
        ("x=1orx=2", "x=1,x=2"),
        ("p=5,q=2;p=7,q=2", "(5,2),(7,2)"),
        ("p=5,q=2;p=7,q=2", "(7,2),(5,2)"),
        ("p=5,q=2;p=7,q=2", "q=2,p=7;q=2,p=5"),
        ("x=\\frac12,y=1,x=3,y=4", "(0.5,1),(3,4)"),
        ("617", "1,234/2"),
        ("1,000*2", "2000"),
        ("1,000.99m²", "1000.99"),
    ],
)
def test_definitions_and_lists_of_solutions_are_equal(
    checker: AnswerChecker, left: str, right: str
) -> None:
    assert both_ways(checker, left, right) == {True}


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("f(x)=2x+3", "y=2x+1"),
        ("f(x)=2x+3", "y=2t+3"),
        ("f(x)=2x+3", "g(x)=2x+3"),
        ("f(x)=ax", "f(a)=ax"),
        ("f(x,y)=x-y", "f(y,x)=x-y"),
        ("a_n=2n+1", "b_n=2n+1"),
        ("W(n)=1,W(n)=-1", "W(x)=1,W(x)=-2"),
        ("p=5,q=2;p=7,q=2", "(5,2),(2,7)"),
        ("p=5,q=2;p=7,q=2", "p=5,q=7;p=2,q=2"),
        ("p=5,q=2;p=7,q=2", "p=5,r=2;p=7,r=2"),
        ("1,234/3", "617"),
        ("(1,234/2)", "617"),
    ],
)
def test_other_definitions_are_different(checker: AnswerChecker, left: str, right: str) -> None:
    assert both_ways(checker, left, right) == {False}


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("12", "twelve"),
        ("5 million", "5\\,000\\,000"),
        ("\\frac34", "three quarters"),
        ("5 m/s", "5"),
        ("60\\text{ km/h}", "60 km/h"),
        ("9.8\\,\\text{m}/\\text{s}^2", "9.8"),
        ("(-\\infty,3)", "x<3"),
        ("[3,\\infty)", "x\\ge3"),
        ("(1,3)", "1<x<3"),
        ("x\\in[8,9]", "8\\le x\\le9"),
        ("\\{x\\mid1<x<3\\}", "(1,3)"),
        ("x\\ne2", "2\\ne x"),
        ("6.02 x 10^23", "6.02\\times10^{23}"),
        ("5:30 P.M.", "5:30 pm"),
        ("\\langle1,2\\rangle", "(1,2)"),
        ("\\operatorname{sin}x", "\\sin x"),
        ("\\text{no solution}", "\\emptyset"),
        ("\\approx 5.2", "5.2"),
        ("`7`", "7"),
    ],
)
def test_words_units_and_conditions_are_equal(
    checker: AnswerChecker, left: str, right: str
) -> None:
    assert both_ways(checker, left, right) == {True}


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("1\\mathbf{i}+2\\mathbf{j}", "3"),
        ("2\\text{a}+3\\text{b}", "5"),
        ("third", "\\frac13"),
        ("one two", "3"),
        ("5:30 am", "5:30 pm"),
        ("5 million", "5 billion"),
        ("2x10^3", "2000x"),
        ("5m/s", "5"),
        ("1<x<2", "1,2"),
        ("1<x<2", "\\{1,2\\}"),
        ("x=1,y=2", "(2,1)"),
        ("\\{x\\mid x>3\\}", "[3,\\infty)"),
        ("\\langle1,2\\rangle", "(2,1)"),
        ("4112_9", "4112_10"),
        ("-\\frac{3522391}{1000000}", "-352.239e-2"),
        ("no solution", "0"),
    ],
)
def test_words_units_and_conditions_that_look_alike(
    checker: AnswerChecker, left: str, right: str
) -> None:
    assert both_ways(checker, left, right) == {False}
