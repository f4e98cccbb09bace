"""What an engine was asked for of one request, read as it comes."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace

from tts.protocols import CompletionStream
from tts.types import Completion, Usage, sum_usage


class Parts:
    """The completions of a request's missing samples, in the order in which they come.

    Args:
        streams: Of each run of neighbouring samples, by the index of its first.
    """

    def __init__(self, streams: Mapping[int, CompletionStream]) -> None:
        self._streams = dict(streams)
        self._pulls: dict[int, asyncio.Task[Completion | None]] = {}

    def __bool__(self) -> bool:
        """Return whether something may still come."""
        return bool(self._streams)

    async def next(self) -> Completion:
        """Return the next completion, with its index in the whole request.

        Raises:
            StopAsyncIteration: All were returned.
            EngineError: The engine died.
        """
        while self._streams:
            offset, completion = await self._first()
            if completion is not None:
                index = completion.index + offset
                return replace(completion, index=index) if offset else completion
            del self._streams[offset]
        raise StopAsyncIteration

    async def aclose(self) -> Usage:
        """Abort what still runs; returns the cost of all that was not read."""
        usages = [await stream.aclose() for stream in tuple(self._streams.values())]
        for pull in tuple(self._pulls.values()):
            await asyncio.wait([pull])
            if not pull.cancelled() and pull.exception() is None:
                completion = pull.result()
                usages += [completion.usage] if completion is not None else []
        return sum_usage(usages)

    async def _first(self) -> tuple[int, Completion | None]:
        """Return what comes first, None for the end of a part, and the offset of its part."""
        if len(self._streams) == 1 and not self._pulls:
            ((offset, stream),) = self._streams.items()
            return offset, await _pull(stream)
        loop = asyncio.get_running_loop()
        for offset in sorted(self._streams.keys() - self._pulls.keys()):
            self._pulls[offset] = loop.create_task(_pull(self._streams[offset]))
        await asyncio.wait(self._pulls.values(), return_when=asyncio.FIRST_COMPLETED)
        first = min(offset for offset, pull in self._pulls.items() if pull.done())
        return first, self._pulls.pop(first).result()


async def _pull(stream: CompletionStream) -> Completion | None:
    try:
        return await anext(stream)
    except StopAsyncIteration:
        return None
