"""When to stop sampling: optimal stopping, learnt from recorded samples.

Samples are drawn in growing steps. After each, the answer of largest chance
(`tts.allocation.evidence`) could be given; going on costs. What going on is worth is worked out
backwards from the last step, by regression of what it brought on recorded paths: Longstaff and
Schwartz 2001, "Valuing American Options by Simulation", doi:10.1093/rfs/14.1.113. So a step counts
for what comes after it too, and each problem is decided by its own samples alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tts.allocation.evidence import AnswerModel, Evidence
from tts.errors import InputError

NUM_FACTS = 6
SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
_RIDGE = 1.0
Leader = Literal["chance", "scores"]
_Floats = NDArray[np.float64]


class Standing(NamedTuple):
    """Where problems stand.

    Attributes:
        answer: [...], place of the answer that leads.
        chance: [...], of that answer; 0 where there is none.
        facts: [..., NUM_FACTS], what decides: 1, the chance and its square, the largest chance of
            another, the mean score, the largest share of the votes.
    """

    answer: NDArray[np.int64]
    chance: _Floats
    facts: _Floats


def standing(model: AnswerModel, evidence: Evidence, leader: Leader = "chance") -> Standing:
    """Return where problems stand by their evidence.

    Args:
        model: Of the chances.
        evidence: What the samples say.
        leader: What the leading answer has most of: chance, or scores in all, as the weighted vote.
    """
    chances = model.chances(evidence)
    # Votes decide between equal sums, such as those of a verifier that has failed.
    by_scores = np.where(evidence.votes > 0, evidence.total + 1e-9 * evidence.votes, -1.0)
    answer = (chances if leader == "chance" else by_scores).argmax(axis=-1)
    place = answer[..., None]
    first = np.take_along_axis(chances, place, axis=-1)[..., 0]
    others = chances.copy()
    np.put_along_axis(others, place, 0.0, axis=-1)
    second = others.max(axis=-1)
    n = np.maximum(evidence.num_samples, 1.0)
    mean_score = evidence.total.sum(axis=-1) / n
    share = evidence.votes.max(axis=-1) / n
    facts = np.stack([np.ones_like(first), first, first**2, second, mean_score, share], axis=-1)
    return Standing(answer, first, facts)


class Paths(NamedTuple):
    """Recorded samples along many orders of drawing.

    Attributes:
        facts: [paths, steps, NUM_FACTS] of `Standing`.
        is_right: [paths, steps], whether the answer that is given there is right.
        value: [paths, steps], what a rule that is learnt takes that answer to be worth.
        cost: [paths, steps], spent on samples until then, in mean samples.
        weight: [paths]; a problem's paths weigh 1 together.
        extra: [paths, steps], what giving an answer there costs beside the samples: that of another
            strategy which is asked for it.
    """

    facts: _Floats
    is_right: NDArray[np.bool_]
    value: _Floats
    cost: _Floats
    weight: _Floats
    extra: _Floats


@dataclass(frozen=True, slots=True)
class StoppingRule:
    """When to go on.

    Attributes:
        sizes: Samples drawn after each step, rising.
        weights: [steps - 1][NUM_FACTS]; the product with the facts is what going on is worth, its
            cost taken off.
    """

    sizes: tuple[int, ...]
    weights: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        """Refuse what is no rule."""
        rising = all(a < b for a, b in zip(self.sizes, self.sizes[1:], strict=False))
        if not self.sizes or self.sizes[0] < 1 or not rising:
            raise InputError("a stopping rule needs sizes that rise from 1 or more")
        if [len(row) for row in self.weights] != [NUM_FACTS] * (len(self.sizes) - 1):
            raise InputError(f"a stopping rule needs {NUM_FACTS} weights a step, but for the last")

    def gain(self, step: int, facts: _Floats) -> _Floats:
        """Return what going on after a step is worth, [...], below 0 where it is too dear.

        Args:
            step: From 0; after the last, nothing is gained.
            facts: [..., NUM_FACTS].
        """
        if step >= len(self.weights):
            return np.full(facts.shape[:-1], -np.inf)
        return np.asarray(facts @ np.asarray(self.weights[step]))


def fit_stopping(paths: Paths, sizes: Sequence[int], price: float) -> StoppingRule:
    """Return the rule that brings most accuracy less `price` per sample.

    Raises:
        InputError: No paths, or a negative price.
    """
    if not len(paths.weight) or price < 0:
        raise InputError("a stopping rule needs recorded paths and a price that is not negative")
    num_steps = paths.cost.shape[1]
    ends = paths.value - price * paths.extra
    value = ends[:, -1]
    rows: list[tuple[float, ...]] = []
    for step in range(num_steps - 2, -1, -1):
        now = ends[:, step]
        later = value - price * (paths.cost[:, step + 1] - paths.cost[:, step])
        weights = _regress(paths.facts[:, step], later - now, paths.weight)
        rows.append(tuple(float(w) for w in weights))
        value = np.where(paths.facts[:, step] @ weights > 0.0, later, now)
    return StoppingRule(tuple(sizes[:num_steps]), tuple(rows[::-1]))


class Outcome(NamedTuple):
    """What a rule brought on each path: [paths]."""

    is_right: NDArray[np.bool_]
    cost: _Floats
    step: NDArray[np.int64]


def follow(rule: StoppingRule, paths: Paths) -> Outcome:
    """Return what a rule brings on recorded paths."""
    num_paths, num_steps, _ = paths.facts.shape
    step = np.full(num_paths, num_steps - 1)
    for i in range(num_steps - 2, -1, -1):
        step = np.where(rule.gain(i, paths.facts[:, i]) > 0.0, step, i)
    at = (np.arange(num_paths), step)
    return Outcome(paths.is_right[at], paths.cost[at] + paths.extra[at], step)


def _regress(x: _Floats, y: _Floats, weight: _Floats) -> _Floats:
    """Return weighted ridge weights; the ridge counts as one problem that gains nothing."""
    gram = x.T @ (weight[:, None] * x) + _RIDGE * np.diag([1e-6] + [0.1] * (x.shape[1] - 1))
    return np.asarray(np.linalg.solve(gram, x.T @ (weight * y)))
