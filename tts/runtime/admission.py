"""Which problems may start: as many as fit, problems in flight first.

A problem that has begun keeps its prefixes in the KV cache; letting ever more problems in would
evict them, and each evicted prefix is prefilled again. So new problems wait while the cache is
nearly full, unless nothing runs at all.
"""

import asyncio
from collections.abc import Callable


class Admission:
    """Admits problems in order.

    Args:
        max_problems: Most problems in flight.
        kv_usage: Fraction of the engine's KV cache in use, 0 where the engine cannot tell.
        max_kv_usage: Above this, no further problem is admitted.
    """

    def __init__(
        self,
        max_problems: int,
        *,
        kv_usage: Callable[[], float] = lambda: 0.0,
        max_kv_usage: float = 0.9,
    ) -> None:
        self._max_problems = max_problems
        self._kv_usage = kv_usage
        self._max_kv_usage = max_kv_usage
        self._running = 0
        self._changed = asyncio.Event()
        # Keeps those who come later from being let in before those who wait.
        self._turn = asyncio.Lock()

    def look_again(self) -> None:
        """Check again whether a problem may start: KV blocks may have been freed."""
        self._changed.set()

    async def acquire(self) -> None:
        """Wait until one more problem may start; who came first is let in first."""
        async with self._turn:
            while not self._has_room():
                self._changed.clear()
                await self._changed.wait()
            self._running += 1

    def release(self) -> None:
        """Say that a problem has ended."""
        self._running -= 1
        self._changed.set()

    def _has_room(self) -> bool:
        if self._running == 0:
            return True
        return self._running < self._max_problems and self._kv_usage() < self._max_kv_usage
