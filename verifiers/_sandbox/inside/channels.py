"""Pipes out of the processes of a test."""

import os


class Channel:
    """What comes out of a pipe, up to a limit; what is beyond it is counted and dropped."""

    def __init__(self, limit: int) -> None:
        self.read_end, self.write_end = os.pipe()
        os.set_blocking(self.read_end, False)
        self.data = bytearray()
        self.limit, self._size = limit, 0

    @property
    def is_full(self) -> bool:
        """Whether more came than is kept."""
        return self._size > self.limit

    def take(self) -> bool:
        """Read what there is; return whether there may be more."""
        try:
            part = os.read(self.read_end, 2**16)
        except BlockingIOError:
            return False
        self._size += len(part)
        self.data += part[: max(0, self.limit - len(self.data))]
        return bool(part)

    def close(self) -> None:
        """Close what is open of it."""
        os.close(self.read_end)
