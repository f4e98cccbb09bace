"""What a tree of processes uses, as /proc tells."""

import os
from collections.abc import Iterator
from typing import NamedTuple

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICK = 1 / os.sysconf("SC_CLK_TCK")


class TreeUse(NamedTuple):
    """What living processes use: CPU time, memory (a page shared counts for each), threads."""

    cpu_seconds: float
    memory_bytes: int
    num_tasks: int


class Tree:
    """The descendants of this process.

    Made while /proc is there to be seen, it goes on seeing it; where there is none, it sees none.
    """

    def __init__(self) -> None:
        try:
            self._proc = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            self._own = os.readlink("self", dir_fd=self._proc)
        except OSError:
            self._proc, self._own = -1, ""

    def use(self) -> TreeUse:
        """Return what the descendants use now."""
        cpu, memory, tasks = 0.0, 0, 0
        for process in self._below(self._own):
            fields = self._read(f"{process}/stat").rpartition(")")[2].split()
            sizes = self._read(f"{process}/statm").split()
            if fields and sizes:
                cpu += (int(fields[11]) + int(fields[12])) * _TICK
                memory += (int(sizes[1]) - int(sizes[2])) * _PAGE
                tasks += int(fields[17])
        return TreeUse(cpu, memory, tasks)

    def processes(self) -> list[int]:
        """Return the numbers of the descendants, as /proc has them."""
        return [int(process) for process in self._below(self._own)]

    def num_tasks(self, user: int) -> int:
        """Return how many threads a user has, of all processes that can be seen."""
        entries = os.listdir(self._proc) if self._proc >= 0 else []
        total = 0
        for entry in filter(str.isdigit, entries):
            lines = self._read(f"{entry}/status").splitlines()
            status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
            if status.get("Uid", "").split()[:1] == [str(user)]:
                total += int(status["Threads"])
        return total

    def _below(self, process: str) -> Iterator[str]:
        for thread in self._threads(process):
            for child in self._read(f"{process}/task/{thread}/children").split():
                yield child
                yield from self._below(child)

    def _threads(self, process: str) -> list[str]:
        try:
            folder = os.open(f"{process}/task", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._proc)
        except OSError:
            return []
        try:
            return os.listdir(folder)
        except OSError:
            return []
        finally:
            os.close(folder)

    def _read(self, name: str) -> str:
        try:
            file = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._proc)
        except OSError:
            return ""
        try:
            return os.read(file, 2**16).decode("utf-8", "replace")
        except OSError:  # it has ended
            return ""
        finally:
            os.close(file)
