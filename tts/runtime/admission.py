"""Which problems may start: as many as fit, problems in flight first.

A problem that has begun keeps its prefixes in the KV cache; letting ever more problems in would
evict them, and each evicted prefix is prefilled again. So new problems wait while the cache is
nearly full, or would be, unless nothing runs at all. What a problem will hold is predicted: its
prompt, where what it shares with others in flight counts once, and as many generated tokens as
those before it held on the mean.

They wait too while those in flight hold so much of the run's budget in reserve that a further one
would find nothing left.
"""

import asyncio
from collections import Counter
from collections.abc import Callable

from tts.runtime.ordering import Placed
from tts.types import Result


class Admission:
    """Admits problems in order.

    Args:
        max_problems: Most problems in flight.
        kv_usage: Fraction of the engine's KV cache in use, 0 where the engine cannot tell.
        kv_tokens: Size of that cache; None where the engine cannot tell, or has not started.
        max_kv_usage: Above this, no further problem is admitted.
        has_budget: Whether the run's budget has room for one more.
    """

    def __init__(
        self,
        max_problems: int,
        *,
        kv_usage: Callable[[], float] = lambda: 0.0,
        kv_tokens: Callable[[], int | None] = lambda: None,
        max_kv_usage: float = 0.9,
        has_budget: Callable[[], bool] = lambda: True,
    ) -> None:
        self._max_problems = max_problems
        self._kv_usage = kv_usage
        self._kv_tokens = kv_tokens
        self._max_kv_usage = max_kv_usage
        self._has_budget = has_budget
        self._running = 0
        self._groups: Counter[int] = Counter()
        self._prompt_tokens = 0  # of those that run
        self._decoded = 0.0  # tokens that finished problems held, on the mean
        self._finished = 0
        self._changed = asyncio.Event()
        # Keeps those who come later from being let in before those who wait.
        self._turn = asyncio.Lock()

    def look_again(self) -> None:
        """Check again whether a problem may start: KV blocks, or a budget's rest, may be free."""
        self._changed.set()

    async def acquire(self, placed: Placed | None = None) -> None:
        """Wait until one more problem may start; who came first is let in first.

        Args:
            placed: The problem; None where nothing is known of it.
        """
        async with self._turn:
            while not self._has_room(placed):
                self._changed.clear()
                await self._changed.wait()
            self._running += 1
            self._prompt_tokens += self._needs(placed)
            if placed is not None:
                self._groups[placed.group] += 1

    def release(self, placed: Placed | None = None, result: Result | None = None) -> None:
        """Say that a problem has ended, and with what."""
        self._running -= 1
        if placed is not None:
            self._groups[placed.group] -= 1
        self._prompt_tokens -= self._needs(placed)
        if result is not None and (tokens := _decoded(result)) is not None:
            self._finished += 1
            self._decoded += (tokens - self._decoded) / self._finished
        self._changed.set()

    def _needs(self, placed: Placed | None) -> int:
        """Return the tokens of a prompt that none of those that run shares."""
        if placed is None:
            return 0
        is_first = not self._groups[placed.group]
        return placed.own_tokens + (placed.shared_tokens if is_first else 0)

    def _has_room(self, placed: Placed | None) -> bool:
        if self._running == 0:
            return True
        if self._running >= self._max_problems or self._kv_usage() >= self._max_kv_usage:
            return False
        if not self._has_budget():
            return False
        if (size := self._kv_tokens()) is None:
            return True
        prompts = self._prompt_tokens + self._needs(placed)
        predicted = prompts + (self._running + 1) * self._decoded
        return predicted <= self._max_kv_usage * size


def _decoded(result: Result) -> float | None:
    """Return the generated tokens that a problem held on the mean; None if nobody can tell.

    A sample holds half of its tokens on the mean of its time, which is a part of the problem's.
    What was replayed took its time in another session.
    """
    wall = result.usage.seconds
    if result.usage.reused_tokens or not wall:
        return None
    held = 0.0
    for sample in result.samples:
        tokens, seconds = sample.usage.generated_tokens, sample.usage.seconds
        if tokens is None or seconds is None:
            return None
        held += tokens / 2 * seconds
    return held / wall
