"""What the searches in flight hold of one KV cache, and the price of a block that they share.

To keep prefixes of the greatest total worth within a capacity, each search may decide for itself at
one price per block (Lagrangian relaxation; Everett 1963): what all of them keep at a price is worth
at least as much as any other choice of as many blocks or fewer. The lowest price at which all of it
fits is 0 as long as there is room, so that nothing is given up before blocks are scarce.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence

import numpy as np

from tts.protocols import KVDemand

# A search's worths sum to a few units, so that at the last price it keeps its cheapest leaf alone.
PRICES: tuple[float, ...] = tuple(np.geomspace(1e-4, 4.0, 64).tolist())


def clearing_price(demands: Sequence[KVDemand], capacity: float) -> float:
    """Return the lowest of 0 and `PRICES` at which all demands fit together.

    It is the highest price if they never do: a search always keeps something.

    Args:
        demands: One for each search.
        capacity: KV blocks.
    """

    def fits(price: float) -> bool:
        return sum(demand.blocks(price) for demand in demands) <= capacity

    if fits(0.0):
        return 0.0
    return PRICES[min(bisect_left(PRICES, True, key=fits), len(PRICES) - 1)]


class Market:
    """The searches in flight on one engine: what each would keep, and what each holds.

    Args:
        capacity: KV blocks of the engine; None where it cannot tell, and blocks are free.
    """

    def __init__(self, capacity: Callable[[], int | None]) -> None:
        self._capacity = capacity
        self._demands: dict[object, KVDemand] = {}
        self._held: dict[object, int] = {}
        self._most: dict[object, int] = {}
        self._num_ended = 0
        self._sum_ended = 0

    def price(self, search: object, demand: KVDemand, *, share: float) -> float:
        """Say what a search would keep now; returns the price per block at which all searches fit.

        The others count with what they said at their last decision.

        Args:
            search: Who asks.
            demand: Blocks that it would keep, by their price.
            share: Part of the KV cache that all of them may keep.
        """
        capacity = self._capacity()
        if capacity is None:
            return 0.0
        self._demands[search] = demand
        return clearing_price(list(self._demands.values()), share * capacity)

    def hold(self, search: object, blocks: int) -> None:
        """Say how many KV blocks the live leaves of a search hold now."""
        self._held[search] = blocks
        self._most[search] = max(blocks, self._most.get(search, 0))

    def leave(self, search: object) -> None:
        """Say that a search has ended and holds nothing more."""
        self._demands.pop(search, None)
        if self._held.pop(search, None) is not None:
            self._sum_ended += self._most.pop(search)
            self._num_ended += 1

    def has_room(self, num_problems: int, *, share: float) -> bool:
        """Return whether the search of one more problem will likely fit beside those in flight.

        A search is expected to hold as much as searches did at most, on average, so that the second
        problem waits until the first search holds something.

        Args:
            num_problems: Problems in flight, those included whose search has not begun.
            share: Part of the KV cache that all of them may hold.
        """
        capacity, num_known = self._capacity(), self._num_ended + len(self._most)
        if capacity is None or num_problems == 0:
            return True
        if not num_known:
            return False
        expected = (self._sum_ended + sum(self._most.values())) / num_known
        held = sum(max(blocks, expected) for blocks in self._held.values())
        num_coming = max(0, num_problems - len(self._held)) + 1
        return held + num_coming * expected <= share * capacity
