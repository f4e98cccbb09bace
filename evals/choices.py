"""What a run that chooses chose for which difficulty, and what that bought."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from tts.evals.records import Record

_FIFTHS = 5


@dataclass(frozen=True, slots=True)
class ChosenRow:
    """Problems of one predicted difficulty for which the same was chosen.

    Attributes:
        fifth: Of the chance that the first samples left: 0 is below 0.2, 4 is 0.8 and more.
        what: What was chosen.
        problems: How many.
        expected: Mean chance after the first samples.
        first: Share of problems whose first sample is right, which is what one sample would have
            brought; None where nobody can tell.
        accuracy: Share of right answers; None likewise.
        tokens: Mean generated tokens; None where they were not counted.
    """

    fifth: int
    what: str
    problems: int
    expected: float
    first: float | None
    accuracy: float | None
    tokens: float | None


def chosen_rows(records: Sequence[Record]) -> list[ChosenRow]:
    """Return what was chosen, hardest problems first, most frequent choice first.

    Records in which nothing was chosen are left out; of several choices in one, the first counts.
    """
    groups: dict[tuple[int, str], list[Record]] = defaultdict(list)
    for record in records:
        if record.facts.choices:
            choice = record.facts.choices[0]
            fifth = min(int(choice.expected * _FIFTHS), _FIFTHS - 1)
            groups[fifth, choice.what].append(record)
    rows = []
    for (fifth, what), group in groups.items():
        graded = [record for record in group if record.correct is not None]
        tokens = [record.usage.generated_tokens for record in group]
        rows.append(
            ChosenRow(
                fifth=fifth,
                what=what,
                problems=len(group),
                expected=fmean(record.facts.choices[0].expected for record in group),
                first=_share(any(s.correct for s in record.samples[:1]) for record in graded),
                accuracy=_share(record.correct is True for record in graded),
                tokens=None if None in tokens else fmean(float(t or 0) for t in tokens),
            )
        )
    return sorted(rows, key=lambda row: (row.fifth, -row.problems, row.what))


def _share(marks: Iterable[bool]) -> float | None:
    values = [float(mark) for mark in marks]
    return fmean(values) if values else None
