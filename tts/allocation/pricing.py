"""From what a problem may cost to the price of a sample, and to the rule that stops there.

A price is the least gain in accuracy for which a mean sample is drawn. `tts calibrate` knows what
stopping at each price costs; between two of them both are straight in the logarithm of the cost.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tts.errors import InputError

_LEAST_PRICE = 1e-12  # stands for none, which has no logarithm


@dataclass(frozen=True, slots=True)
class PricedRule:
    """A stopping rule and what it costs.

    Attributes:
        cost: Of a problem, on average.
        price: For which it was made.
        weights: Of the rule, one row for each step but the last.
    """

    cost: float
    price: float
    weights: tuple[tuple[float, ...], ...]


def price_for(costs: Sequence[float], prices: Sequence[float], share: float) -> float:
    """Return the price at which a problem costs `share`; that of the nearest end beyond the costs.

    Args:
        costs: Of a problem at each price, rising.
        prices: Falling.
        share: In the unit of the costs.

    Raises:
        InputError: No prices, or not one for each cost.
    """
    logs = np.log(np.maximum(prices, _LEAST_PRICE))
    price = float(np.exp(np.interp(np.log(share), _rising(costs, len(logs)), logs)))
    return price if price > 2 * _LEAST_PRICE else 0.0


def rule_for(rules: Sequence[PricedRule], share: float) -> PricedRule:
    """Return the rule that costs `share` on average, between the two of `rules` around it.

    Args:
        rules: Rising in cost.
        share: In the unit of the costs.

    Raises:
        InputError: There are no rules.
    """
    rising = _rising([rule.cost for rule in rules], len(rules))
    place = float(np.interp(np.log(share), rising, np.arange(len(rules))))
    i = min(int(place), len(rules) - 1)
    j, part = min(i + 1, len(rules) - 1), place - int(place)
    rows = (1 - part) * np.asarray(rules[i].weights) + part * np.asarray(rules[j].weights)
    price = (1 - part) * rules[i].price + part * rules[j].price
    return PricedRule(share, price, tuple(map(tuple, rows.tolist())))


def _rising(costs: Sequence[float], number: int) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    if not number or len(costs) != number or not min(costs) > 0:
        raise InputError("a price needs costs that are positive, one for each price")
    # Cross-validated costs do not quite rise by themselves.
    rising: np.ndarray[tuple[int], np.dtype[np.float64]] = np.maximum.accumulate(np.log(costs))
    return rising
