"""What the results of tests that nobody has checked say of attempts: pure functions of a matrix.

Rows are attempts, columns are tests, and an entry says whether the attempt passes the test: None
where it was not run, which is no pass and tells nothing of the test.
"""

from collections import Counter
from collections.abc import Sequence

Row = tuple[bool | None, ...]


def agreement(rows: Sequence[Row]) -> list[int]:
    """Score each attempt by its consensus set, those that pass exactly the same tests.

    Source: CodeT (Chen et al. 2022, arXiv:2207.10397), equation 2: the number of attempts in the
    set times the number of tests that they pass.
    """
    sizes = Counter(rows)
    return [sizes[row] * row.count(True) for row in rows]


def votes(rows: Sequence[Row]) -> list[float]:
    """Score each attempt by the share of the tests that it passes; 0 where there are none."""
    return [row.count(True) / max(1, len(row)) for row in rows]


def splitting(rows: Sequence[Row]) -> list[int]:
    """Return the columns of the tests that some attempts pass and some do not."""
    columns = enumerate(zip(*rows, strict=True))
    return [j for j, column in columns if {True, False} <= set(column)]
