"""How certain a model was of its tokens; pure functions of a trajectory's token confidences.

A token's confidence is minus the mean log-probability of its k likeliest candidates: higher is
more certain, log k (about 3 for k = 20) is the least. Fu et al. 2025, "Deep Think with
Confidence", arXiv:2508.15260.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_BOTTOM_SHARE = 0.1


def group_confidences(confidences: Sequence[float], window: int) -> NDArray[np.float64]:
    """Return the mean of every `window` tokens in a row; of all of them if there are fewer.

    Raises:
        ValueError: There are no tokens.
    """
    if not confidences:
        raise ValueError("no tokens, so no confidence")
    size = min(window, len(confidences))
    sums = np.concatenate(([0.0], np.cumsum(np.asarray(confidences, dtype=np.float64))))
    means: NDArray[np.float64] = (sums[size:] - sums[:-size]) / size
    return means


def lowest_group(confidences: Sequence[float], window: int) -> float:
    """Return the least confident group's mean."""
    return float(group_confidences(confidences, window).min())


def bottom_groups(confidences: Sequence[float], window: int) -> float:
    """Return the mean of the least confident tenth of the groups, at least one."""
    groups = np.sort(group_confidences(confidences, window))
    return float(groups[: max(1, int(_BOTTOM_SHARE * len(groups)))].mean())


def tail(confidences: Sequence[float], tokens: int) -> float:
    """Return the mean over the last `tokens` tokens."""
    return float(group_confidences(confidences[-tokens:], tokens)[-1])


def bar(scores: Sequence[float], keep: float) -> float:
    """Return what the best `keep` share of the scores reach: their (1 - keep) quantile."""
    return float(np.quantile(np.asarray(scores, dtype=np.float64), 1.0 - keep))


def estimated_self_certainty(confidences: Sequence[float], candidates: int) -> float:
    """Return the mean divergence of the tokens' distributions from the uniform one, estimated.

    Per token -(1/k) sum_j log(k p_j) over the k likeliest candidates. Kang et al. 2025,
    arXiv:2502.18581, take the whole vocabulary; with k equal to its size this is theirs.
    """
    return math.fsum(confidences) / len(confidences) - math.log(candidates)
