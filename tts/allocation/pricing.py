"""From what a problem may cost to the price of a sample, and to the rule that stops there.

A price is the least gain in accuracy for which a mean sample is drawn. `tts calibrate` knows what
stopping at each price costs; between two of them a price is straight in the logarithm of the cost.
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
    price = float(np.exp(np.interp(np.log(share), np.log(_rising(costs, len(logs))), logs)))
    return price if price > 2 * _LEAST_PRICE else 0.0


def rule_for(rules: Sequence[PricedRule], share: float, luck: float) -> PricedRule:
    """Return one of the two rules around a share, so often each that problems cost it on average.

    A rule between the two, of weights between theirs, would cost anything between them: next to the
    rule that draws all samples, nearly all of them.

    Args:
        rules: Rising in cost.
        share: In the unit of the costs.
        luck: The problem's own, evenly spread over [0, 1).

    Raises:
        InputError: There are no rules.
    """
    costs = _rising([rule.cost for rule in rules], len(rules))
    dearer = int(np.searchsorted(costs, share))
    if dearer in (0, len(rules)):
        return rules[min(dearer, len(rules) - 1)]
    part = (share - costs[dearer - 1]) / (costs[dearer] - costs[dearer - 1])
    return rules[dearer if luck < part else dearer - 1]


def _rising(costs: Sequence[float], number: int) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    if not number or len(costs) != number or not min(costs) > 0:
        raise InputError("a price needs costs that are positive, one for each price")
    # Cross-validated costs do not quite rise by themselves.
    rising: np.ndarray[tuple[int], np.dtype[np.float64]] = np.maximum.accumulate(costs)
    return rising
