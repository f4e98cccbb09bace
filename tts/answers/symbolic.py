"""Are two answers equal as mathematics? math-verify's comparison, with its arithmetic replaced.

math-verify 0.9 takes the difference of two expressions with absolute precision
(`evalf(chop=True, n=15)`, `round(6)`), so that 1/2^98 and -1/2^98 are one number, and 5! over 47!
times a large one is zero; it lets E be e, and joins letters in any case to words. Its walk over
sets, tuples, intervals, matrices and relations is kept; what two scalars are is decided here:

* without variables by exact arithmetic, or to 50 significant digits where there are roots and the
  like; a decimal equals what rounds to it (`tts.answers.numbers`);
* with variables by their values at fixed points, to the same precision, where both are real; what
  cannot be evaluated, such as a sum to n, is left to sympy's `simplify`.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from typing import Any

import math_verify.grader
import mpmath
import sympy
from math_verify import verify
from sympy.core.function import AppliedUndef

from tts.answers.definitions import as_tuples, with_plain_names
from tts.answers.numbers import Number, decimal_number, numbers_equal, rounds_to
from tts.answers.reading import read, with_imaginary_unit

_DIGITS = 60
_AGREEING = mpmath.mpf(10) ** -50
_LEAST_BITS = 30
_FEW_DIGITS = 15
_MOST_DIGITS = 400  # worked with where digits cancel
# Size of the variables, and how they are signed: all alike, or by a bit of the variable's name, so
# that |x|, x and |xy| are told apart.
_POSITIVE, _NEGATIVE = -1, -2
_POINTS = (
    ("1.1", _POSITIVE),
    ("0.3", _NEGATIVE),
    ("1.3", 0),
    ("0.2", 1),
    ("2.1", 2),
    ("0.4", _POSITIVE),
    ("1.7", _NEGATIVE),
    ("6.1", _POSITIVE),
)
_ENOUGH_POINTS = 5
_HUNDREDTH = sympy.UnevaluatedExpr(sympy.Rational(1, 100))


def equal(gold: str, candidate: str) -> bool:
    """Tell whether two canonical forms are equal; what cannot be read equals nothing.

    Of "x = 5" and "5", and of an interval and the relation that describes it, either may be gold.
    """
    try:
        return any(
            left and right and verify(left, right, timeout_seconds=None)
            for left, right in _readings(gold, candidate)
        )
    except (Exception, MemoryError):
        return False


def _readings(gold: str, candidate: str) -> Iterator[tuple[list[Any], list[Any]]]:
    """Yield what the two answers may mean, the plainest meaning first."""
    if rewritten := as_tuples(gold, candidate):
        yield read(rewritten[0]), read(rewritten[1])
        return
    left, right = read(gold), read(candidate)
    is_condition, is_other = (any(map(_is_condition, each)) for each in (left, right))
    if is_condition != is_other:
        # math-verify wants the condition first. 1 < x < 2 is an interval, but no two numbers.
        if not any(isinstance(each, sympy.FiniteSet) for each in (*left, *right)):
            yield (left, right) if is_condition else (right, left)
        return
    yield left, right
    if "i" in gold or "i" in candidate:
        yield with_imaginary_unit(left), with_imaginary_unit(right)
    if "=" in gold and "=" in candidate:
        yield with_plain_names(left, right)


def _is_condition(reading: Any) -> bool:
    """Tell an inequality, which describes a set."""
    if isinstance(reading, sympy.And | sympy.Or):
        return all(map(_is_condition, reading.args))
    return isinstance(reading, sympy.core.relational.Relational) and not isinstance(
        reading, sympy.Eq
    )


def prepare(text: str) -> None:
    """Read an answer and evaluate it once, so that what takes for ever here is its own fault."""
    try:
        for reading in read(text):
            for scalar in _scalars(reading):
                _value(_exact(scalar), 0)
    except (Exception, MemoryError):
        return


def _scalars(reading: Any) -> Iterator[Any]:
    """Yield what a comparison evaluates: of an equation only the right side is sure to be."""
    if isinstance(reading, sympy.Expr):
        yield reading
    elif isinstance(reading, sympy.Eq):
        yield from _scalars(reading.rhs)
    elif isinstance(reading, sympy.MatrixBase):
        yield from reading.flat()
    elif isinstance(reading, sympy.Basic):
        for part in reading.args:
            yield from _scalars(part)


def _scalars_equal(gold: Any, candidate: Any, *_: object) -> bool:
    """Take the place of `sympy_numeric_eq`; of matrices of one shape all elements decide."""
    if hasattr(gold, "shape") or hasattr(candidate, "shape"):
        return _matrices_equal(gold, candidate)
    if not (isinstance(gold, sympy.Expr) and isinstance(candidate, sympy.Expr)):
        return bool(gold == candidate)
    left, right = _literal(gold), _literal(candidate)
    if left is not None and right is not None:
        return numbers_equal(left, right)
    gold, candidate = _exact(gold), _exact(candidate)
    if gold.free_symbols or candidate.free_symbols:
        return _same_function(gold, candidate)
    if _constants_equal(gold, candidate):
        return True
    if left is not None:
        return _rounds(candidate, left)
    return right is not None and _rounds(gold, right)


def _matrices_equal(gold: Any, candidate: Any) -> bool:
    gold, candidate = gold.doit(), candidate.doit()
    if getattr(gold, "shape", None) != getattr(candidate, "shape", None):
        return False
    return all(map(_scalars_equal, gold.flat(), candidate.flat()))


def _literal(expression: Any) -> Number | None:
    """Return the number that an expression writes down: whole, a fraction or a decimal."""
    if expression.is_Rational:
        return Number(Fraction(int(expression.p), int(expression.q)))
    if expression.is_Float:
        return _decimal(expression)
    if expression.is_Mul and _HUNDREDTH in expression.args and len(expression.args) == 2:
        (amount,) = (part for part in expression.args if part != _HUNDREDTH)
        number = _literal(amount)
        if number is not None:
            decimals = None if number.decimals is None else number.decimals + 2
            return Number(number.value / 100, decimals, number.digits, is_percent=True)
    return None


def _decimal(number: Any) -> Number:
    """Return a Float as its shortest decimal digits, which are those that were read."""
    mantissa, _, exponent = sympy.sstr(abs(number), full_prec=False).partition("e")
    found = decimal_number(mantissa, int(exponent or 0))
    return replace(found, value=-found.value) if number < 0 else found


@lru_cache(maxsize=4096)
def _exact(expression: Any) -> Any:
    """Return an expression evaluated, its decimals as fractions and its functions as variables."""
    exact = {}
    for number in expression.atoms(sympy.Float):
        value = _decimal(number).value
        exact[number] = sympy.Rational(value.numerator, value.denominator)
    for function in expression.atoms(AppliedUndef):
        exact[function] = sympy.Symbol(str(function), real=True)
    return (expression.xreplace(exact) if exact else expression).doit()


def _constants_equal(gold: Any, candidate: Any) -> bool:
    """Compare numbers: exactly where both are fractions, else to 50 significant digits."""
    if gold.is_Rational and candidate.is_Rational:
        return bool(gold == candidate)
    left, right = _value(gold, 0), _value(candidate, 0)
    if left is None or right is None:
        return _differ_by_zero(gold, candidate)
    difference = gold - candidate  # pi + 10^-60 agrees with pi to 50 digits
    return _agree(left, right) and not (difference.is_Rational and difference != 0)


def _rounds(exact: Any, decimal: Number) -> bool:
    """Tell whether an irrational number rounds to a decimal."""
    value = _value(exact, 0)
    if value is None or value.imag:
        return False
    return rounds_to(Fraction(mpmath.nstr(value.real, _DIGITS)), decimal)


def _same_function(gold: Any, candidate: Any) -> bool:
    """Compare at points of the variables, at those where both are real if there are any."""
    difference = gold - candidate
    if difference.is_Rational:
        return bool(difference == 0)
    num_real, complex_agree = 0, []
    for point in range(len(_POINTS)):
        left, right = _value(gold, point), _value(candidate, point)
        if left is None or right is None:
            continue
        if left.imag or right.imag:
            complex_agree.append(_agree(left, right))
        elif not _agree(left, right):
            return False
        else:
            num_real += 1
            if num_real == _ENOUGH_POINTS:
                return True
    if num_real or complex_agree:
        return num_real > 0 or all(complex_agree)
    return _differ_by_zero(gold, candidate)


@lru_cache(maxsize=16_384)
def _value(expression: Any, point: int) -> Any:
    """Return an expression's complex value at a point; None where it has none or is not known."""
    at = {symbol: _coordinate(symbol.name, point) for symbol in expression.free_symbols}
    try:
        roots = filter(_is_root, expression.atoms(sympy.Pow))
        if any(_is_negative(root.base, at) for root in roots):
            return None
        found = expression.evalf(_DIGITS, subs=at, maxn=_MOST_DIGITS)
        real, imaginary = (_significant(part) for part in found.as_real_imag())
    except Exception:  # sympy's many parts raise many things; any of them means: no value
        return None
    with mpmath.workdps(_DIGITS):  # a new complex number is rounded to the precision at work
        return None if real is None or imaginary is None else mpmath.mpc(real, imaginary)


def _is_root(power: Any) -> bool:
    """Tell a root of something variable, which is real only where that is not negative."""
    return bool(power.base.free_symbols) and power.exp.is_integer is not True


def _is_negative(expression: Any, at: Mapping[Any, Any]) -> bool:
    return expression.evalf(_FEW_DIGITS, subs=at).is_negative is True


def _significant(part: Any) -> Any:
    """Return a part of a value as a number; a zero that is known only as tiny has no digits."""
    if part.is_Rational:
        part = sympy.Float(part, _DIGITS)
    if not part.is_Float or not part.is_finite:
        return None
    return mpmath.mpf(0) if part._prec < _LEAST_BITS else mpmath.make_mpf(part._mpf_)


@lru_cache(maxsize=4096)
def _coordinate(name: str, point: int) -> Any:
    low, signs = _POINTS[point]
    digest = hashlib.blake2b(f"{name} {point}".encode(), digest_size=4).digest()
    size = sympy.Rational(low) * (1 + sympy.Rational(int.from_bytes(digest), 2**31))
    flips = sum(map(ord, name)) >> signs & 1 if signs >= 0 else signs == _NEGATIVE
    return -size if flips else size


def _agree(left: Any, right: Any) -> bool:
    return bool(abs(left - right) <= _AGREEING * max(abs(left), abs(right)))


def _differ_by_zero(gold: Any, candidate: Any) -> bool:
    return bool(sympy.simplify(gold - candidate).is_zero)


def _relations_equal(gold: Any, candidate: Any, *precision: int) -> bool:
    """Take the place of `sympy_solve_and_compare`: solve only where no cheaper rule decides.

    Relations are the same if their differences are proportional; linear ones only then.
    """
    left, right = _exact(gold.lhs - gold.rhs), _exact(candidate.lhs - candidate.rhs)
    ratio = _constant_ratio(left, right)
    if ratio is not None:
        if isinstance(gold, sympy.Eq) and isinstance(candidate, sympy.Eq):
            return True
        flipped = math_verify.grader.INVERSE_RELATIONS.get(type(gold))
        return type(candidate) is (type(gold) if ratio > 0 else flipped)
    if _is_linear(left) and _is_linear(right):
        return False
    return bool(_solve_and_compare(gold, candidate, *precision))


def _constant_ratio(left: Any, right: Any) -> Any:
    """Return the ratio of two expressions if it is real and the same at all points."""
    ratios = []
    for point in range(_ENOUGH_POINTS):
        above, below = _value(left, point), _value(right, point)
        if not above or not below or above.imag or below.imag:
            return None
        with mpmath.workdps(_DIGITS):
            ratios.append(above.real / below.real)
    return ratios[0] if all(_agree(ratio, ratios[0]) for ratio in ratios) else None


def _is_linear(expression: Any) -> bool:
    symbols = sorted(expression.free_symbols, key=str)
    if not symbols or not expression.is_polynomial(*symbols):
        return False
    return bool(sympy.Poly(expression, *symbols).total_degree() == 1)


def _replace(name: str, function: Callable[..., bool]) -> Callable[..., bool]:
    """Put a function in the place of one of math-verify's, and return that."""
    replaced: Callable[..., bool] = getattr(math_verify.grader, name)
    setattr(math_verify.grader, name, function)
    return replaced


_replace("sympy_numeric_eq", _scalars_equal)
_replace("sympy_symbolic_eq", lambda *_: False)
_replace("sympy_compare_symbols", _scalars_equal)
_solve_and_compare = _replace("sympy_solve_and_compare", _relations_equal)
math_verify.grader.INVERSE_RELATIONS[sympy.Ne] = sympy.Ne  # it looks this up and lacks it
