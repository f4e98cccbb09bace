"""What the searches on one engine keep of its KV cache."""

from collections.abc import Callable
from typing import Protocol


class KVDemand(Protocol):
    """The KV blocks that a search would keep, by the price of a block."""

    def blocks(self, price: float) -> float:
        """Return how many; no more of them at a higher price."""
        ...


class KVMarket(Protocol):
    """What the searches in flight on one engine would keep of its KV cache, and what they hold."""

    def price(self, search: object, demand: KVDemand, *, share: float) -> float:
        """Say what a search would keep now; returns the price per block at which all searches fit.

        Args:
            search: Who asks.
            demand: Blocks that it would keep, by their price.
            share: Part of the KV cache that all of them may keep.
        """
        ...

    def hold(self, search: object, blocks: int) -> None:
        """Say how many KV blocks a search will hold, with those that it is about to ask for."""
        ...

    async def turn(self, search: object, is_over: Callable[[], bool] = ...) -> None:
        """Wait until what a search holds fits beside those that began before it.

        The first never waits, nor does one for which `is_over` says that nothing more may come.
        """
        ...

    def leave(self, search: object) -> None:
        """Say that a search has ended and holds nothing more."""
        ...
