"""Policy files: written, read, refused."""

from pathlib import Path
from typing import Any

import pytest

from tts.allocation.evidence import AnswerModel
from tts.allocation.policy_file import (
    BeliefPart,
    BinPart,
    ChoicePart,
    LadderPart,
    LadderPoint,
    Policy,
    PricePoint,
    load_policy,
    save_policy,
)
from tts.errors import InputError

BELIEF = BeliefPart(right=0.6, wrong=0.8, spread=1.5, discount=0.25, answers=0.95)


def point(price: float, samples: float, cost: float) -> PricePoint:
    return PricePoint(price=price, samples=samples, cost=cost, accuracy=0.5, low=0.4, high=0.6)


def policy(**more: Any) -> Policy:
    prices = (point(0.1, 2, 200), point(0.001, 8, 800))
    return Policy(**{"model": "m", "belief": BELIEF, "prices": prices, **more})


def ladder(**more: Any) -> LadderPart:
    """A ladder of two steps that goes on while votes disagree, cheap and dear."""
    rows = ((0.9, 0.0, 0.0, 0.0, 0.0, -1.0),)
    points = [
        LadderPoint(**point(price, samples, cost).model_dump(), weights=rows)
        for price, samples, cost in ((0.1, 1.0, 100.0), (0.001, 2.0, 200.0))
    ]
    values = {"verifier": "prm", "sizes": (1, 2), "answer": AnswerModel().weights}
    return LadderPart(**{**values, "points": tuple(points), **more})


def test_costs_rise_as_prices_fall() -> None:
    assert policy().costs == ((200, 0.1), (800, 0.001))
    assert policy(prices=(point(0.001, 8, 8), point(0.1, 2, 2))).costs == ((2, 0.1), (8, 0.001))
    assert [rule.cost for rule in ladder().rules] == [100, 200]
    assert ladder().enough.price == 0.1  # as right as the dearer one


def test_a_policy_survives_writing(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    whole = policy(provenance={"seeds": [0]}, notes=("few problems",))
    save_policy(whole, path)
    assert load_policy(path) == whole
    assert path.read_text().startswith("# Written by `tts calibrate`")


def choice(*bins: tuple[float, float, float]) -> ChoicePart:
    """A beam search that did so in each bin: accuracy, lower bound, cost."""
    parts = tuple(BinPart(accuracy=a, low=low, cost=cost) for a, low, cost in bins)
    return ChoicePart(preset="beam_search", strategy="beam_search", bins=parts)


def test_a_choice_has_as_many_bins_as_there_are(tmp_path: Path) -> None:
    one, two = (0.5, 0.4, 3.0), (0.7, 0.6, 3.0)
    whole = policy(ladder=ladder(edges=(0.4,), choices=(choice(one, two),)))
    save_policy(whole, tmp_path / "policy.yaml")
    assert load_policy(tmp_path / "policy.yaml") == whole
    for edges, bins in (((), (one, two)), ((0.4,), (one,)), ((0.6, 0.4), (one, two, two))):
        with pytest.raises(ValueError, match="bins"):
            ladder(edges=edges, choices=(choice(*bins),))
    for wrong in ((1.2, 0.4, 3.0), (0.5, -0.1, 3.0), (0.5, 0.4, 0.0)):
        with pytest.raises(ValueError, match=r"(less|greater) than"):
            choice(wrong)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("schema: 5", "schema: 3"), "version 3, this tts reads 5"),
        (("unit: tokens", "unit: joules"), "unit"),
        (("discount: 0.25", "discount: 1.25"), "belief.discount"),
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
