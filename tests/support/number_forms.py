"""Numbers, the many ways in which they are written, and numbers that look alike."""

from fractions import Fraction
from random import Random

_SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
_FULL_WIDTH = {ord(digit): ord(digit) + 0xFEE0 for digit in "0123456789"}
_SPACES = ("\\,", "\u2009", "\u202f", "\u00a0", "{,}", ",\\!", ",")
_VULGAR = {Fraction(1, 2): "½", Fraction(1, 4): "¼", Fraction(3, 4): "¾", Fraction(2, 3): "⅔"}


def draw_integer(rng: Random) -> int:
    return rng.choice((1, 1, -1)) * rng.randrange(1, 10 ** rng.randrange(1, 9))


def _digits(value: int, rng: Random) -> str:
    digits = str(abs(value))
    if abs(value) >= 1_000 and rng.random() < 0.5:
        groups = f"{abs(value):,}".split(",")
        return rng.choice(_SPACES).join(groups)
    return digits.translate(_FULL_WIDTH) if rng.random() < 0.1 else digits


def write_integer(value: int, rng: Random) -> str:
    sign = rng.choice(("-", "\u2212")) if value < 0 else rng.choice(("", "", "", "+"))
    digits = _digits(value, rng)
    zeros = len(str(value)) - len(str(value).rstrip("0"))
    forms = [digits] * 4
    if set(digits) <= set("0123456789"):
        forms += [f"{digits}.0", f"{digits}.00", f"\\frac{{{2 * abs(value)}}}{{2}}", f"{digits}/1"]
        forms += [f"{digits}\\text{{ cm}}", f"{digits} \\text{{ apples}}", f"{digits} miles"]
    if zeros and value:
        lead = abs(value) // 10**zeros
        forms += [f"{lead}\\times 10^{{{zeros}}}", f"{lead} \\cdot 10^{zeros}"]
    text = sign + rng.choice(forms)
    return f"x = {text}" if rng.random() < 0.05 else text


def confuse_integer(value: int, rng: Random) -> int:
    digits = list(str(abs(value)))
    if len(digits) > 1:
        place = rng.randrange(len(digits) - 1)
        digits[place], digits[place + 1] = digits[place + 1], digits[place]
    swapped = int("".join(digits)) * (1 if value > 0 else -1)
    return rng.choice(
        (swapped, -value, value + 1, value - 1, value * 10, value + 10, value * 1_000)
    )


def draw_fraction(rng: Random) -> Fraction:
    bottom = rng.choice((2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 16, 20, 25, 37, 40, 99, 125, 360))
    return Fraction(rng.choice((1, 1, -1)) * rng.randrange(1, 4 * bottom), bottom)


def write_fraction(value: Fraction, rng: Random) -> str:
    sign, p, q = ("-" if value < 0 else ""), abs(value.numerator), value.denominator
    k = rng.choice((1, 1, 2, 3, 10))
    top, bottom = k * p, k * q
    frac = rng.choice(("\\frac", "\\dfrac", "\\tfrac"))
    forms = [
        f"{sign}{frac}{{{top}}}{{{bottom}}}",
        f"{frac}{{{sign}{top}}}{{{bottom}}}",
        f"{sign}{top}/{bottom}",
        f"{sign}{top} / {bottom}",
        f"{sign}{top}\u2044{bottom}",
        f"{sign}{frac} {{{top}}} {{{bottom}}}",
        f"{sign}{top} \\div {bottom}",
        f"{sign}{top}\\cdot{bottom}^{{-1}}",
    ]
    if top < 10 and bottom < 10:
        forms.append(f"{sign}\\frac{top}{bottom}")
    whole, rest = divmod(abs(value), 1)
    if whole and rest:
        forms.append(f"{sign}{whole}\\frac{{{rest.numerator}}}{{{rest.denominator}}}")
        forms.append(f"{sign}{whole} {rest.numerator}/{rest.denominator}")
    if rest in _VULGAR:
        forms.append(f"{sign}{whole or ''}{_VULGAR[rest]}")
    forms.append(sign + _decimal_expansion(abs(value), rng))
    return rng.choice(forms)


def _decimal_expansion(value: Fraction, rng: Random) -> str:
    """Return a decimal, with a bar over what repeats."""
    whole, rest = divmod(value.numerator, value.denominator)
    digits, seen = "", {}
    while rest and rest not in seen:
        seen[rest] = len(digits)
        digit, rest = divmod(10 * rest, value.denominator)
        digits += str(digit)
    if not rest:
        lead = "" if whole == 0 and rng.random() < 0.2 else str(whole)
        return f"{lead}.{digits}{rng.choice(('', '', '0'))}" if digits else str(whole)
    fixed, block = digits[: seen[rest]], digits[seen[rest] :]
    return f"{whole}.{fixed}\\overline{{{block}}}"


def confuse_fraction(value: Fraction, rng: Random) -> Fraction:
    p, q = value.numerator, value.denominator
    return rng.choice(
        (
            1 / value,
            -value,
            Fraction(p + 1, q),
            Fraction(p, q + 1),
            value * 10,
            value + 1,
            Fraction(round(value * 100), 100),
            Fraction(round(value * 10_000), 10_000),
        )
    )


def draw_decimal(rng: Random) -> Fraction:
    places = rng.randrange(1, 7)
    return Fraction(rng.choice((1, -1)) * rng.randrange(1, 10**places * 10), 10**places)


def write_decimal(value: Fraction, rng: Random) -> str:
    sign = "-" if value < 0 else ""
    shift = rng.randrange(1, 5)
    plain = _decimal_expansion(abs(value), rng)
    forms = [sign + plain] * 2
    for change in (-shift, shift):
        mantissa = _decimal_expansion(abs(value) * Fraction(10) ** change, Random(0))
        forms.append(f"{sign}{_scientific(mantissa, -change, rng)}")
    forms.append(f"{sign}\\frac{{{abs(value.numerator)}}}{{{value.denominator}}}")
    percent = _decimal_expansion(abs(value) * 100, Random(0))
    forms.append(f"{sign}{percent}{rng.choice(('%', chr(92) + '%', ' %', ' percent'))}")
    return rng.choice(forms)


def _scientific(mantissa: str, exponent: int, rng: Random) -> str:
    times = rng.choice(("\\times ", "\\cdot ", "\u00d7", "*", " \\times ", "·"))
    power = str(exponent).translate(_SUPERSCRIPTS)
    forms = (
        f"{mantissa}{times}10^{{{exponent}}}",
        f"{mantissa}{times}10{power}",
        f"{mantissa}e{exponent}",
        f"{mantissa}E{exponent:+d}",
    )
    return rng.choice(forms)


def confuse_decimal(value: Fraction, rng: Random) -> Fraction:
    step = Fraction(1, value.denominator)
    return rng.choice((-value, value * 10, value / 10, value + step, value - step, value + 1))


def draw_scientific(rng: Random) -> tuple[int, int]:
    return rng.randrange(100, 1_000), rng.choice((-34, -19, -12, -9, 9, 12, 15, 23, 30))


def write_scientific(value: tuple[int, int], rng: Random) -> str:
    digits, exponent = value
    places = rng.randrange(3)
    mantissa = f"{digits / 10**places:.{places}f}"
    return _scientific(mantissa, exponent + places, rng)


def confuse_scientific(value: tuple[int, int], rng: Random) -> tuple[int, int]:
    digits, exponent = value
    changed = (digits + 1, exponent), (digits, exponent + 1), (digits, -exponent)
    return rng.choice((*changed, (digits - 1, exponent), (digits, exponent - 1)))


def draw_surd(rng: Random) -> tuple[int, int, int]:
    return rng.randrange(1, 12), rng.choice((2, 3, 5, 6, 7, 10, 11, 13)), rng.randrange(1, 8)


def write_surd(value: tuple[int, int, int], rng: Random) -> str:
    a, b, c = value
    factor = "" if a == 1 else str(a)
    top = rng.choice(
        (
            f"{factor}\\sqrt{{{b}}}",
            f"{factor}√{b}",
            f"{factor}*sqrt({b})".removeprefix("*"),
            f"{factor}\\sqrt {{{b}}}",
            f"\\sqrt{{{a * a * b}}}",
            f"{a}\\cdot {b}^{{1/2}}",
            f"{factor}\\,\\sqrt{{{b}}}",
        )
    )
    if c == 1:
        return rng.choice((top, f"\\frac{{{a * b}}}{{\\sqrt{{{b}}}}}"))
    forms = (f"\\frac{{{top}}}{{{c}}}", f"{top}/{c}", f"\\frac{{1}}{{{c}}}\\cdot {top}")
    return rng.choice(forms)


def confuse_surd(value: tuple[int, int, int], rng: Random) -> tuple[int, int, int]:
    a, b, c = value
    other = rng.choice([root for root in (2, 3, 5, 6, 7, 10, 11, 13) if root != b])
    return rng.choice(((a, other, c), (a + 1, b, c), (a, b, c + 1)))


def draw_pi(rng: Random) -> Fraction:
    return Fraction(rng.randrange(1, 25), rng.choice((1, 2, 3, 4, 5, 6, 8, 12)))


def write_pi(value: Fraction, rng: Random) -> str:
    p, q = value.numerator, value.denominator
    pi = rng.choice(("\\pi", "π", "\\pi "))
    factor = "" if p == 1 else str(p)
    if q == 1:
        return rng.choice((f"{factor}{pi}", f"{p} \\cdot {pi}", f"{p}*pi", f"{pi}\\cdot {p}"))
    forms = [f"\\frac{{{factor}{pi}}}{{{q}}}", f"\\frac{{{p}}}{{{q}}}{pi}", f"{factor}{pi}/{q}"]
    forms += [f"{p}*pi/{q}", f"\\frac{{{2 * p}{pi}}}{{{2 * q}}}"]
    if 1000 % q == 0:
        forms.append(f"{float(value)}{pi}")
    return rng.choice(forms)


def confuse_pi(value: Fraction, rng: Random) -> Fraction:
    return rng.choice((1 / value, value * 2, value + 1, value / 2, value + Fraction(1, 12)))


def draw_complex(rng: Random) -> tuple[int, int]:
    return rng.choice((-1, 1)) * rng.randrange(1, 20), rng.choice((-1, 1)) * rng.randrange(1, 20)


def write_complex(value: tuple[int, int], rng: Random) -> str:
    real, imaginary = value
    size = "" if abs(imaginary) == 1 else str(abs(imaginary))
    star = rng.choice(("", "", "\\cdot ", "\\,")) if size else ""
    part = f"{size}{star}i"
    sign = "-" if imaginary < 0 else "+"
    first = f"{'-' if imaginary < 0 else ''}{part}{real:+d}"
    return rng.choice((f"{real}{sign}{part}", f"{real} {sign} {part}", first))


def confuse_complex(value: tuple[int, int], rng: Random) -> tuple[int, int]:
    real, imaginary = value
    forms = ((real, -imaginary), (-real, imaginary), (imaginary, real), (real + 1, imaginary))
    return rng.choice(forms)


def draw_degrees(rng: Random) -> int:
    return rng.randrange(1, 360)


def write_degrees(value: int, rng: Random) -> str:
    return str(value) + rng.choice(("°", "^\\circ", "^{\\circ}", " degrees", "\\text{ degrees}"))


def confuse_degrees(value: int, rng: Random) -> int:
    return value + rng.choice((-1, 1, 10, 90))


def draw_money(rng: Random) -> Fraction:
    return Fraction(rng.randrange(1, 2_000_000), 100)


def write_money(value: Fraction, rng: Random) -> str:
    plain = f"{float(value):.2f}" if value.denominator > 1 else str(value)
    grouped = f"{float(value):,.2f}" if value.denominator > 1 else f"{int(value):,}"
    sign = rng.choice(("\\$", "\\$ ", "€", "£", ""))
    return rng.choice((f"{sign}{plain}", f"{sign}{grouped}", f"{plain} dollars", f"{plain}€"))


def confuse_money(value: Fraction, rng: Random) -> Fraction:
    return rng.choice((value * 100, value * 1_000, value + Fraction(1, 100), value * 10, value + 1))


def draw_based(rng: Random) -> tuple[int, int]:
    base = rng.randrange(2, 10)
    digits = [rng.randrange(1, base), *(rng.randrange(base) for _ in range(rng.randrange(2, 7)))]
    return int("".join(map(str, digits))), base


def write_based(value: tuple[int, int], rng: Random) -> str:
    return rng.choice((f"{value[0]}_{value[1]}", f"{value[0]}_{{{value[1]}}}"))


def confuse_based(value: tuple[int, int], rng: Random) -> tuple[int, int]:
    digits, base = value
    return rng.choice(((digits, base + 1), (digits + 1, base), (digits * 10, base)))
