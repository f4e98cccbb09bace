"""Hardware profiles: from operations and bytes to seconds.

`fit_hardware` finds what a machine does, from workloads whose seconds were measured.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tts.costs.flops import Workload, decode_work, prefill_work
from tts.errors import InputError, optional_import
from tts.types import ModelInfo


@dataclass(frozen=True, slots=True)
class Hardware:
    """What a machine can do.

    Attributes:
        name: Of the profile.
        flops_per_second: Operations.
        bytes_per_second: Memory traffic.
        step_seconds: Fixed time of each engine step: scheduling, launches, sampling.
    """

    name: str
    flops_per_second: float
    bytes_per_second: float
    step_seconds: float = 0.0

    def __post_init__(self) -> None:
        """Refuse rates that are not positive."""
        if not (self.flops_per_second > 0 and self.bytes_per_second > 0 <= self.step_seconds):
            raise InputError(f"hardware {self.name!r} needs positive rates")


def summed_seconds(hardware: Hardware, info: ModelInfo, load: Workload) -> float:
    """Return the time of a workload whose operations and bytes do not overlap; see `fit_hardware`.

    Raises:
        InputError: The model's shape is unknown.
    """
    work = prefill_work(info, load) + decode_work(info, load)
    busy = work.flops / hardware.flops_per_second + work.num_bytes / hardware.bytes_per_second
    return busy + (load.generated_tokens + 1) * hardware.step_seconds


class Accuracy(NamedTuple):
    """How predictions meet measurements: Spearman's rank correlation, median relative error."""

    rank_correlation: float
    median_error: float


def prediction_accuracy(predicted: Sequence[float], measured: Sequence[float]) -> Accuracy:
    """Compare predicted with measured seconds; ties share their mean rank.

    Raises:
        InputError: Fewer than two pairs, or a time that is not positive.
    """
    p, m = np.asarray(predicted, dtype=np.float64), np.asarray(measured, dtype=np.float64)
    if p.shape != m.shape or len(p) < 2 or not ((p > 0).all() and (m > 0).all()):
        raise InputError("comparing needs two pairs of positive times or more")
    with optional_import("the comparison of times"):
        from scipy.stats import rankdata
    rank = float(np.corrcoef(rankdata(p), rankdata(m))[0, 1])
    return Accuracy(rank, float(np.median(np.abs(p - m) / m)))


def fit_hardware(
    name: str, info: ModelInfo, loads: Sequence[Workload], seconds: Sequence[float]
) -> Hardware:
    """Return the profile that explains measured times, by non-negative least squares.

    seconds = flops / F + bytes / B + steps * s, each row divided by its time, so that short and
    long workloads weigh the same. The sum and not the maximum of the two is fitted: it is linear,
    and engines overlap the two less than the roofline says.

    Raises:
        InputError: Fewer than three measurements, or a time that is not positive.
    """
    with optional_import("the fit of a hardware profile"):
        from scipy.optimize import nnls
    times = np.asarray(seconds, dtype=np.float64)
    if len(loads) != len(times) or len(times) < 3 or not (times > 0).all():
        raise InputError("a profile needs three measured workloads or more, with positive times")
    rows = []
    for load in loads:
        work = prefill_work(info, load) + decode_work(info, load)
        rows.append((work.flops, work.num_bytes, load.generated_tokens + 1))
    table = np.asarray(rows, dtype=np.float64)
    scale = table.max(axis=0)
    solved = nnls(table / scale / times[:, None], np.ones(len(times)))[0] / scale
    per_flop, per_byte, per_step = (float(value) for value in solved)
    # A part that explains nothing is as good as free.
    return Hardware(
        name,
        1.0 / per_flop if per_flop > 0 else 1e30,
        1.0 / per_byte if per_byte > 0 else 1e30,
        per_step,
    )


def measure_hardware(name: str = "this machine", *, seconds: float = 0.5) -> Hardware:
    """Return a profile of this machine's CPU: a matrix product, and a copy that no cache holds.

    Args:
        name: Of the profile.
        seconds: Time that each of the two measurements may take, about.
    """
    size = 768
    rng = np.random.default_rng(0)
    a = rng.random((size, size), dtype=np.float32)
    b = rng.random((size, size), dtype=np.float32)
    source = np.ones(16 << 20, dtype=np.float32)
    target = np.empty_like(source)
    product = _best_seconds(lambda: np.matmul(a, b), seconds)
    copy = _best_seconds(lambda: np.copyto(target, source), seconds)
    return Hardware(name, 2.0 * size**3 / product, 2.0 * source.nbytes / copy)


def _best_seconds(action: Callable[[], object], seconds: float) -> float:
    best, end = float("inf"), time.perf_counter() + seconds
    while True:
        start = time.perf_counter()
        action()
        now = time.perf_counter()
        best = min(best, now - start)
        if now > end:
            return best
