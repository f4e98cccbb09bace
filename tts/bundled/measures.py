"""Figures of the model card, as plain functions of labels, answers and scores."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Share:
    """A share and its 95 % interval."""

    value: float
    low: float
    high: float
    count: int

    def __str__(self) -> str:
        """Return value and interval to three places."""
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def mean_share(values: Sequence[float]) -> Share:
    """Return the mean over problems, with the normal interval of the mean, cut to [0, 1]."""
    count = len(values)
    mean = sum(values) / count
    spread = math.sqrt(sum((v - mean) ** 2 for v in values) / max(count - 1, 1) / count)
    return Share(mean, max(0.0, mean - 1.96 * spread), min(1.0, mean + 1.96 * spread), count)


def vote(answers: Sequence[str | None], weights: Sequence[float]) -> str | None:
    """Return the answer with the largest summed weight, the earliest of equals; None abstains."""
    totals: dict[str, float] = defaultdict(float)
    for answer, weight in zip(answers, weights, strict=True):
        if answer is not None:
            totals[answer] += weight
    return max(totals, key=totals.__getitem__) if totals else None
