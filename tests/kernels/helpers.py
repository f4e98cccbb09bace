"""Tolerances, and memory with guard bands, for the kernel tests."""

from typing import Any

import torch
from torch import Tensor

from tts.kernels.contracts import Attention

# One rounding of the result, for values of size 1. The interpreter truncates to bfloat16 where the
# card rounds to nearest, so a whole unit in the last place (2 ** -7) is allowed there.
TOLERANCES: dict[torch.dtype, dict[str, Any]] = {
    torch.float32: {"rtol": 2e-6, "atol": 2e-6},
    torch.float16: {"rtol": 1e-3, "atol": 5e-4},
    torch.bfloat16: {"rtol": 2**-7, "atol": 2e-3},
}
# A card's own exp2 and the order of its sums: a few units in the last place of float32 more.
LSE: dict[str, Any] = {"rtol": 2e-6, "atol": 5e-6}
if torch.cuda.is_available():
    TOLERANCES[torch.float32] = {"rtol": 1e-5, "atol": 1e-5}
    LSE = {"rtol": 1e-5, "atol": 2e-5}
GUARD = 64
SENTINEL = 77


def seeded(seed: int) -> torch.Generator:
    """Return a generator of the device on which the test runs."""
    return torch.Generator(torch.get_default_device()).manual_seed(seed)


def assert_attention_close(actual: Attention, expected: Attention) -> None:
    torch.testing.assert_close(actual.out, expected.out, **TOLERANCES[actual.out.dtype])
    torch.testing.assert_close(actual.lse, expected.lse, **LSE)


class Guarded:
    """Tensors cut from larger ones whose margins must keep their value.

    The interpreter checks no bounds: a store past the end would corrupt memory in silence.
    """

    def __init__(self) -> None:
        self._all: list[Tensor] = []

    def empty(self, *shape: int, dtype: torch.dtype) -> Tensor:
        size = torch.Size(shape).numel()
        whole = torch.full((size + 2 * GUARD,), SENTINEL, dtype=dtype)
        self._all.append(whole)
        return whole[GUARD : GUARD + size].view(shape)

    def check(self) -> None:
        assert self._all
        for whole in self._all:
            assert (whole[:GUARD] == SENTINEL).all()
            assert (whole[-GUARD:] == SENTINEL).all()
