"""Joules that this machine took, as its own counters say: RAPL for processors, NVML for GPUs.

Counters are of whole packages and cards, so other people's work on them counts too. What is not
readable (RAPL is root's on most systems) is not counted; without any counter nothing is known.
"""

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

POWERCAP = Path("/sys/class/powercap")
_READ_ERRORS = (OSError, ValueError)


class _Counter(NamedTuple):
    """Something that counts upwards, in joules, and begins again at `wraps_at`."""

    read: Callable[[], float]
    wraps_at: float


_Begun = tuple[_Counter, float]  # with what it stood at


class EnergyMeter:
    """Counts from when it was made.

    Args:
        powercap: Where Linux shows RAPL's counters.
        gpus: Ask NVIDIA's library too.
    """

    def __init__(self, powercap: Path = POWERCAP, *, gpus: bool = True) -> None:
        self._counters = [*_packages(powercap), *(_cards() if gpus else [])]

    def joules(self) -> float | None:
        """Return the joules since it was made; None where nothing counts them.

        A counter that began again is taken to have done so once: RAPL's packages take a quarter of
        an hour or more for a turn.
        """
        if not self._counters:
            return None
        total = 0.0
        for counter, before in self._counters:
            try:
                now = counter.read()
            except _READ_ERRORS:
                return None
            total += now - before if now >= before else now - before + counter.wraps_at
        return total


def _packages(powercap: Path) -> list[_Begun]:
    """Return the counters of whole processors; their parts, such as cores, are in them."""
    counters = []
    for folder in sorted(powercap.glob("intel-rapl:*")):
        if folder.name.count(":") > 1:
            continue
        try:
            counter = _Counter(
                _microjoules(folder / "energy_uj"), _number(folder, "max_energy_range_uj")
            )
            counters.append((counter, counter.read()))
        except _READ_ERRORS:
            continue
    return counters


def _microjoules(file: Path) -> Callable[[], float]:
    return lambda: int(file.read_text()) / 1e6


def _number(folder: Path, name: str) -> float:
    return int((folder / name).read_text()) / 1e6


def _cards() -> list[_Begun]:
    """Return the counters of NVIDIA's cards from the driver's own library."""
    try:
        nvml = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return []
    count = ctypes.c_uint()
    if nvml.nvmlInit_v2() or nvml.nvmlDeviceGetCount_v2(ctypes.byref(count)):
        return []
    counters = []
    for index in range(count.value):
        handle = ctypes.c_void_p()
        if nvml.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(handle)):
            continue
        counter = _Counter(_millijoules(nvml, handle), 2.0**64 / 1e3)
        try:
            counters.append((counter, counter.read()))
        except OSError:  # a card before Volta has no counter
            continue
    return counters


def _millijoules(nvml: ctypes.CDLL, handle: ctypes.c_void_p) -> Callable[[], float]:
    def read() -> float:
        value = ctypes.c_ulonglong()
        if code := nvml.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(value)):
            raise OSError(f"NVML error {code}")
        return value.value / 1e3

    return read
