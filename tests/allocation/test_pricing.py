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


def test_a_share_has_a_rule() -> None:
    rules = [PricedRule(100, 0.1, ((0.0, 2.0),)), PricedRule(400, 0.0, ((1.0, 0.0),))]
    middle = rule_for(rules, 200)
    assert middle.cost == 200
    assert middle.price == pytest.approx(0.05)
    (weights,) = middle.weights
    assert weights == pytest.approx((0.5, 1.0))
    assert rule_for(rules, 1).weights == rules[0].weights
    assert rule_for(rules, 9_999).weights == rules[1].weights
    assert rule_for(rules[:1], 200).weights == rules[0].weights


def test_no_prices_and_no_costs_are_refused() -> None:
    for costs, prices in (((), ()), ((1.0,), (0.1, 0.2)), ((0.0,), (0.1,))):
        with pytest.raises(InputError, match="costs that are positive"):
            price_for(costs, prices, 1.0)
