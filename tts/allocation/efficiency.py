"""What further compute brings: ARISE and its sampling rule, PassUntil, solving against verifying.

Sources: ARISE (arXiv:2510.06014), PassUntil (Hu et al. 2023, "Predicting Emergent Abilities with
Infinite Resolution Evaluation", arXiv:2310.03262), "When To Solve, When To Verify"
(arXiv:2504.01005). Accuracies are shares in [0, 1]; tokens may be any one unit of cost.
"""

from collections.abc import Iterable, Sequence
from statistics import fmean, pstdev
from typing import NamedTuple, Protocol, TypeVar

from tts.errors import InputError, optional_import

with optional_import("an interval of PassUntil"):
    from scipy.stats import beta

FEWEST_RUNS, MOST_RUNS = 3, 10  # of a problem at a level, by ARISE's rule
_STEADY = 0.5
_TINY = 1e-8


def arise(accuracy: Sequence[float], tokens: Sequence[float]) -> float:
    """Return one problem's ARISE over rising levels of compute; arXiv:2510.06014.

    Sum over levels of (a_j - a_(j-1)) * (t_(j-1) / t_j) ** sign(a_j - a_(j-1)): a gain counts less
    the more tokens it took, and a loss counts more. A model's score is the mean over problems.

    Raises:
        InputError: Fewer than two levels, or tokens that are not positive.
    """
    if len(accuracy) != len(tokens) or len(accuracy) < 2 or min(tokens) <= 0:
        raise InputError("ARISE needs two levels or more, each with positive tokens")
    total = 0.0
    for before, (a, t) in enumerate(zip(accuracy[1:], tokens[1:], strict=True)):
        change = a - accuracy[before]
        ratio = tokens[before] / t
        total += change * (ratio if change > 0 else 1.0 / ratio)
    return total


def runs_for_arise(accuracy: Sequence[float], tokens: Sequence[float]) -> int:
    """Return after how many runs of one problem at one level ARISE's rule stops; arXiv:2510.06014.

    Three runs, then one more while the coefficients of variation of accuracy and of tokens, their
    standard deviations over their means, add to more than 0.5; up to ten.

    Args:
        accuracy: Of each run, in the order in which they were made.
        tokens: Of each.

    Returns:
        At most the runs that there are: where it is all of them and fewer than ten, the rule may
        have wanted more.
    """
    for number in range(FEWEST_RUNS, min(len(accuracy), MOST_RUNS)):
        if _variation(accuracy[:number]) + _variation(tokens[:number]) <= _STEADY:
            return number
    return min(len(accuracy), MOST_RUNS)


def _variation(values: Sequence[float]) -> float:
    return pstdev(values) / (fmean(values) + _TINY)


class Passed(NamedTuple):
    """What sampling until the r-th success says of one problem.

    Attributes:
        chance: Estimate of the chance per sample, without bias.
        low: Of its exact 95 % interval.
        high: The other bound.
        samples: That were drawn.
    """

    chance: float
    low: float
    high: float
    samples: int


def pass_until(marks: Sequence[bool], successes: int) -> Passed:
    """Sample until `successes` right samples are there, or all are drawn; arXiv:2310.03262.

    Stopped after K samples by the r-th success, (r - 1) / (K - 1); at the end of all n samples with
    s < r successes, s / n. Both are the estimate without bias of their stopping rule (Girshick,
    Mosteller and Savage 1946). The interval inverts the binomial tails at the point of stopping.

    Args:
        marks: Whether each sample is right, in the order drawn.
        successes: r, at least 2: with 1 the estimate is 1 or 0.

    Raises:
        InputError: There is no sample, or `successes` is below 2.
    """
    if successes < 2 or not marks:
        raise InputError("PassUntil needs samples, and at least two successes to stop at")
    right = 0
    for drawn, mark in enumerate(marks, start=1):
        right += mark
        if right == successes:
            low, high = _bounds(right, drawn, is_stopped=True)
            return Passed((right - 1) / (drawn - 1), low, high, drawn)
    low, high = _bounds(right, len(marks), is_stopped=False)
    return Passed(right / len(marks), low, high, len(marks))


def _bounds(right: int, drawn: int, *, is_stopped: bool) -> tuple[float, float]:
    """Return Clopper and Pearson's bounds; the last sample of a stopped run had to be right."""
    missed = drawn - right
    low = 0.0 if not right else float(beta.ppf(0.025, right, missed + 1))
    successes = right if is_stopped else right + 1
    high = 1.0 if not missed else float(beta.ppf(0.975, successes, missed))
    return low, high


class Split(NamedTuple):
    """How a budget may be split: solutions, verdicts on each, what that costs and reaches.

    Attributes:
        solutions: S.
        verdicts: V on each; 0 is a vote without any.
        cost: In solutions.
        accuracy: Of what is chosen.
    """

    solutions: int
    verdicts: int
    cost: float
    accuracy: float


def split_cost(solutions: int, verdicts: int, relative_tokens: float) -> float:
    """Return S * (1 + lambda * V), in solutions; arXiv:2504.01005.

    Args:
        solutions: S.
        verdicts: V.
        relative_tokens: lambda, tokens of a verdict over tokens of a solution. Prompt tokens are
            left out in the source: a verdict reads the whole solution.
    """
    return solutions * (1.0 + relative_tokens * verdicts)


class Priced(Protocol):
    """A way to spend: what it costs, and how right it is."""

    @property
    def cost(self) -> float:
        """Of a problem."""
        ...

    @property
    def accuracy(self) -> float:
        """Mean over problems."""
        ...


_Way = TypeVar("_Way", bound=Priced)


def frontier(ways: Iterable[_Way]) -> list[_Way]:
    """Return the ways that nothing as cheap is as right as, cheapest first, of those ever right."""
    best: list[_Way] = []
    for way in sorted(ways, key=lambda way: (way.cost, -way.accuracy)):
        if way.accuracy > (best[-1].accuracy if best else 0.0):
            best.append(way)
    return best
