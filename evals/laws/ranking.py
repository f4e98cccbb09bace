"""A ranking of series of samples: one result of each system on each problem that it has."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

import numpy as np

from tts.allocation.ranking import Place, rank
from tts.errors import InputError, optional_import
from tts.evals.laws.series import Series
from tts.evals.records import Record

with optional_import("a ranking"):
    from scipy.stats import spearmanr

_RESAMPLES = 200
_FEW = 20  # resamples of a ranking of which only the order is wanted


@dataclass(frozen=True, slots=True)
class Entry:
    """A system in a ranking.

    Attributes:
        name: Of the series.
        place: Where it stands.
        accuracy: On the problems that it has, which others may not have.
        problems: How many those are.
    """

    name: str
    place: Place
    accuracy: float
    problems: int


@dataclass(frozen=True, slots=True)
class Ranking:
    """Systems, the strongest first.

    Attributes:
        entries: In order.
        problems: That at least two of them have.
        results: Of all systems on these.
        agreement: Spearman's rank correlation with the ranking by all results, where some were
            hidden.
    """

    entries: tuple[Entry, ...]
    problems: int
    results: int
    agreement: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        values = asdict(self)
        entries = [{**asdict(entry), "place": entry.place._asdict()} for entry in self.entries]
        return {**values, "entries": entries}


def rank_series(
    series: Sequence[Series],
    *,
    where: Mapping[str, str] | None = None,
    keep: float | None = None,
    seed: int = 0,
) -> Ranking:
    """Rank series by what they made of each problem.

    A run's result is the share of its repeats that end in a right answer, a pool's the share of
    right samples.

    Args:
        series: With names of their own.
        where: Values that a problem's metadata must have, as text.
        keep: Share of the results that is used; all if None.
        seed: Of the bootstrap and of what is hidden.

    Raises:
        InputError: No problem is as asked, or what is left does not hold all systems together.
    """
    results = [results_of(one, where or {}) for one in series]
    ids = list(dict.fromkeys(name for each in results for name in each))
    if not ids:
        raise InputError(
            f"no problem has {_said(where or {})}" if where else "there are no results"
        )
    table = [[each.get(name) for each in results] for name in ids]
    if keep is None:
        return _ranked(series, table, seed, _RESAMPLES)
    if not 0 < keep <= 1:
        raise InputError(f"the share of results that is kept lies in (0, 1], not {keep:g}")
    whole = _ranked(series, table, seed, _FEW)
    rng = np.random.default_rng(seed)
    left = [[x if rng.random() < keep else None for x in row] for row in table]
    part = _ranked(series, left, seed, _RESAMPLES)
    points = [{e.name: e.place.points for e in one.entries} for one in (whole, part)]
    order, other = ([one[name] for name in points[0]] for one in points)
    agreement = float(spearmanr(order, other).statistic)
    return Ranking(part.entries, part.problems, part.results, agreement)


def _ranked(
    series: Sequence[Series], table: Sequence[Sequence[float | None]], seed: int, resamples: int
) -> Ranking:
    shared = [row for row in table if sum(x is not None for x in row) > 1]
    if not shared:
        raise InputError("no problem is shared by two of these systems")
    columns = [[row[place] for row in table] for place in range(len(series))]
    known = [[x for x in column if x is not None] for column in columns]
    if missing := [one.name for one, values in zip(series, known, strict=True) if not values]:
        raise InputError(f"{missing[0]} has no result on these problems")
    places = rank(shared, seed=seed, num_resamples=resamples)
    entries = [
        Entry(one.name, place, fmean(values), len(values))
        for one, place, values in zip(series, places, known, strict=True)
    ]
    entries.sort(key=lambda entry: -entry.place.points)
    return Ranking(tuple(entries), len(shared), sum(x is not None for row in shared for x in row))


def results_of(series: Series, where: Mapping[str, str] | None = None) -> dict[str, float]:
    """Return the share of right results by problem, of those with this metadata.

    A run's result is its final answer, a pool's are its samples.
    """
    found: dict[str, list[float]] = {}
    for record in series.records:
        about = series.metadata.get(record.id, {})
        if all(str(about.get(key)) == value for key, value in (where or {}).items()):
            found.setdefault(record.id, []).append(_share(record))
    return {name: fmean(shares) for name, shares in found.items()}


def _share(record: Record) -> float:
    """Return whether the final answer is right; of samples without one, the share of right ones."""
    if record.correct is not None or not record.samples:
        return float(record.correct is True)
    return fmean(sample.correct for sample in record.samples)


def _said(where: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in where.items())
