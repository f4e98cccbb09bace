"""Asking for the same thing once."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

V = TypeVar("V")


class Once(Generic[V]):
    """Remembers by key what was asked for; who asks while it is under way waits for it."""

    def __init__(self) -> None:
        self._known: dict[Hashable, asyncio.Future[V]] = {}

    async def get(self, key: Hashable, ask: Callable[[], Awaitable[V]]) -> V:
        """Return what the first `ask` for this key returned.

        Should that one fail or be cancelled, the others are cancelled.
        """
        if (known := self._known.get(key)) is not None:
            # Shielded, so that one who gives up waiting does not take it from the others.
            return await asyncio.shield(known)
        future: asyncio.Future[V] = asyncio.get_running_loop().create_future()
        self._known[key] = future
        try:
            future.set_result(await ask())
        finally:
            future.cancel()  # without effect on a result; ends those who wait when we are cancelled
        return future.result()
