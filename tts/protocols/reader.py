"""What takes up, once and in order, what problems of a run have left."""

from typing import Protocol

from tts.types import Kept


class Reader(Protocol):
    """Reads lines one by one; problems that are to know the same share it."""

    def read(self, kept: Kept) -> None:
        """Take up the next line."""
        ...
