"""Edges of a running pipeline: an `Outlet` is copied to its `Inlet`s.

Edges are unbounded, because bounded ones deadlock where a graph forks and joins again; what is in
flight is bounded by the ledger and by admission. Everything here runs in one event loop.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Self

from tts.types import Trajectory


class ChannelInlet:
    """The reading end of one edge; it has one reader.

    Attributes:
        taken: Trajectories that the reader has taken.
    """

    def __init__(self, on_close: Callable[[], None]) -> None:
        self.taken = 0
        self._on_close = on_close
        self._items: deque[tuple[int, Trajectory]] = deque()
        self._changed = asyncio.Event()
        self._finished = False  # the writer will send no more
        self._closed = False  # the reader wants no more
        self._begun = False  # the reader has come here at least once
        self._wanting = asyncio.Event()  # the reader waits for more
        self._ready: Callable[[], Awaitable[None]] | None = None

    def __aiter__(self) -> "Merged":
        """Read this inlet alone, by arrival."""
        return Merged([self])

    def close(self) -> None:
        """Read no more; the last reader of an outlet to close cancels the node behind it."""
        if self._closed:
            return
        self._closed = True
        self._items.clear()
        self._changed.set()
        self._wanting.set()
        self._on_close()

    @property
    def is_closed(self) -> bool:
        """Whether the reader wants no more."""
        return self._closed

    @property
    def is_exhausted(self) -> bool:
        """Whether nothing is there and nothing will come."""
        return self._closed or (self._finished and not self._items)

    def push(self, stamp: int, trajectory: Trajectory) -> None:
        """Put a trajectory at the end, for the outlet; ignored once closed."""
        if not self._closed:
            self._items.append((stamp, trajectory))
            self._changed.set()

    def finish(self) -> None:
        """Say that no more will come, for the outlet."""
        self._finished = True
        self._changed.set()

    def share(self, changed: asyncio.Event) -> None:
        """Signal arrivals through another event, so that one reader can wait for many inlets."""
        if self._changed.is_set():
            changed.set()
        self._changed = changed

    def first_stamp(self) -> int | None:
        """Return when the next trajectory arrived; None when there is none."""
        return self._items[0][0] if self._items else None

    def pop(self) -> Trajectory:
        """Take the next trajectory."""
        self._begun = True
        self._wanting.clear()
        self.taken += 1
        return self._items.popleft()[1]

    def want(self) -> None:
        """Say, for the reader, that it has dealt with all there was and waits for more."""
        self._begun = True
        self._wanting.set()

    def defer(self, ready: Callable[[], Awaitable[None]]) -> None:
        """Delay demand for more until `ready()` returns: for a node that passes on its input."""
        self._ready = ready

    async def wanted(self) -> None:
        """Return once the reader has dealt with all that was sent, or has closed.

        A reader that has not come here yet may be waiting for another inlet first, so that to
        wait for it could be to wait forever.
        """
        await asyncio.sleep(0)
        if not self._begun or self._closed:
            return
        if self._items:
            self._wanting.clear()
        await self._wanting.wait()
        if self._ready is not None and not self._closed:
            await self._ready()


class Merged:
    """Several inlets read as one, in the order in which trajectories were sent."""

    def __init__(self, inlets: Sequence[ChannelInlet]) -> None:
        self._inlets = list(inlets)
        self._changed = asyncio.Event()
        for inlet in self._inlets:
            inlet.share(self._changed)

    def __aiter__(self) -> Self:
        """Return the iterator itself."""
        return self

    async def __anext__(self) -> Trajectory:
        """Return the earliest trajectory; wait when there is none yet."""
        while True:
            stamps = [
                (stamp, position)
                for position, inlet in enumerate(self._inlets)
                if (stamp := inlet.first_stamp()) is not None
            ]
            if stamps:
                return self._inlets[min(stamps)[1]].pop()
            if all(inlet.is_exhausted for inlet in self._inlets):
                raise StopAsyncIteration
            self._changed.clear()
            for inlet in self._inlets:
                inlet.want()
            await self._changed.wait()

    def close(self) -> None:
        """Close every inlet."""
        for inlet in self._inlets:
            inlet.close()


class IndexOrdered:
    """Several inlets read one after the other, each by origin index.

    Whatever the order of arrival, the reader sees the same sequence, provided that a node gives
    each of its trajectories an index of its own. An index is passed on as soon as all smaller
    ones were; what follows a gap (a pruned trajectory) waits for the inlet's end.
    """

    def __init__(self, inlets: Sequence[ChannelInlet]) -> None:
        self._readers = deque(aiter(inlet) for inlet in inlets)
        self._held: list[tuple[int, str, Trajectory]] = []
        self._next_index = 0
        self._ended = False

    def __aiter__(self) -> Self:
        """Return the iterator itself."""
        return self

    async def __anext__(self) -> Trajectory:
        """Return the next trajectory in order; wait until it has arrived."""
        while self._readers:
            if self._held and (self._ended or self._held[0][0] <= self._next_index):
                index, _, trajectory = heapq.heappop(self._held)
                self._next_index = index + 1
                return trajectory
            if self._ended:
                self._readers.popleft()
                self._next_index, self._ended = 0, False
                continue
            try:
                trajectory = await anext(self._readers[0])
            except StopAsyncIteration:
                self._ended = True
            else:
                heapq.heappush(self._held, (trajectory.origin.index, trajectory.id, trajectory))
        raise StopAsyncIteration


class ChannelOutlet:
    """The writing end of a node, copied to every reader.

    Attributes:
        sent: Trajectories that were sent.
    """

    def __init__(self, stamps: Iterator[int], on_unread: Callable[[], None]) -> None:
        self.sent = 0
        self._stamps = stamps
        self._on_unread = on_unread
        self._inlets: list[ChannelInlet] = []
        self._finished = False

    def connect(self) -> ChannelInlet:
        """Add a reader; to be done before anything is sent."""
        inlet = ChannelInlet(self._reader_closed)
        self._inlets.append(inlet)
        return inlet

    def send(self, trajectory: Trajectory) -> None:
        """Pass a trajectory on to every reader that is still open."""
        self.sent += 1
        stamp = next(self._stamps)
        for inlet in self._inlets:
            inlet.push(stamp, trajectory)

    async def wanted(self) -> None:
        """Return once every reader has dealt with what was sent to it and waits for more."""
        for inlet in self._inlets:
            await inlet.wanted()

    def finish(self) -> None:
        """Say that no more will come."""
        self._finished = True
        for inlet in self._inlets:
            inlet.finish()

    @property
    def is_unread(self) -> bool:
        """Whether every reader has closed."""
        return bool(self._inlets) and all(inlet.is_closed for inlet in self._inlets)

    def _reader_closed(self) -> None:
        if self.is_unread and not self._finished:
            self._on_unread()


@dataclass(frozen=True, slots=True)
class NodeBranch:
    """A pipeline within a node (`tts.protocols.Branch`)."""

    feed: ChannelOutlet
    results: ChannelInlet

    def send(self, trajectory: Trajectory) -> None:
        """Pass a trajectory to the nodes that read and have no `from`."""
        self.feed.send(trajectory)

    def finish(self) -> None:
        """Say that no more will come."""
        self.feed.finish()


def merge(
    inlets: Sequence[ChannelInlet], order: Literal["arrival", "index"]
) -> Merged | IndexOrdered:
    """Read several inlets as one, by arrival or by origin index."""
    return Merged(inlets) if order == "arrival" else IndexOrdered(inlets)
