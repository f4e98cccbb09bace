"""An event loop whose time passes at once: for what waits, but reads and writes nothing."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
_THREAD_SECONDS = 5.0


class _Selector(selectors.DefaultSelector):
    """Waits for nobody: the time that it should wait for passes."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        ready: list[Any] = super().select(0)
        if timeout is None and not ready:
            ready = super().select(_THREAD_SECONDS)  # only a thread can end this
            if not ready:
                raise RuntimeError("everything waits, and nothing will happen")
        self.now += timeout or 0.0
        return ready


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._clock = _Selector()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now


def run_at_once(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine, in no time but that of its own work."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        return runner.run(main)
