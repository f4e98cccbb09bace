"""What scores of samples are worth: telling right from wrong, as chances, and for choosing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from tts.evals.metrics import paired_bootstrap
from tts.evals.records import Record
from tts.score_quality import auroc, auroc_within, calibration, groups_of
from tts.types.figures import Interval

SHARES = (0.25, 0.5, 0.75, 1.0)
_RESAMPLES = 10_000
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class ScoredSamples:
    """S samples of some problems; those of one problem share its index.

    Attributes:
        problem: [S].
        answer_class: [S], equal answers of one problem have the same; -1 without an answer.
        is_right: [S].
        tokens: [S], generated; NaN where they were not counted.
    """

    problem: NDArray[np.int64]
    answer_class: NDArray[np.int64]
    is_right: NDArray[np.bool_]
    tokens: Floats

    @classmethod
    def of_records(cls, records: Sequence[Record]) -> Self:
        """Return the independent samples of records, in their order."""
        pairs = [(i, s) for i, record in enumerate(records) for s in record.independent_samples]
        return cls(
            np.array([i for i, _ in pairs], np.int64),
            np.array(
                [-1 if s.answer_class is None else s.answer_class for _, s in pairs], np.int64
            ),
            np.array([s.correct for _, s in pairs], bool),
            np.array([np.nan if s.tokens is None else s.tokens for _, s in pairs], np.float64),
        )

    @property
    def of_each(self) -> list[NDArray[np.int64]]:
        """The samples of each problem."""
        return groups_of(self.problem)

    @property
    def pass_at_1(self) -> float:
        """Share of right samples, mean over problems."""
        return float(self.ones.mean())

    @property
    def pass_at_n(self) -> float:
        """Share of problems with a right sample."""
        return float(np.mean([self.is_right[of].any() for of in self.of_each]))

    @property
    def ones(self) -> Floats:
        """The share of each problem's samples that is right: what one of them is worth."""
        return np.array([self.is_right[of].mean() for of in self.of_each])

    def votes(self, weights: Floats) -> Floats:
        """Return, for each problem, the chance that a vote's winner is right, by lot among equals.

        Args:
            weights: [S], none below 0; NaN does not vote.
        """
        weights = np.nan_to_num(weights)
        return np.array([self._voted(of, weights[of]) for of in self.of_each])

    def bests(self, scores: Floats) -> Floats:
        """Return, for each problem, the chance that its highest score's sample is right, likewise.

        Args:
            scores: [S]; NaN is not chosen.
        """
        scores = np.nan_to_num(scores, nan=-np.inf)
        return np.array(
            [self.is_right[of][scores[of] == scores[of].max()].mean() for of in self.of_each]
        )

    def _voted(self, of: NDArray[np.int64], weights: Floats) -> float:
        classes, right = self.answer_class[of], self.is_right[of]
        has_answer = classes >= 0
        if not has_answer.any():
            return 0.0
        found, place = np.unique(classes[has_answer], return_inverse=True)
        sums = np.bincount(place, weights[has_answer])
        is_right = np.zeros(len(found))
        is_right[place[right[has_answer]]] = 1.0
        return float(is_right[sums >= sums.max() * (1 - 1e-12)].mean())


@dataclass(frozen=True, slots=True)
class Choice:
    """Accuracy over problems of what was chosen from all samples of each.

    Attributes:
        accuracy: Mean over problems; ties count their share.
        gain: Over the plain vote, or over one sample.
        low: Of the gain's 95 % interval, by paired bootstrap over problems.
        high: The same.
    """

    accuracy: float
    gain: float
    low: float
    high: float


def choice(chosen: Floats, plain: Floats, *, seed: int = 0) -> Choice:
    """Compare what was chosen with the plain vote, or with one sample.

    Args:
        chosen: Accuracy on each problem.
        plain: The other's.
        seed: Of the bootstrap.
    """
    gain = paired_bootstrap(plain.tolist(), chosen.tolist(), seed=seed)
    return Choice(float(chosen.mean()), *gain)


@dataclass(frozen=True, slots=True)
class Progress:
    """What values are worth before the end.

    Attributes:
        share: Of a sample's tokens or steps that are there; the last value until then counts.
        samples: Those with a value by then.
        auroc: Chance that a sample that will be right has a higher value than another.
        auroc_within: The same of two samples of one problem; NaN if no problem has both kinds.
    """

    share: float
    samples: int
    auroc: float
    auroc_within: float


def progress_of(
    samples: ScoredSamples,
    values: Floats,
    *,
    sample: NDArray[np.int64],
    reached: Floats,
) -> list[Progress]:
    """Return what values are worth after each of `SHARES`.

    Args:
        samples: S of them.
        values: [N], at places of samples; those of one sample follow each other, in order.
        sample: [N], which sample a place is of.
        reached: [N], the share of the sample that is there.
    """
    found = []
    for share in SHARES:
        # Places of one sample rise, so that the last one of those that are kept stands.
        places = np.flatnonzero(reached <= share)
        last = dict(zip(sample[places].tolist(), places.tolist(), strict=True))
        rows, of = np.array([*last.values()], int), np.array([*last.keys()], int)
        right, groups = samples.is_right[of], groups_of(samples.problem[of])
        found.append(
            Progress(
                share,
                len(rows),
                auroc(values[rows], right),
                auroc_within(values[rows], right, groups),
            )
        )
    return found


def progress_of_steps(
    samples: ScoredSamples, steps: Sequence[Sequence[float] | None]
) -> list[Progress]:
    """Return what the scores of steps are worth after each of `SHARES` of a sample's steps.

    Args:
        samples: S of them.
        steps: [S], the scores of each one's steps; nothing where there are none.
    """
    places = [
        (index, value, (step + 1) / len(scores))
        for index, scores in enumerate(steps)
        if scores
        for step, value in enumerate(scores)
    ]
    return progress_of(
        samples,
        np.array([value for _, value, _ in places]),
        sample=np.array([index for index, _, _ in places], np.int64),
        reached=np.array([share for _, _, share in places]),
    )


@dataclass(frozen=True, slots=True)
class ScoreFigures:
    """What one verifier's scores are worth.

    Attributes:
        scored: Samples with a score.
        auroc: Chance that a right sample scores above a wrong one; NaN if there is one kind alone.
        auroc_within: The same of two samples of one problem; NaN if no problem has both kinds.
        low: Of its 95 % interval, by bootstrap over problems; NaN likewise.
        high: The same.
        brier: Mean squared distance of scores from what came; None of scores outside [0, 1].
        calibration_error: Mean distance of score and share of right ones in ten bins; None of
            such scores.
        weighted_vote: Of the answer with the largest sum of scores; None of scores below 0.
        best: Of the sample with the highest score.
    """

    scored: int
    auroc: float
    auroc_within: float
    low: float
    high: float
    brier: float | None
    calibration_error: float | None
    weighted_vote: Choice | None
    best: Choice


def score_figures(
    samples: ScoredSamples, scores: Floats, *, plain: Floats | None = None, seed: int = 0
) -> ScoreFigures:
    """Measure scores.

    Args:
        samples: S of them.
        scores: [S], higher is better; NaN where there is none, which neither votes nor is chosen,
            and is left out of the rest.
        plain: Accuracy on each problem that choices are compared with; the plain vote's if None.
        seed: Of the bootstraps.

    Raises:
        ValueError: No sample has a score.
    """
    there = ~np.isnan(scores)
    if not there.any():
        raise ValueError("no sample has a score")
    values, right = scores[there], samples.is_right[there]
    groups = groups_of(samples.problem[there])
    interval = _within_interval(values, right, groups, seed)
    if plain is None:
        plain = samples.votes(np.ones(len(scores)))
    is_chance = bool(values.min() >= 0 and values.max() <= 1)
    weighted = choice(samples.votes(scores), plain, seed=seed) if values.min() >= 0 else None
    return ScoreFigures(
        scored=len(values),
        auroc=auroc(values, right),
        auroc_within=auroc_within(values, right, groups),
        low=interval.low,
        high=interval.high,
        brier=float(np.mean((values - right) ** 2)) if is_chance else None,
        calibration_error=calibration_error(values, right) if is_chance else None,
        weighted_vote=weighted,
        best=choice(samples.bests(scores), plain, seed=seed),
    )


def calibration_error(values: Floats, right: NDArray[np.bool_]) -> float:
    """Return the mean distance, over samples, of a bin's mean value and its share of right ones."""
    return sum(abs(a - b) * count for a, b, count in calibration(values, right)) / len(values)


def _within_interval(
    values: Floats, right: NDArray[np.bool_], groups: Sequence[NDArray[np.int64]], seed: int
) -> Interval:
    """Return the interval of the AUROC within problems, which are resampled with replacement."""
    pairs = np.array([right[of].sum() * (~right[of]).sum() for of in groups], np.float64)
    won = np.array([auroc(values[of], right[of]) for of in groups])[pairs > 0] * pairs[pairs > 0]
    if not len(won):
        return Interval(float("nan"), float("nan"))
    drawn = np.random.default_rng(seed).integers(len(won), size=(_RESAMPLES, len(won)))
    of_each = won[drawn].sum(axis=1) / pairs[pairs > 0][drawn].sum(axis=1)
    low, high = np.quantile(of_each, [0.025, 0.975])
    return Interval(float(low), float(high))
