"""Routers: what they choose, what that brings, by hand; files that are none."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tts.allocation.router import (
    KINDS,
    Chooser,
    Kind,
    Router,
    Tier,
    best_tier,
    fit_router,
    load_router,
    oracle_choices,
    routed,
    save_router,
)
from tts.errors import InputError

TIERS = (Tier("small", cost=1.0), Tier("large", cost=10.0))
# Short problems are solved by both tiers, long ones by the large one alone.
SHORT = [f"Add {i} and 1." for i in range(20)]
LONG = [f"Add {i} and 1, then {' then '.join(['do it again'] * 20)}." for i in range(20)]
RIGHT = np.array([[1.0, 1.0]] * 20 + [[0.0, 1.0]] * 20)


def fitted(kind: Kind, price: float = 0.5) -> Router:
    return fit_router(kind, TIERS, [*SHORT, *LONG], RIGHT, unit="tokens", price=price)


@pytest.mark.parametrize("kind", KINDS)
def test_hard_problems_go_to_the_dearer_tier(kind: Kind) -> None:
    router = fitted(kind)
    assert isinstance(router, Chooser)
    assert router.choose("Add 77 and 1.") == 0
    assert router.choose(LONG[3].replace("Add 3", "Add 33")) == 1
    small, large = router.chances("Add 77 and 1.")
    assert small > 0.8 and large > 0.8
    assert replace(router, price=2.0).choose(LONG[3]) == 0  # no chance is worth so much
    assert router.knows("Add  3 and 1.") and not router.knows("Add 77 and 1.")


def test_the_nearest_five_decide() -> None:
    # Of the five nearest to a short problem all are short: chance 1 each, so the cheaper.
    assert fitted("knn").chances(SHORT[0]).tolist() == [1.0, 1.0]
    assert fitted("knn").chances(LONG[0]).tolist() == [0.0, 1.0]


@pytest.mark.parametrize(
    ("chances", "price", "place"),
    [
        ([0.5, 0.9], 0.0, 1),
        ([0.5, 0.9], 0.4, 1),  # .5 - .04 = .46 against .9 - .4 = .5
        ([0.5, 0.9], 0.5, 0),  # .45 against .4
        ([0.9, 0.9], 0.0, 0),  # equals: the cheaper
    ],
)
def test_a_price_trades_chance_for_cost(chances: list[float], price: float, place: int) -> None:
    assert best_tier(np.array(chances), [1.0, 10.0], price) == place


def test_what_choices_bring() -> None:
    right = np.array([[1.0, 1.0], [0.0, 1.0], [0.0, 0.0], [1.0, 0.0]])
    costs = np.tile([1.0, 4.0], (4, 1))
    assert oracle_choices(right).tolist() == [0, 1, 0, 0]
    found = routed([1, 1, 0, 0], right, costs)
    # Right on the first, second and fourth: .75 for (4 + 4 + 1 + 1) / 4 = 2.5.
    assert (found.accuracy, found.cost, found.best_picks) == (0.75, 2.5, 0.75)
    # Against the cheapest tier, .5 for 1: (.75 / .5 - 1) / (2.5 / 1 - 1) = .5 / 1.5.
    assert found.tep == pytest.approx(1 / 3)
    # The oracle has .75 for (1 + 4 + 1 + 1) / 4 = 1.75.
    assert found.regret == 0 and found.excess == pytest.approx(2.5 / 1.75)
    assert routed([0, 0, 0, 0], right, costs).tep is None
    assert routed([0, 0, 0, 0], right, costs, own_cost=0.5).cost == 1.5


def test_an_embedding_is_a_further_feature() -> None:
    # The text says nothing, the embedding all.
    texts = ["Add 3 and 1."] * 40
    vectors = [[1.0, 0.0]] * 20 + [[0.0, 2.0]] * 20
    router = fit_router(
        "logistic", TIERS, texts, RIGHT, unit="tokens", price=0.3, embedder="e", embeddings=vectors
    )
    assert router.choose(texts[0], [3.0, 0.0]) == 0
    assert router.choose(texts[0], [0.0, 0.1]) == 1
    with pytest.raises(InputError, match="give it the embedder it knew"):
        router.choose(texts[0])
    with pytest.raises(InputError, match="it takes no embedding"):
        fitted("knn").choose(texts[0], [1.0])


def test_a_router_is_kept_in_a_file(tmp_path: Path) -> None:
    for kind in KINDS:
        save_router(fitted(kind), tmp_path / "router.json")
        assert load_router(tmp_path / "router.json") == fitted(kind)
    with pytest.raises(InputError, match="no router here; make one with tts train-router"):
        load_router(tmp_path / "none.json")
    values = json.loads((tmp_path / "router.json").read_text())
    (tmp_path / "old.json").write_text(json.dumps({**values, "schema": 0}))
    with pytest.raises(InputError, match="no router of this version"):
        load_router(tmp_path / "old.json")
    del values["tiers"]
    (tmp_path / "torn.json").write_text(json.dumps(values))
    with pytest.raises(InputError, match="a damaged router"):
        load_router(tmp_path / "torn.json")


def test_what_cannot_be_fitted_is_refused() -> None:
    with pytest.raises(InputError, match="two tiers or more"):
        fit_router("knn", TIERS[:1], SHORT, RIGHT[:20, :1], unit="tokens", price=0)
    with pytest.raises(InputError, match="10 problems or more, not 9"):
        fit_router("knn", TIERS, SHORT[:9], RIGHT[:9], unit="tokens", price=0)
    with pytest.raises(InputError, match="must not be negative"):
        fitted("knn", price=-1.0)
