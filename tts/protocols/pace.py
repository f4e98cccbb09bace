"""What keeps the problems of a run at a mean cost."""

from typing import Protocol, Self


class Pace(Protocol):
    """What a problem may cost so that those of a run cost what they shall on average."""

    def share(self) -> float:
        """Return what the problem may cost in all, as things stand; ask again at each decision."""
        ...

    def __enter__(self) -> Self:
        """Return itself."""
        ...

    def __exit__(self, *_: object) -> None:
        """Say that the problem has spent what it will."""
        ...
