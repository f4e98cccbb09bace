"""What the searches in flight hold of one KV cache, and the price of a block that they share.

To keep prefixes of the greatest total worth within a capacity, each search may decide for itself at
one price per block (Lagrangian relaxation; Everett 1963): what all of them keep at a price is worth
at least as much as any other choice of as many blocks or fewer. The lowest price at which all of it
fits is 0 as long as there is room, so that nothing is given up before blocks are scarce.

Searches take turns besides: one grows while it fits beside those that began before it. A search
that waits may lose its prefixes once; searches that do not wait take them from each other at every
step.
"""

import asyncio
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
        max_live: Part of the KV cache that searches may fill before others wait; None for no end.
    """

    def __init__(
        self, capacity: Callable[[], int | None], *, max_live: float | None = None
    ) -> None:
        self._capacity = capacity
        self._max_live = max_live
        self._demands: dict[object, KVDemand] = {}
        self._held: dict[object, int] = {}
        self._waiting: list[asyncio.Future[None]] = []

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
        """Say how many KV blocks a search will hold until its next call.

        Args:
            search: Who says so; its first call is its beginning.
            blocks: With those that it is about to ask for.
        """
        self._held[search] = blocks
        self.look_again()

    async def turn(self, search: object, is_over: Callable[[], bool] = lambda: False) -> None:
        """Wait until a search fits beside those that began before it; the first never waits.

        Args:
            search: Who asks; it has said what it will hold.
            is_over: Whether nothing more may be generated for it, so that it need not wait.
        """
        while not (self._fits(search) or is_over()):
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            await waiter

    def leave(self, search: object) -> None:
        """Say that a search has ended and holds nothing more."""
        self._demands.pop(search, None)
        self._held.pop(search, None)
        self.look_again()

    def look_again(self) -> None:
        """Wake waiting searches, so that each checks again whether it may go on."""
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if not waiter.done():  # cancelled
                waiter.set_result(None)

    def _fits(self, search: object) -> bool:
        capacity = self._capacity()
        if capacity is None or self._max_live is None:
            return True
        held = list(self._held)
        until = held.index(search) + 1
        live = sum(self._held[other] for other in held[:until])
        return until == 1 or live <= self._max_live * capacity
