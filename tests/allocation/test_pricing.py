"""From shares to prices and rules, by hand."""

import pytest

from tts.allocation.pricing import PricedRule, price_for, rule_for
from tts.errors import InputError


def test_a_share_has_a_price() -> None:
    # Log-linear: 200 tokens cost .1 and 800 cost .001, so 400, halfway in logs, cost .01.
    costs, prices = (200, 800), (0.1, 0.001)
    assert price_for(costs, prices, 400) == pytest.approx(0.01)
    assert price_for(costs, prices, 1) == pytest.approx(0.1)
    assert price_for(costs, prices, 10_000) == pytest.approx(0.001)
    assert price_for((200, 800, 900), (0.1, 0.001, 0.0), 10_000) == 0.0


def test_problems_cost_their_share_on_average() -> None:
    rules = [PricedRule(cost, 1 / cost, ()) for cost in (100.0, 400.0, 390.0, 900.0)]
    chosen = [rule_for(rules, 200, (i + 0.5) / 300).cost for i in range(300)]
    assert sum(chosen) / 300 == pytest.approx(200)  # two in three get the cheaper one
    assert set(chosen) == {100, 400}
    for share, cost in ((1, 100), (100, 100), (400, 400), (9_999, 900)):
        assert {rule_for(rules, share, luck).cost for luck in (0.0, 0.99)} == {cost}
    assert rule_for(rules[:1], 200, 0.5) == rules[0]


def test_no_prices_and_no_costs_are_refused() -> None:
    for costs, prices in (((), ()), ((1.0,), (0.1, 0.2)), ((0.0,), (0.1,))):
        with pytest.raises(InputError, match="costs that are positive"):
            price_for(costs, prices, 1.0)
