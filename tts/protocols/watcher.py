"""Reading along while a problem is solved."""

from typing import Protocol

from tts.types import Trajectory, Usage, Watch


class Watcher(Protocol):
    """Who reads along while a problem is solved; its methods must neither wait nor fail."""

    @property
    def watch(self) -> Watch | None:
        """Told how far the text has come that will leave the pipeline as it stands.

        None where nobody wants to know: engines then report when a text has ended, which is less
        work for them.
        """
        ...

    def spent(self, usage: Usage) -> None:
        """Learn what a completion has cost that has come."""
        ...

    def sent(self, trajectory: Trajectory) -> None:
        """Learn what a node has sent."""
        ...
