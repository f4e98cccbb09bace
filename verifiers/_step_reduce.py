"""One score of many: how step scores become a trajectory's score.

Which reduction fits depends on how the reward model was trained: `last` for values (the chance to
succeed from here), `min` or `prod` for "is this step right?" (Snell et al. 2024, arXiv:2408.03314).
"""

import math
from collections.abc import Sequence
from typing import Literal

Reduction = Literal["last", "min", "prod", "mean"]


def reduce_steps(scores: Sequence[float], reduction: Reduction) -> float:
    """Return one score for a trajectory's step scores.

    Raises:
        ValueError: There are no steps.
    """
    if not scores:
        raise ValueError("a trajectory without steps has no score")
    if reduction == "last":
        return scores[-1]
    if reduction == "min":
        return min(scores)
    if reduction == "prod":
        return math.prod(scores)
    return math.fsum(scores) / len(scores)
