"""How trajectories pass between the nodes of a pipeline."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol

from tts.types import Trajectory


class Inlet(Protocol):
    """The reading end of an edge."""

    def __aiter__(self) -> AsyncIterator[Trajectory]:
        """Iterate over the trajectories as they arrive."""
        ...

    def close(self) -> None:
        """Read no more; the last reader of an outlet to close cancels the node behind it."""
        ...

    def defer(self, ready: Callable[[], Awaitable[None]]) -> None:
        """Delay demand for more until `ready()` returns: for a node that passes on its input."""
        ...


class Outlet(Protocol):
    """The writing end of an edge, copied to every reader."""

    def send(self, trajectory: Trajectory) -> None:
        """Pass a trajectory on; edges are unbounded, so this never waits."""
        ...

    async def wanted(self) -> None:
        """Return once every direct reader has dealt with what was sent and waits for more."""
        ...


class Branch(Protocol):
    """A pipeline that runs within a node and reads what the node sends it."""

    @property
    def results(self) -> Inlet:
        """What leaves the pipeline; closing it cancels the pipeline."""
        ...

    def send(self, trajectory: Trajectory) -> None:
        """Pass a trajectory to the nodes that read and have no `from`."""
        ...

    def finish(self) -> None:
        """Say that no more will come."""
        ...


class Arrivals(Protocol):
    """The order in which a node deals with what arrives: as recorded, then as it comes."""

    @property
    def expected(self) -> str:
        """Name of what the recorded run dealt with next; empty after its end."""
        ...

    def note(self, name: str) -> None:
        """Say what is dealt with next; where that is not what was expected, the rest is void."""
        ...
