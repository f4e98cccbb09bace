"""The models of which graphs are made, and how many of each a budget buys.

Source: arXiv:2511.00086 (Agent-REINFORCE): models cost units by their size, and a graph has as many
of each as leave the least of its budget unspent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MOST_NODES = 16
Slot = tuple[str, int]  # a node: its engine, and which of that engine's nodes it is
LAST: Slot = ("", -1)  # the node that decides


@dataclass(frozen=True, slots=True)
class Models:
    """The models that graphs are made of.

    Attributes:
        prices: Units that one node costs, by engine of the run, cheapest first; an empty name is
            the run's own.
        budget: Units of a whole graph, without the node that decides.
    """

    prices: Mapping[str, int]
    budget: int

    def counts(self) -> list[tuple[int, ...]]:
        """Return how many nodes each engine may have: all ways that leave the least unspent.

        Graphs have `MOST_NODES` at most.
        """
        ways: list[tuple[int, ...]] = [()]
        for price in self.prices.values():
            most = min(MOST_NODES, self.budget // price)
            ways = [(*way, count) for way in ways for count in range(most + 1)]
        spent = {way: self._price(way) for way in ways if 0 < sum(way) <= MOST_NODES}
        most = max(price for price in spent.values() if price <= self.budget)
        return [way for way, price in spent.items() if price == most]

    def slots(self, counts: Sequence[int]) -> tuple[Slot, ...]:
        """Return the nodes of a graph, those of cheap engines first: edges lead to later ones."""
        pairs = zip(self.prices, counts, strict=True)
        return tuple((engine, number) for engine, count in pairs for number in range(count))

    def _price(self, counts: Sequence[int]) -> int:
        return sum(n * price for n, price in zip(counts, self.prices.values(), strict=True))
