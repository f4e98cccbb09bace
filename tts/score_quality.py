"""How well scores tell right from wrong."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def groups_of(labels: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return the indices of each label, in the order of the labels.

    Args:
        labels: [N].
    """
    if not len(labels):
        return []
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)


def auroc(scores: ArrayLike, labels: ArrayLike) -> float:
    """Return the chance that a right one scores above a wrong one; ties count half.

    Args:
        scores: [N].
        labels: [N], whether each is right.

    Returns:
        NaN where one kind is missing.
    """
    return auroc_within(scores, labels, [slice(None)])


def auroc_within(
    scores: ArrayLike, labels: ArrayLike, groups: Iterable[NDArray[np.int64] | slice]
) -> float:
    """Return the same over pairs of one group; NaN where no group has both kinds.

    Args:
        scores: [N].
        labels: [N], whether each is right.
        groups: Indices of each.
    """
    values, right = np.asarray(scores, np.float64), np.asarray(labels, bool)
    won = total = 0.0
    for group in groups:
        good, bad = values[group][right[group]], np.sort(values[group][~right[group]])
        below = np.searchsorted(bad, good, side="left")
        upto = np.searchsorted(bad, good, side="right")
        won += float((below + upto).sum()) / 2
        total += len(good) * len(bad)
    return won / total if total else float("nan")


def calibration(
    scores: ArrayLike, labels: ArrayLike, bins: int = 10
) -> list[tuple[float, float, int]]:
    """Return mean score, share of right ones and count of each non-empty bin of equal width.

    Args:
        scores: [N], in [0, 1].
        labels: [N], whether each is right.
        bins: Their number.
    """
    values, right = np.asarray(scores, np.float64), np.asarray(labels, bool)
    of: Any = np.minimum((values * bins).astype(int), bins - 1)
    return [
        (float(values[of == one].mean()), float(right[of == one].mean()), int((of == one).sum()))
        for one in np.unique(of)
    ]
