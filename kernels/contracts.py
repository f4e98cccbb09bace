"""What every kernel here accepts: tensor layouts, limits, and one check of them per call.

Letters, the same in all files: `B` requests, `T` query tokens, `L` context tokens, `N` tokens per
page, `Hq` and `Hkv` heads, `G` = Hq / Hkv, `D` head size, `K` tokens kept, `S` splits.

The KV cache is `[num_pages, Hkv, N, 2 * D]`, keys and values of a token side by side, in any order
of its first three dimensions in memory: kernels read strides and ask only that the last one is 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

HEAD_SIZES = (16, 32, 64, 128, 256)
DTYPES = (torch.float16, torch.bfloat16, torch.float32)
MAX_GROUP = 16
PAGE_MULTIPLE = 16
# One selection program holds all scores of a row in registers; 8192 leave no spill (80 registers).
MAX_SELECT_PAGES = 8_192

SummaryKind = Literal["mean", "minmax"]


class Attention(NamedTuple):
    """Attention over some keys, mergeable with attention over others.

    Attributes:
        out: [..., Hq, D]; zeros where no key was visible.
        lse: [..., Hq] float32, natural log of the summed exponentials; -inf where none was.
    """

    out: Tensor
    lse: Tensor


class Selection(NamedTuple):
    """The pages that each request and KV head attends to.

    Attributes:
        pages: [B, Hkv, max_selected] int32, logical pages, ascending, -1 after the last.
        counts: [B, Hkv] int32, how many of them are real.
    """

    pages: Tensor
    counts: Tensor


def empty_attention(
    sizes: Sequence[int], head_size: int, *, dtype: torch.dtype, device: torch.device
) -> Attention:
    """Allocate `out` as [*sizes, head_size] in `dtype`, and `lse` as [*sizes] in float32."""
    return Attention(
        torch.empty((*sizes, head_size), dtype=dtype, device=device),
        torch.empty(tuple(sizes), dtype=torch.float32, device=device),
    )


@dataclass(frozen=True, slots=True)
class CacheShape:
    """The sizes that a KV cache and a query agree on.

    Attributes:
        num_kv_heads: Hkv.
        group: G, query heads per KV head.
        head_size: D.
        page_size: N, tokens per page.
    """

    num_kv_heads: int
    group: int
    head_size: int
    page_size: int


def check_cache(kv: Tensor, *, num_q_heads: int) -> CacheShape:
    """Return the sizes of a KV cache that serves `num_q_heads` query heads.

    Raises:
        ValueError: A layout, dtype, head size, page size or head count that no kernel supports.
    """
    if kv.dim() != 4 or kv.shape[3] % 2:
        raise ValueError(f"kv is {list(kv.shape)}, not [num_pages, Hkv, N, 2 * D]")
    if kv.stride(3) != 1:
        raise ValueError(f"the last stride of kv is {kv.stride(3)}, not 1: pass a contiguous head")
    if kv.dtype not in DTYPES:
        raise ValueError(
            f"KV cache in {kv.dtype} is not supported: keep it in float16 or bfloat16 (or float32)"
        )
    _, num_kv_heads, page_size, width = kv.shape
    head_size = width // 2
    check_heads(num_q_heads, num_kv_heads, head_size)
    if page_size < PAGE_MULTIPLE or page_size % PAGE_MULTIPLE:
        raise ValueError(
            f"page size {page_size} is not a multiple of {PAGE_MULTIPLE}: choose block_size 16, "
            "32, 64 or 128"
        )
    return CacheShape(num_kv_heads, num_q_heads // num_kv_heads, head_size, page_size)


def check_heads(num_q_heads: int, num_kv_heads: int, head_size: int) -> None:
    """Check the head counts and the head size.

    Raises:
        ValueError: Query heads do not form groups of 1 to 16, or the head size is not supported.
    """
    if head_size not in HEAD_SIZES:
        raise ValueError(f"head size {head_size} is not supported, only {_list(HEAD_SIZES)}")
    if num_kv_heads < 1 or num_q_heads % num_kv_heads:
        raise ValueError(f"{num_q_heads} query heads do not divide into {num_kv_heads} KV heads")
    if not 1 <= num_q_heads // num_kv_heads <= MAX_GROUP:
        raise ValueError(
            f"{num_q_heads // num_kv_heads} query heads per KV head; supported are 1 to {MAX_GROUP}"
        )


def check_queries(q: Tensor, kv: Tensor) -> CacheShape:
    """Check that queries of single tokens fit a KV cache, and return the sizes.

    Raises:
        ValueError: A shape or dtype that does not fit, with what would.
    """
    if q.dim() != 3 or q.stride(2) != 1:
        raise ValueError(f"q is {list(q.shape)}, not [B, Hq, D] with a contiguous head")
    shape = check_cache(kv, num_q_heads=q.shape[1])
    if q.shape[2] != shape.head_size or q.dtype != kv.dtype:
        raise ValueError(
            f"q is {q.dtype} with head size {q.shape[2]}, the KV cache {kv.dtype} with "
            f"{shape.head_size}: they must agree"
        )
    return shape


def check_decode(q: Tensor, kv: Tensor, block_table: Tensor, seq_lens: Tensor) -> CacheShape:
    """Check the arguments that all decode kernels share, and return the sizes.

    Raises:
        ValueError: A shape, dtype or device that does not fit, with what would.
    """
    shape = check_queries(q, kv)
    check_table(block_table, seq_lens, q.shape[0])
    check_same_device(q, kv, block_table, seq_lens)
    return shape


def check_table(block_table: Tensor, seq_lens: Tensor, num_requests: int) -> None:
    """Check a block table and its context lengths.

    Raises:
        ValueError: Wrong rows, dimensions or dtype.
    """
    if block_table.dim() != 2 or block_table.shape[0] != num_requests:
        raise ValueError(f"block_table is {list(block_table.shape)}, not [{num_requests}, pages]")
    if seq_lens.shape != (num_requests,):
        raise ValueError(f"seq_lens is {list(seq_lens.shape)}, not [{num_requests}]")
    check_int32(block_table=block_table, seq_lens=seq_lens)
    if block_table.shape[1] and block_table.stride(1) != 1:
        raise ValueError("the rows of block_table are not contiguous")


def check_int32(**tensors: Tensor) -> None:
    """Check that index tensors are int32.

    Raises:
        ValueError: One is not; its name is in the message.
    """
    for name, tensor in tensors.items():
        if tensor.dtype != torch.int32:
            raise ValueError(f"{name} is {tensor.dtype}, not int32: pass {name}.int()")


def check_shape(name: str, tensor: Tensor, shape: Sequence[int], dtype: torch.dtype) -> None:
    """Check an output or workspace tensor.

    Raises:
        ValueError: It has another shape or dtype, or its last stride is not 1.
    """
    if list(tensor.shape) != list(shape) or tensor.dtype != dtype:
        raise ValueError(
            f"{name} is {list(tensor.shape)} {tensor.dtype}, not {list(shape)} {dtype}"
        )
    if tensor.numel() and tensor.stride(-1) != 1:
        raise ValueError(f"the last stride of {name} is {tensor.stride(-1)}, not 1")


def check_same_device(*tensors: Tensor) -> None:
    """Check that all tensors are on one device.

    Raises:
        ValueError: They are not.
    """
    devices = {str(tensor.device) for tensor in tensors}
    if len(devices) > 1:
        raise ValueError(f"tensors on different devices: {', '.join(sorted(devices))}")


def next_power_of_two(value: int) -> int:
    """Return the smallest power of two that is not below `value`; 1 for 0."""
    return 1 << max(0, value - 1).bit_length()


def _list(values: Sequence[int]) -> str:
    return ", ".join(map(str, values))
