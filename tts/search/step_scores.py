"""A verifier's scores of partial solutions, as rewards of a tree search."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from statistics import fmean
from typing import Literal

from tts.protocols import Context
from tts.scoring import ask_verifier, warn_of_failure
from tts.search.once import Once
from tts.types import Score, Trajectory

Reduction = Literal["last", "min", "prod", "mean", "own"]
_REDUCE: Mapping[Reduction, Callable[[Sequence[float]], float]] = {
    "last": lambda steps: steps[-1],
    "min": min,
    "prod": math.prod,
    "mean": fmean,
}


class StepScorer:
    """Scores trajectories as they arrive, each text once.

    A reward model reads the whole prefix again at every call, so equal solutions, finished alike,
    share one call.

    Args:
        context: The node's context.
        verifier: Name of the verifier.
        reduction: How step scores become one; "own" takes the verifier's own value, as do scores
            without steps.
    """

    def __init__(self, context: Context, verifier: str, reduction: Reduction) -> None:
        self._context = context
        self._checking = context.checking()
        self._name = verifier
        self._reduction = reduction
        self._scores: Once[Score] = Once()

    async def score(self, trajectory: Trajectory) -> Score:
        """Return the reduced score; a failure is a score with an error, and a warning."""
        key = (trajectory.text, trajectory.finish_reason)
        return await self._scores.get(key, partial(self._ask, trajectory))

    async def _ask(self, trajectory: Trajectory) -> Score:
        (score,) = await ask_verifier(self._checking, self._name, [trajectory])
        reduced = self._reduce(score)
        warn_of_failure(self._context, self._name, reduced)
        return reduced

    def _reduce(self, score: Score) -> Score:
        if score.value is not None and score.steps and self._reduction != "own":
            value = _REDUCE[self._reduction](score.steps)
            # A calibrator speaks of the verifier's own value.
            score = replace(score, value=value, probability=None)
        if score.value is not None and not math.isfinite(score.value):
            return Score(value=None, error=f"the score is {score.value}")
        return score
