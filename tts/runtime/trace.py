"""What happened to one problem, in order, for people and viewers."""

import time
from collections.abc import Callable
from typing import Any

from tts.types import Event


def never_loading() -> float:
    """Return 0 s, in which models were loaded while work waited for them."""
    return 0.0


def working(loading: Callable[[], float]) -> Callable[[], float]:
    """Return a clock of seconds that stands still while models are loaded.

    Args:
        loading: Returns the seconds in which they were loaded so far.
    """
    return time.monotonic if loading is never_loading else lambda: time.monotonic() - loading()


class Trace:
    """A list of events that stamps itself; `seconds` counts from its creation."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._start = clock()
        self.events: list[Event] = []

    def emit(self, kind: str, node: str, **values: Any) -> None:
        """Add an event; `values` must be JSON-serialisable."""
        self.events.append(Event(self.seconds(), kind, node, values))

    def seconds(self) -> float:
        """Return the time since the trace began."""
        return self._clock() - self._start
