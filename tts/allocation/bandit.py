"""Which of several arms is pulled next, by what is known of the situation and of the arms.

LinUCB with a model of its own for each arm (Li et al. 2010, "A Contextual-Bandit Approach to
Personalized News Article Recommendation", arXiv:1003.0146, algorithm 1).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Pull(NamedTuple):
    """What came of an arm.

    Attributes:
        arm: Its index.
        features: Of the situation in which it was pulled.
        reward: What it gave.
    """

    arm: int
    features: tuple[float, ...]
    reward: float


def choose_arm(past: Sequence[Pull], features: Sequence[float], *, arms: int, alpha: float) -> int:
    """Return the arm with the highest upper bound: x theta + alpha sqrt(x A^-1 x).

    A = I + sum x x^T and theta = A^-1 sum r x, over the pulls of the arm; ties keep the first.

    Args:
        past: Earlier pulls, with as many features.
        features: Of the situation now.
        arms: Number of arms.
        alpha: Weight of what is not known; 0 trusts the means.
    """
    now = np.asarray(features, dtype=float)
    bounds = []
    for arm in range(arms):
        pulls = [pull for pull in past if pull.arm == arm]
        seen = np.array([pull.features for pull in pulls], dtype=float).reshape(-1, len(now))
        rewards = np.array([pull.reward for pull in pulls])
        covariance = np.linalg.inv(np.eye(len(now)) + seen.T @ seen)
        mean = float(now @ covariance @ (seen.T @ rewards))
        bounds.append(mean + alpha * float(np.sqrt(now @ covariance @ now)))
    return int(np.argmax(bounds))
