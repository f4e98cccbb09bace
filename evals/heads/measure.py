"""How good a head's values are, by themselves and for choosing an answer."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tts.evals.heads.examples import Examples
from tts.evals.score_figures import Choice, Progress, calibration_error, choice, progress_of
from tts.score_quality import auroc, auroc_within, calibration


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
    samples, right = examples.samples, examples.is_right
    plain = samples.votes(np.ones(len(ends)))
    lengths = -samples.tokens
    return Figures(
        problems=len(plain),
        samples=len(ends) / len(plain),
        auroc=auroc(ends, right),
        auroc_within=auroc_within(ends, right, samples.of_each),
        auroc_length=auroc_within(lengths, right, samples.of_each),
        brier=float(np.mean((ends - right) ** 2)),
        calibration=calibration(ends, right),
        calibration_error=calibration_error(ends, right),
        pass_at_1=samples.pass_at_1,
        pass_at_n=samples.pass_at_n,
        vote=float(plain.mean()),
        weighted_vote=choice(samples.votes(ends), plain, seed=seed),
        best_of_n=choice(samples.bests(ends), plain, seed=seed),
    )


def progress(examples: Examples, values: NDArray[np.float64]) -> list[Progress]:
    """Return what values are worth after shares of a solution's tokens.

    Args:
        examples: Solutions with their places.
        values: At each place, [N].
    """
    reached = (examples.places + 1) / (examples.places[examples.ends] + 1)[examples.solution]
    return progress_of(examples.samples, values, sample=examples.solution, reached=reached)
