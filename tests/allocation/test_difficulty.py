"""Difficulty: by hand, and calibrated on problems whose chance is known."""

import math
from typing import Any

import numpy as np
import pytest

from tts.allocation.difficulty import (
    Difficulty,
    DifficultyModel,
    fit_difficulty,
    oracle_difficulty,
    probe_features,
    reported_features,
)
from tts.allocation.prompt_features import prompt_features
from tts.errors import InputError


def test_a_beta_by_hand() -> None:
    uniform = Difficulty(1.0, 1.0)
    assert uniform.mean == 0.5
    assert uniform.pass_at_k(3) == pytest.approx(0.75)  # 1 - 1/4
    assert uniform.interval(0.9) == pytest.approx((0.05, 0.95))
    assert uniform.after(4, 3) == Difficulty(4.0, 2.0)
    assert oracle_difficulty(4, 3) == Difficulty(3.5, 1.5)


def test_a_probe_by_hand() -> None:
    found = probe_features([0, 0, 1, -1], tokens=[10, 20], scores=[0.5, 1.0])
    assert found == pytest.approx(
        {
            "leader_share": 0.5,
            "margin": 0.25,
            "vote_entropy": 0.5 * math.log(2) + 0.25 * math.log(4),
            "no_answer": 0.25,
            "log_tokens": math.log(16),
            "score": 0.75,
        }
    )
    assert probe_features([-1])["leader_share"] == 0.0


def test_a_prompt_by_hand() -> None:
    found = prompt_features("Add 12 and $3^{100}$.")
    assert (found["numbers"], found["longest_number"], found["formulas"]) == (3, 3, 1)


@pytest.mark.parametrize(("text", "logit"), [("about 50 %", 0.0), ("Chance: 0.8", math.log(4))])
def test_a_stated_chance(text: str, logit: float) -> None:
    assert reported_features(text)["stated_logit"] == pytest.approx(logit)


def problems(
    number: int, seed: int
) -> tuple[list[dict[str, float]], list[int], list[int], list[float]]:
    """Problems whose chance is Beta(2, 2); a probe of eight samples, twenty more to grade."""
    rng = np.random.default_rng(seed)
    features, graded, right = [], [], []
    chances = rng.beta(2, 2, number).tolist()
    for chance in chances:
        probe = [0 if hit else int(rng.integers(1, 5)) for hit in rng.random(8) < chance]
        features.append({**probe_features(probe), "noise": float(rng.normal())})
        graded.append(20)
        right.append(int(rng.binomial(20, chance)))
    return features, graded, right, chances


def test_the_fitted_model_is_calibrated_on_other_problems() -> None:
    model = fit_difficulty(*problems(400, seed=1)[:3])
    features, graded, right, chances = problems(400, seed=2)
    estimates = [model.estimate(row) for row in features]
    rates = np.array(right) / np.array(graded)
    means = np.array([estimate.mean for estimate in estimates])
    assert np.corrcoef(means, rates)[0, 1] > 0.5
    order = np.argsort(means)
    for part in np.array_split(order, 4):  # reliability in quarters
        assert means[part].mean() == pytest.approx(rates[part].mean(), abs=0.06)
    bounds = [estimate.interval() for estimate in estimates]
    inside = [low <= chance <= high for chance, (low, high) in zip(chances, bounds, strict=True)]
    assert 0.91 < np.mean(inside) < 0.99  # 95 % intervals


def test_a_missing_feature_is_taken_at_its_mean_and_a_model_survives_writing() -> None:
    model = fit_difficulty(*problems(60, seed=3)[:3])
    at_means = dict(zip(model.names, model.means, strict=True))
    assert model.estimate({}) == model.estimate(at_means)
    assert DifficultyModel.from_mapping(model.to_mapping()) == model


@pytest.mark.parametrize(
    "call",
    [
        lambda: oracle_difficulty(3, 4),
        lambda: probe_features([]),
        lambda: reported_features("no idea"),
        lambda: reported_features("150 %"),
        lambda: reported_features("-0.2"),
        lambda: fit_difficulty([{"x": 1.0}], [4], [2]),
        lambda: fit_difficulty([{"x": 1.0}] * 2, [4, 4], [4, 4]),
        lambda: fit_difficulty([{"x": 1.0}] * 2, [4, 4], [0, 0]),
        lambda: fit_difficulty([{"x": 1.0}] * 2, [4, 4], [5, 0]),
        lambda: DifficultyModel.from_mapping({"features": {"x": {"mean": 0}}}),
        lambda: DifficultyModel(("x",), (0.0,), (0.0,), (1.0,), 0.0, 1.0),
    ],
)
def test_bad_input_is_refused(call: Any) -> None:
    with pytest.raises(InputError):
        call()
