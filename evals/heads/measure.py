"""How good a head's values are, by themselves and for choosing an answer."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tts.evals.heads.examples import Examples
from tts.evals.metrics import paired_bootstrap
from tts.score_quality import auroc, auroc_within, calibration

SHARES = (0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True, slots=True)
class Progress:
    """What values are worth before the end.

    Attributes:
        share: Of a solution's tokens that are there; the last value until then counts.
        solutions: Those with a value by then.
        auroc: Chance that a solution that will be right has a higher value than another.
        auroc_within: The same of two solutions of one problem; NaN if no problem has both kinds.
    """

    share: float
    solutions: int
    auroc: float
    auroc_within: float


@dataclass(frozen=True, slots=True)
class Choice:
    """Accuracy over problems of what was chosen from all samples of each.

    Attributes:
        accuracy: Mean over problems; ties count their share.
        gain: Over the plain vote.
        low: Of the gain's 95 % interval, by paired bootstrap over problems.
        high: The same.
    """

    accuracy: float
    gain: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Figures:
    """What values at the ends of solutions are worth.

    Attributes:
        problems: Their number.
        samples: Of each problem, on average.
        auroc: Chance that a right solution has a higher value than a wrong one.
        auroc_within: The same of two solutions of one problem; NaN if no problem has both kinds.
        auroc_length: What the length alone gives, shorter being better, within problems.
        brier: Mean squared distance of the values from what came.
        calibration: Mean value, share that is right and number of solutions, in bins of values.
        calibration_error: Mean distance of the first two, over solutions.
        pass_at_1: Share of right solutions, mean over problems.
        pass_at_n: Share of problems with a right solution.
        vote: The plain vote's accuracy.
        weighted_vote: Of the answer with the largest sum of values.
        best_of_n: Of the solution with the highest value.
    """

    problems: int
    samples: float
    auroc: float
    auroc_within: float
    auroc_length: float
    brier: float
    calibration: list[tuple[float, float, int]]
    calibration_error: float
    pass_at_1: float
    pass_at_n: float
    vote: float
    weighted_vote: Choice
    best_of_n: Choice


def measure(examples: Examples, ends: NDArray[np.float64], *, seed: int = 0) -> Figures:
    """Return the figures of values at the ends of solutions.

    Args:
        examples: Solutions.
        ends: Value at the end of each, [S].
        seed: Of the bootstrap.
    """
    right, bins = examples.is_right, calibration(ends, examples.is_right)
    problems = np.unique(examples.problem)
    of_each = [np.flatnonzero(examples.problem == problem) for problem in problems]
    classes = examples.answer_class
    ones = np.ones(len(ends))
    plain = np.array([_voted(classes[of], ones[of], right[of]) for of in of_each])
    weighted = np.array([_voted(classes[of], ends[of], right[of]) for of in of_each])
    best = np.array([right[of][ends[of] == ends[of].max()].mean() for of in of_each])
    return Figures(
        problems=len(problems),
        samples=len(ends) / len(problems),
        auroc=auroc(ends, right),
        auroc_within=auroc_within(ends, right, of_each),
        auroc_length=auroc_within(
            -examples.places[examples.ends].astype(np.float64), right, of_each
        ),
        brier=float(np.mean((ends - right) ** 2)),
        calibration=bins,
        calibration_error=sum(abs(a - b) * count for a, b, count in bins) / len(ends),
        pass_at_1=float(np.mean([right[of].mean() for of in of_each])),
        pass_at_n=float(np.mean([right[of].any() for of in of_each])),
        vote=float(plain.mean()),
        weighted_vote=_choice(weighted, plain, seed),
        best_of_n=_choice(best, plain, seed),
    )


def progress(examples: Examples, values: NDArray[np.float64]) -> list[Progress]:
    """Return what values are worth after each of `SHARES` of a solution's tokens.

    Args:
        examples: Solutions with their places.
        values: At each place, [N].
    """
    reached = (examples.places + 1) / (examples.places[examples.ends] + 1)[examples.solution]
    found = []
    for share in SHARES:
        # Places of one solution rise, so that the last one of those that are kept stands.
        last = dict(
            zip(
                examples.solution[reached <= share].tolist(),
                np.flatnonzero(reached <= share).tolist(),
                strict=True,
            )
        )
        rows, solutions = np.array([*last.values()], int), np.array([*last.keys()], int)
        right, problem = examples.is_right[solutions], examples.problem[solutions]
        groups = [np.flatnonzero(problem == one) for one in np.unique(problem)]
        found.append(
            Progress(
                share,
                len(rows),
                auroc(values[rows], right),
                auroc_within(values[rows], right, groups),
            )
        )
    return found


def _voted(
    classes: NDArray[np.int64], weights: NDArray[np.float64], right: NDArray[np.bool_]
) -> float:
    """Return the chance that a vote's winner is right, by lot among equals."""
    has_answer = classes >= 0
    if not has_answer.any():
        return 0.0
    found, of = np.unique(classes[has_answer], return_inverse=True)
    sums = np.bincount(of, weights[has_answer])
    is_right = np.zeros(len(found))
    is_right[of[right[has_answer]]] = 1.0
    return float(is_right[sums >= sums.max() * (1 - 1e-12)].mean())


def _choice(chosen: NDArray[np.float64], plain: NDArray[np.float64], seed: int) -> Choice:
    gain = paired_bootstrap(plain.tolist(), chosen.tolist(), seed=seed)
    return Choice(float(chosen.mean()), *gain)
