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


def auroc(scores: Sequence[float], labels: Sequence[bool]) -> float:
    """Return the chance that a right step scores above a wrong one; ties count half."""
    ordered = sorted(zip(scores, labels, strict=True), key=lambda pair: pair[0])
    num_right = sum(labels)
    num_wrong = len(labels) - num_right
    if not num_right or not num_wrong:
        return math.nan
    total, below, index = 0.0, 0, 0
    while index < len(ordered):
        end = index
        while end < len(ordered) and ordered[end][0] == ordered[index][0]:
            end += 1
        right = sum(label for _, label in ordered[index:end])
        wrong = end - index - right
        total += right * (below + wrong / 2)
        below += wrong
        index = end
    return total / (num_right * num_wrong)


def calibration(
    scores: Sequence[float], labels: Sequence[bool], bins: int = 10
) -> list[tuple[float, float, int]]:
    """Return mean score, share of right steps and count of each non-empty bin of equal width."""
    groups: list[list[tuple[float, bool]]] = [[] for _ in range(bins)]
    for score, label in zip(scores, labels, strict=True):
        groups[min(int(score * bins), bins - 1)].append((score, label))
    return [
        (sum(s for s, _ in g) / len(g), sum(label for _, label in g) / len(g), len(g))
        for g in groups
        if g
    ]
