"""Sandboxes that have started and wait for code, so that no attempt pays for a start."""

import asyncio
import weakref
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from tts.verifiers._sandbox.plain import is_plain
from tts.verifiers._sandbox.sandbox import Assertions, Cell, Outcome, Sandbox, Test

_NOT_RUN = Outcome(None, error="it was not run: tests before did not end in time", is_run=False)


class Pool:
    """At most so many sandboxes at once, kept between calls.

    What is kept is the first process of a sandbox, which no code has run in; all that an attempt
    started, and all its files, are gone before the next one. One that has ended, or holds what
    cannot be deleted, is replaced. Plain assertions about one attempt share a pair of processes, as
    those of one HumanEval test do: what they name of it is called in turn, in one process of the
    code. Every other test has a pair of its own, as has a plain one at which the shared pair comes
    to an end: by a limit, or because the code ended it.

    It may be used from one event loop after another. What waits ends with `aclose`, with this
    object and with this process.

    Args:
        sandbox: Of which kind.
        size: Sandboxes at once.
    """

    def __init__(self, sandbox: Sandbox, size: int) -> None:
        self._sandbox, self._size = sandbox, size
        self._idle: list[Cell] = []
        self._slots: tuple[asyncio.AbstractEventLoop, asyncio.Semaphore] | None = None
        self._finalizer = weakref.finalize(self, _end_all, self._idle)

    async def run(
        self, code: str, tests: Sequence[Test], *, give_up: int | None = None
    ) -> list[Outcome]:
        """Run code against each test, as `Sandbox.run` does; cancelling this ends what runs.

        Equal tests are run once.

        Args:
            code: Python source.
            tests: What it is run against.
            give_up: Tests in a row that do not end in time, after which the code is run against no
                further one; None runs it against all.

        Raises:
            VerifierError: A sandbox cannot start.
        """
        plain = [test for test in tests if isinstance(test, Assertions) and is_plain(test.text)]
        done = await self._run_together(code, plain) if len(plain) > 1 else {}
        missing, late = [test for test in dict.fromkeys(tests) if test not in done], 0
        while missing and late != give_up:
            async with self._cell() as cell:
                await cell.load(code)
                while missing and late != give_up:
                    outcome = done[missing[0]] = await cell.run(missing[0])
                    late = late + 1 if outcome.is_late else 0
                    missing.pop(0)
                    if not cell.is_running:
                        break
        done.update(dict.fromkeys(missing, _NOT_RUN))
        return [done[test] for test in tests]

    async def _run_together(self, code: str, tests: Sequence[Assertions]) -> dict[Test, Outcome]:
        async with self._cell() as cell:
            await cell.load(code)
            return dict(zip(tests, await cell.run_together(tests), strict=False))

    async def aclose(self) -> None:
        """End what waits."""
        while self._idle:
            await self._idle.pop().close()

    @asynccontextmanager
    async def _cell(self) -> AsyncIterator[Cell]:
        async with self._semaphore():
            cell = self._take() or await self._sandbox.start()
            try:
                yield cell
            except BaseException:
                await cell.close()
                raise
            if cell.is_running:
                self._idle.append(cell)
            else:
                await cell.close()

    def _take(self) -> Cell | None:
        while self._idle:
            cell = self._idle.pop()
            if cell.is_running:
                return cell
            cell.end()
        return None

    def _semaphore(self) -> asyncio.Semaphore:
        loop = asyncio.get_running_loop()
        if self._slots is None or self._slots[0] is not loop:
            self._slots = loop, asyncio.Semaphore(self._size)
        return self._slots[1]


def _end_all(cells: list[Cell]) -> None:
    while cells:
        cells.pop().end()
