"""Policy files: written, read, refused."""

from pathlib import Path
from typing import Any

import pytest

from tts.allocation.policy_file import (
    BeliefPart,
    DearerPart,
    Policy,
    PricePoint,
    load_policy,
    save_policy,
)
from tts.errors import InputError

BELIEF = BeliefPart(concentration=0.5, shares=(0.0, 1.0), trust=(0.1, 0.9))


def point(price: float, samples: float, tokens: float | None = None) -> PricePoint:
    return PricePoint(price=price, samples=samples, tokens=tokens, accuracy=0.5, low=0.4, high=0.6)


def policy(**more: Any) -> Policy:
    prices = (point(0.1, 2, 200), point(0.001, 8, 800))
    return Policy(**{"model": "m", "belief": BELIEF, "prices": prices, **more})


def test_a_share_has_a_price() -> None:
    # Log-linear: 200 tokens cost .1 and 800 cost .001, so 400, halfway in logs, cost .01.
    assert policy().price_for(400) == pytest.approx(0.01)
    assert policy().price_for(1) == pytest.approx(0.1)
    assert policy().price_for(10_000) == pytest.approx(0.001)
    in_samples = policy(prices=(point(0.1, 2), point(0.001, 8)))
    assert not in_samples.in_tokens
    assert in_samples.price_for(4) == pytest.approx(0.01)


def test_a_policy_survives_writing(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    whole = policy(provenance={"seeds": [0]}, notes=("few problems",))
    save_policy(whole, path)
    assert load_policy(path) == whole
    assert path.read_text().startswith("# Written by `tts calibrate`")


def test_chances_of_a_dearer_strategy_are_probabilities() -> None:
    for chances, accuracy in (((0.0, 1.2), (0.1, 0.9)), ((0.0, 1.0), (-0.1, 0.9))):
        with pytest.raises(ValueError, match=r"(less|greater) than or equal to [01]"):
            DearerPart(strategy="beam_search", cost=1.0, chances=chances, accuracy=accuracy)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("schema: 2", "schema: 1"), "version 1, this tts reads 2"),
        (("  - 0.9", "  - 1.9"), "lie in \\[0, 1\\]"),
        (("accuracy: 0.5", "accuracy: 50"), "prices.0.accuracy"),
        (("model: m", "modell: m"), "modell"),
        (("belief:", "believe:"), "no policy"),
        (("model: m", "model: ["), "cannot be read"),
        (("model: m", "model: &m [*m]"), "nested more than 40 levels deep, or within itself"),
    ],
)
def test_a_bad_file_is_refused(change: tuple[str, str], message: str, tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    save_policy(policy(), path)
    path.write_text(path.read_text().replace(*change))
    with pytest.raises(InputError, match=message):
        load_policy(path)
