"""Log-probabilities as engines report them, and the confidences made of them.

Servers write -9999 for "not among the candidates" and -inf or NaN for a masked token; vLLM's own
server writes -9999 for -inf. Taken as numbers, a single one makes a token the surest of all.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FLOOR = -100.0  # nats; what lies below is no log-probability of 32-bit arithmetic, but a mark


def floored(logprobs: Sequence[float | None]) -> tuple[float, ...]:
    """Return the tokens' log-probabilities; marks and missing ones become the floor."""
    values = np.array([np.nan if value is None else value for value in logprobs], dtype=np.float64)
    return tuple(np.where(_is_known(values), values, FLOOR).tolist())


def confidence(candidates: Sequence[float | None]) -> float:
    """Return minus the mean log-probability of one token's candidates.

    Marks say nothing of how sure the model was and are left out; of none that is known, it is 0,
    the least.
    """
    known = [value for value in candidates if value is not None and FLOOR <= value < math.inf]
    return -sum(known) / len(known) if known else 0.0


def confidences(rows: NDArray[np.float64]) -> tuple[float, ...]:
    """Return the confidence of each token, from the log-probabilities of its candidates [T, K]."""
    if bool(_is_known(rows).all()):
        return tuple((-rows.mean(axis=1)).tolist())
    return tuple(confidence(row) for row in rows.tolist())


def _is_known(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    return (values >= FLOOR) & (values < np.inf)  # False for NaN
