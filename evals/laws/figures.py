"""All laws of one series of samples, as the command `tts laws` prints and draws them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from tts.allocation.coverage import extrapolated_pass_at_k, fit_coverage
from tts.allocation.efficiency import (
    MOST_RUNS,
    Passed,
    Split,
    arise,
    frontier,
    pass_until,
    runs_for_arise,
)
from tts.allocation.laws import fit_saturation, saturating_accuracy, saturation_point
from tts.errors import InputError
from tts.evals.independent_samples import maj_at, pass_at, powers_of_two
from tts.evals.laws.coverage import LEAST_GAIN, Laws, laws_of
from tts.evals.laws.series import Series
from tts.evals.laws.verification import ACCEPT_AT, Ceiling, Splits, ceilings, splits_of
from tts.evals.metrics import worst_of_k
from tts.evals.records import Record, Sample
from tts.evals.stored_run import StoredRun

SUCCESSES = 3  # at which PassUntil stops
_FEWEST = 3  # groups of samples that a level of ARISE needs


@dataclass(frozen=True, slots=True)
class Size:
    """What `k` samples of a problem are worth.

    Attributes:
        k: Samples.
        passed: Chance that one of them is right; None beyond those that there are.
        worst: Chance that all are.
        voted: Accuracy of their vote.
        beta_binomial: pass@k by the beta-binomial law fitted to all samples; None where all are
            right, or all wrong.
        ttspm: pass@k by TTSPM's law of one rate, fitted to all samples.
        cost: Tokens of k samples; samples where tokens were not counted.
    """

    k: int
    passed: float | None
    worst: float | None
    voted: float | None
    beta_binomial: float | None
    ttspm: float | None
    cost: float

    @property
    def cost_of_pass(self) -> float | None:
        """What one right answer costs by voting (arXiv:2508.02694); None where none is right."""
        return self.cost / self.voted if self.voted else None


@dataclass(frozen=True, slots=True)
class Arise:
    """ARISE over rising levels of compute (arXiv:2510.06014).

    Attributes:
        levels: Their names.
        score: Mean over problems.
        accuracy: Of each level.
        tokens: Of each, of one run of one problem.
        runs: Of a problem and level that the sampling rule took, in the mean.
        short: Share of problems and levels of which it may have wanted more than there are.
    """

    levels: tuple[str, ...]
    score: float
    accuracy: tuple[float, ...]
    tokens: tuple[float, ...]
    runs: float
    short: float


@dataclass(frozen=True, slots=True)
class Until:
    """PassUntil, stopped at the r-th right sample of each problem (arXiv:2310.03262).

    Attributes:
        successes: r.
        chance: Mean estimate of the chance per sample.
        measured: The same of all samples.
        samples: Drawn of a problem, in the mean.
        held: Share of problems whose 95 % interval holds their share of all samples.
    """

    successes: int
    chance: float
    measured: float
    samples: float
    held: float


@dataclass(frozen=True, slots=True)
class Figures:
    """The laws of one series.

    Attributes:
        name: Of the series.
        model: That drew the samples.
        problems: How many; a repeat counts as one.
        samples: Of each.
        tokens: Of a sample, in the mean; None where they were not counted.
        sizes: k = 1, 2, 4, ... and four times the most.
        laws: Coverage and votes, held out; None with fewer than eight samples.
        ttspm_enough: Samples after which one more gains less than half a point by TTSPM.
        ceilings: Of each verifier.
        splits: Solutions against verdicts.
        arise: Over votes of 1, 2, 4, ... samples; None where tokens or samples are missing.
        until: PassUntil; None with fewer samples than its successes.
    """

    name: str
    model: str
    problems: int
    samples: int
    tokens: float | None
    sizes: tuple[Size, ...]
    laws: Laws | None
    ttspm_enough: int | None
    ceilings: tuple[Ceiling, ...]
    splits: tuple[Splits, ...]
    arise: Arise | None
    until: Until | None

    @property
    def cheapest(self) -> Size | None:
        """The number of votes at which a right answer costs least."""
        known = [size for size in self.sizes if size.cost_of_pass is not None]
        return min(known, key=lambda size: size.cost_of_pass or 0.0) if known else None

    @property
    def best_splits(self) -> list[Split]:
        """Solutions and verdicts that nothing as cheap is as right as."""
        return frontier(self.splits[0].splits) if self.splits else []


def figures_of(
    series: Series, *, accept_at: float = ACCEPT_AT, successes: int = SUCCESSES
) -> Figures:
    """Return what the laws say of a series.

    Args:
        series: Whose samples are a fair draw.
        accept_at: A sample passes a verifier with this score or more.
        successes: At which PassUntil stops.
    """
    records, most = series.records, series.samples
    known = powers_of_two(most)
    passed = [min(1.0, fmean(pass_at(record, k) for record in records)) for k in known]
    one_rate = fit_saturation(known, passed) if len(known) > 1 else None
    counts = [record.independent_samples for record in records]
    try:
        mixed = fit_coverage([*map(len, counts)], [sum(s.correct for s in each) for each in counts])
    except InputError:
        mixed = None
    sizes = [
        Size(
            k,
            passed=passed[place] if k <= most else None,
            worst=_mean_worst(records, k) if k <= most else None,
            voted=fmean(maj_at(record, k) for record in records) if k <= most else None,
            beta_binomial=None if mixed is None else extrapolated_pass_at_k(mixed, k),
            ttspm=None if one_rate is None else saturating_accuracy(one_rate, k),
            cost=k * (series.tokens or 1.0),
        )
        for place, k in enumerate([*known, 4 * known[-1]])
    ]
    laws = laws_of(records, accept_at)
    return Figures(
        name=series.name,
        model=series.model,
        problems=len(records),
        samples=most,
        tokens=series.tokens,
        sizes=tuple(sizes),
        laws=laws,
        ttspm_enough=None if one_rate is None else saturation_point(one_rate, LEAST_GAIN),
        ceilings=ceilings(records, accept_at) if laws is None else laws.ceilings,
        splits=splits_of(series),
        arise=arise_of_votes(series),
        until=_until(records, successes) if most >= successes else None,
    )


def _mean_worst(records: Sequence[Record], k: int) -> float:
    samples = [record.independent_samples for record in records]
    return fmean(worst_of_k(len(each), sum(s.correct for s in each), k) for each in samples)


def _until(records: Sequence[Record], successes: int) -> Until:
    marks = [[sample.correct for sample in record.independent_samples] for record in records]
    found: list[Passed] = [pass_until(each, successes) for each in marks]
    shares = [fmean(each) for each in marks]
    return Until(
        successes,
        chance=fmean(one.chance for one in found),
        measured=fmean(shares),
        samples=fmean(one.samples for one in found),
        held=fmean(one.low <= share <= one.high for one, share in zip(found, shares, strict=True)),
    )


_Runs = tuple[list[float], list[float]]  # accuracy and tokens of each run of a problem at a level


def arise_of_votes(series: Series) -> Arise | None:
    """Return ARISE with votes of 1, 2, 4, ... samples as levels; None where that cannot be.

    A run of a level is the vote of so many samples in a row, so a level needs three times as many.
    """
    sizes = powers_of_two(series.samples // _FEWEST)
    if len(sizes) < 2 or not series.tokens:
        return None
    problems = [[_groups(record, size) for size in sizes] for record in series.records]
    return _arise(tuple(f"vote of {size}" for size in sizes), problems)


def _groups(record: Record, size: int) -> _Runs:
    samples = record.independent_samples
    starts = range(0, len(samples) - size + 1, size)
    parts = [samples[start : start + size] for start in starts]
    accuracy = [maj_at(_only(record, part), size) for part in parts]
    return accuracy, [float(sum(sample.tokens or 0 for sample in part)) for part in parts]


def _only(record: Record, samples: Sequence[Sample]) -> Record:
    return replace(record, samples=tuple(samples))


def arise_of_runs(runs: Sequence[StoredRun], names: Sequence[str]) -> Arise:
    """Return ARISE with runs as levels of compute, in their order; repeats are what varies.

    Raises:
        InputError: Fewer than two runs, no problem that all of them finished, or no tokens.
    """
    if len(runs) < 2:
        raise InputError("levels of compute are two runs or more, in rising order")
    tables = [_by_problem(run) for run in runs]
    shared = [name for name in tables[0] if all(name in table for table in tables)]
    if not shared:
        raise InputError("the levels share no finished problem")
    problems = [[table[name] for table in tables] for name in shared]
    if any(min(tokens) <= 0 for levels in problems for _, tokens in levels):
        raise InputError(
            "ARISE needs the generated tokens of every run, and one did not count them"
        )
    return _arise(tuple(names), problems)


def _by_problem(run: StoredRun) -> dict[str, _Runs]:
    table: dict[str, _Runs] = {}
    for record in sorted(run.records, key=lambda record: record.repeat):
        accuracy, tokens = table.setdefault(record.id, ([], []))
        accuracy.append(float(record.correct is True))
        tokens.append(float(record.usage.generated_tokens or 0))
    return table


def _arise(names: tuple[str, ...], problems: Sequence[Sequence[_Runs]]) -> Arise:
    taken = [[runs_for_arise(*runs) for runs in levels] for levels in problems]
    means = [
        [
            (fmean(accuracy[:number]), fmean(tokens[:number]))
            for (accuracy, tokens), number in zip(levels, numbers, strict=True)
        ]
        for levels, numbers in zip(problems, taken, strict=True)
    ]
    scores = [arise([a for a, _ in row], [t for _, t in row]) for row in means]
    is_short = [
        number == len(runs[0]) < MOST_RUNS
        for levels, numbers in zip(problems, taken, strict=True)
        for runs, number in zip(levels, numbers, strict=True)
    ]
    return Arise(
        levels=names,
        score=fmean(scores),
        accuracy=tuple(fmean(a for a, _ in column) for column in zip(*means, strict=True)),
        tokens=tuple(fmean(t for _, t in column) for column in zip(*means, strict=True)),
        runs=fmean(number for numbers in taken for number in numbers),
        short=fmean(is_short),
    )
