"""What the first process of a sandbox is told."""

import math
from typing import NamedTuple


class Options(NamedTuple):  # `dataclasses` would take longer to import than all else here
    """What the first process is told.

    Attributes:
        mode: How it is shut in: root, user, bwrap, landlock, or unsafe.
        parent: Number of the process that started it; 0 where that cannot be seen.
        uid: The user to become; 0 stays who it is.
        folders: What programs may read.
        seconds: Wall time of a test.
        cpu_seconds: CPU time of all its processes together; rounded up.
        memory_bytes: Of each process, and of all of them together.
        disk_bytes: Of all files together; of each file where there is no file system of its own.
        output_bytes: Of standard output.
        processes: And threads, at once.
        files: Open at once, in each process.
        sockets: They may be opened.
    """

    mode: str
    parent: int
    uid: int
    folders: list[str]
    seconds: float
    cpu_seconds: float
    memory_bytes: int
    disk_bytes: int
    output_bytes: int
    processes: int
    files: int
    sockets: bool

    @property
    def has_namespaces(self) -> bool:
        """Whether its processes are in a namespace of their own."""
        return self.mode in ("root", "user", "bwrap")

    @property
    def max_cpu_seconds(self) -> int:
        """CPU time as the kernel limits it, in whole seconds."""
        return max(1, math.ceil(self.cpu_seconds))
