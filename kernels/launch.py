"""One way to launch a kernel, so that a launch can also be recorded and compiled without a card."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import triton
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Tiling:
    """How the programs of a launch are compiled.

    Attributes:
        num_warps: Warps of 32 threads per program.
        num_stages: Loop iterations whose loads are in flight together.
    """

    num_warps: int
    num_stages: int = 1


@dataclass(frozen=True, slots=True)
class Launch:
    """One launch as the wrapper asked for it.

    Attributes:
        kernel: The jitted function.
        grid: Programs along each axis.
        arguments: Positional arguments, in order.
        constants: Compile-time arguments by name.
        tiling: How it is compiled.
    """

    kernel: Any
    grid: tuple[int, ...]
    arguments: tuple[Tensor | int | float, ...]
    constants: Mapping[str, Any]
    tiling: Tiling


_RECORD: ContextVar[list[Launch] | None] = ContextVar("_RECORD", default=None)


@contextmanager
def record_launches() -> Iterator[list[Launch]]:
    """Collect launches instead of making them; tensors may then be on the meta device."""
    launches: list[Launch] = []
    token = _RECORD.set(launches)
    try:
        yield launches
    finally:
        _RECORD.reset(token)


def launch(
    kernel: Any,
    grid: tuple[int, ...],
    *arguments: Tensor | int | float,
    tiling: Tiling,
    **constants: Any,
) -> None:
    """Launch a kernel, or record the launch; an empty grid does nothing.

    Raises:
        ValueError: The first tensor is not on a CUDA device and Triton is not interpreted.
    """
    if 0 in grid:
        return
    record = _RECORD.get()
    if record is not None:
        record.append(Launch(kernel, grid, arguments, constants, tiling))
        return
    device = next(arg.device for arg in arguments if isinstance(arg, Tensor))
    if device.type != "cuda" and not is_interpreted():
        raise ValueError(
            f"Triton kernels need CUDA tensors, got {device.type}: move them, use "
            "tts.kernels.reference, or set TRITON_INTERPRET=1 before Python starts"
        )
    kernel[grid](*arguments, **constants, num_warps=tiling.num_warps, num_stages=tiling.num_stages)


def is_interpreted() -> bool:
    """Return whether Triton runs kernels in Python (TRITON_INTERPRET=1, set before its import)."""
    return bool(triton.knobs.runtime.interpret)
