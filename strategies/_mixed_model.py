"""The mixed model of AB-MCTS-M: rewards of groups that vary around their own means.

Source: Inoue et al. 2025, arXiv:2503.04412; priors as in `SakanaAI/treequest`. With y the rewards
and j their group:

    mu ~ N(0.5, 0.2^2)      sigma_a ~ HalfNormal(0.2)      sigma_y ~ HalfNormal(0.3)
    a_j ~ N(mu, sigma_a^2)  y ~ N(a_j, sigma_y^2)

There it is sampled by NUTS, four chains for each decision. But given the two deviations all of it
is Gaussian, so that mu and every a_j are integrated out in closed form, and the deviations by a sum
over a grid of quantiles of their priors: exact but for the grid, in a fraction of a millisecond.
"""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

_MEAN, _MEAN_DEVIATION = 0.5, 0.2
_GROUP_SCALE, _NOISE_SCALE = 0.2, 0.3
_QUANTILES = (np.arange(32) + 0.5) / 32  # equally likely, so that every point has one prior weight


def half_normal(scale: float) -> NDArray[np.float64]:
    """Return quantiles of a half-normal distribution, [32], the middles of equal shares."""
    return scale * np.array([NormalDist().inv_cdf(share) for share in (1 + _QUANTILES) / 2])


@dataclass(frozen=True, slots=True)
class Draw:
    """One draw of what a group may bring.

    Attributes:
        known: [groups], a next reward of each.
        fresh: A reward of a group that does not exist yet.
    """

    known: NDArray[np.float64]
    fresh: float


class MixedModel:
    """The posterior after some rewards.

    Args:
        sums: [groups, 3], the number, sum and sum of squares of each group's rewards; a group may
            have none yet.
    """

    def __init__(self, sums: NDArray[np.float64]) -> None:
        numbers, totals, squares = sums.T
        self._numbers = numbers
        self._means = totals / np.maximum(numbers, 1.0)
        deviations = np.maximum(0.0, squares - numbers * self._means**2).sum()
        grid = np.meshgrid(half_normal(_GROUP_SCALE), half_normal(_NOISE_SCALE), indexing="ij")
        self.group, self.noise = (side.ravel() for side in grid)
        # Of mu: its precision, and that times its mean, at each point of the grid.
        seen = numbers > 0
        spread = self.group[:, None] ** 2 + self.noise[:, None] ** 2 / numbers[seen]
        self._precision = _MEAN_DEVIATION**-2 + (1 / spread).sum(axis=1)
        weighted = _MEAN * _MEAN_DEVIATION**-2 + (self._means[seen] / spread).sum(axis=1)
        self._centre = weighted / self._precision
        log_likelihood = -0.5 * (
            (numbers[seen] - 1).sum() * np.log(self.noise**2)
            + deviations / self.noise**2
            + np.log(spread).sum(axis=1)
            + (self._means[seen] ** 2 / spread).sum(axis=1)
            + np.log(self._precision)
            - self._centre**2 * self._precision
        )
        likelihood = np.exp(log_likelihood - log_likelihood.max())
        self.weights: NDArray[np.float64] = likelihood / likelihood.sum()

    def draw(self, rng: np.random.Generator) -> Draw:
        """Return a draw from the posterior predictive distribution, independent for each group."""
        size = len(self._numbers) + 1  # the last one is a group that does not exist yet
        at = rng.choice(len(self.weights), size, p=self.weights)
        group, noise = self.group[at], self.noise[at]
        mu = rng.normal(self._centre[at], self._precision[at] ** -0.5)
        numbers, means = np.append(self._numbers, 0.0), np.append(self._means, 0.0)
        precision = group**-2 + numbers * noise**-2
        own = (mu * group**-2 + means * numbers * noise**-2) / precision
        rewards = rng.normal(own, np.sqrt(1 / precision + noise**2))
        return Draw(rewards[:-1], float(rewards[-1]))
