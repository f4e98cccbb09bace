"""The mixed model: against weighted draws from its priors, and what its source says of it."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tts.strategies._mixed_model import MixedModel, half_normal

DRAWS = 4_000


def sums_of(*groups: list[float]) -> NDArray[np.float64]:
    rows = [(len(g), sum(g), sum(y * y for y in g)) for g in groups]
    return np.array(rows, dtype=float).reshape(len(groups), 3)


def draws(*groups: list[float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return draws of a next reward, [draws, groups], and of a new group's, [draws]."""
    model, rng = MixedModel(sums_of(*groups)), np.random.default_rng(0)
    found = [model.draw(rng) for _ in range(DRAWS)]
    return np.array([d.known for d in found]), np.array([d.fresh for d in found])


def test_quantiles_of_a_half_normal() -> None:
    # A half-normal has the standard deviation s sqrt(1 - 2 / pi) and the mean s sqrt(2 / pi).
    assert half_normal(2.0).mean() == pytest.approx(2 * np.sqrt(2 / np.pi), rel=0.01)
    assert np.median(half_normal(1.0)) == pytest.approx(0.6745, abs=0.01)


def test_without_rewards_it_is_the_prior() -> None:
    _, fresh = draws()
    assert fresh.mean() == pytest.approx(0.5, abs=0.03)
    # .2^2 of mu, and the mean squares .2^2 and .3^2 of the two deviations.
    assert fresh.std() == pytest.approx(np.sqrt(0.04 + 0.04 + 0.09), abs=0.03)


@pytest.mark.parametrize(
    "groups",
    [([0.9],), ([0.9, 0.8, 0.95], [0.1, 0.2]), ([0.7], [0.2, 0.9, 0.4], [0.5, 0.5], [])],
)
def test_it_equals_weighted_draws_from_the_priors(groups: tuple[list[float], ...]) -> None:
    rng, size = np.random.default_rng(1), 400_000
    mu = rng.normal(0.5, 0.2, size)
    spread, noise = abs(rng.normal(0, 0.2, size)), abs(rng.normal(0, 0.3, size))
    means = mu + spread * rng.normal(size=(len(groups), size))
    log_weights = np.zeros(size)
    for mean, rewards in zip(means, groups, strict=True):
        for reward in rewards:
            log_weights += -np.log(noise) - (reward - mean) ** 2 / (2 * noise**2)
    weights = np.exp(log_weights - log_weights.max())
    known, fresh = draws(*groups)
    expected = [np.average(mean, weights=weights) for mean in means]
    assert known.mean(axis=0) == pytest.approx(expected, abs=0.025)
    assert fresh.mean() == pytest.approx(np.average(mu, weights=weights), abs=0.025)
    variance = np.average((mu - np.average(mu, weights=weights)) ** 2, weights=weights)
    variance += np.average(spread**2 + noise**2, weights=weights)
    assert fresh.std() == pytest.approx(np.sqrt(variance), abs=0.03)


def test_a_new_group_is_less_certain_than_one_with_equal_rewards() -> None:
    known, fresh = draws([0.6] * 6)
    assert known.std() < 0.7 * fresh.std()
