"""Reading along while a problem is solved."""

from typing import Protocol

from tts.types import Trajectory, Usage


class Watcher(Protocol):
    """Who reads along while a problem is solved; its methods must neither wait nor fail."""

    def spent(self, usage: Usage) -> None:
        """Learn what a completion has cost that has come."""
        ...

    def sent(self, trajectory: Trajectory) -> None:
        """Learn what a node has sent."""
        ...

    def wrote(self, index: int, text: str) -> None:
        """Learn how far the text has come that will leave the pipeline as it stands."""
        ...
