# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators
"""Partial attention outputs and their log-sum-exp into one.

With parts over disjoint key sets, lse = log sum_s exp(lse_s) and out = sum_s exp(lse_s - lse) *
out_s. A part with lse_s = -inf has seen no key: its `out` is not read, so nobody needs to write it.

Roofline: reads 4 * D + 4 bytes per part, request and head, writes D * s; at S = 8 and D = 128 that
is 4 KiB, the size of 8 tokens of K and V in bf16: small beside 128 tokens per split.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from tts.kernels.contracts import (
    Attention,
    check_int32,
    check_same_device,
    check_shape,
    next_power_of_two,
)
from tts.kernels.launch import Tiling, launch

MERGE_TILING = Tiling(num_warps=2)
RAGGED_ROWS = 8
_FLOAT = torch.float32


def merge_states(partial: Attention, out: Attention) -> Attention:
    """Merge S parts per request and head; write to `out` and return it.

    Args:
        partial: [S, B, Hq, D] float32 and [S, B, Hq] float32.
        out: [B, Hq, D] in any supported dtype and [B, Hq] float32; within one rounding of
            `reference.merge_states`.

    Raises:
        ValueError: A shape, dtype or device that does not fit.
    """
    num_parts, batch, num_heads, head_size = _check_parts(partial, 4)
    _check_out(out, batch, num_heads, head_size)
    check_same_device(*partial, *out)
    launch(
        merge_kernel,
        (batch, num_heads),
        *partial,
        *out,
        *partial.out.stride()[:3],
        *partial.lse.stride()[:3],
        *out.out.stride()[:2],
        *out.lse.stride(),
        num_parts,
        D=head_size,
        BLOCK_S=next_power_of_two(num_parts),
        tiling=MERGE_TILING,
    )
    return out


def merge_ragged(partial: Attention, offsets: Tensor, out: Attention) -> Attention:
    """Merge the parts `offsets[b]` to `offsets[b + 1]` of each request; write to `out`, return it.

    Args:
        partial: [R, Hq, D] float32 and [R, Hq] float32; each request's parts are neighbours.
        offsets: [B + 1] int32, ascending; a request without parts gets zeros and -inf.
        out: [B, Hq, D] and [B, Hq] float32.

    Raises:
        ValueError: A shape, dtype or device that does not fit.
    """
    _, num_heads, head_size = _check_parts(partial, 3)
    batch = offsets.numel() - 1
    check_int32(offsets=offsets)
    _check_out(out, batch, num_heads, head_size)
    check_same_device(*partial, offsets, *out)
    launch(
        merge_ragged_kernel,
        (batch, num_heads),
        *partial,
        offsets,
        *out,
        *partial.out.stride()[:2],
        *partial.lse.stride()[:2],
        *out.out.stride()[:2],
        *out.lse.stride(),
        D=head_size,
        ROWS=RAGGED_ROWS,
        tiling=MERGE_TILING,
    )
    return out


def _check_parts(partial: Attention, num_dims: int) -> tuple[int, ...]:
    sizes = tuple(partial.out.shape)
    if len(sizes) != num_dims:
        raise ValueError(f"partial outputs are {list(sizes)}, not {num_dims}-dimensional")
    check_shape("partial out", partial.out, sizes, _FLOAT)
    check_shape("partial lse", partial.lse, sizes[:-1], _FLOAT)
    return sizes


def _check_out(out: Attention, batch: int, num_heads: int, head_size: int) -> None:
    check_shape("out", out.out, (batch, num_heads, head_size), out.out.dtype)
    check_shape("lse", out.lse, (batch, num_heads), _FLOAT)


@triton.jit
def merge_kernel(
    partial_ptr,
    partial_lse_ptr,
    out_ptr,
    lse_ptr,
    stride_p_s,
    stride_p_b,
    stride_p_h,
    stride_pl_s,
    stride_pl_b,
    stride_pl_h,
    stride_o_b,
    stride_o_h,
    stride_l_b,
    stride_l_h,
    num_parts,
    D: tl.constexpr,
    BLOCK_S: tl.constexpr,
):
    """Program (row, head): all parts at once."""
    b, h = tl.program_id(0).to(tl.int64), tl.program_id(1)
    part = tl.arange(0, BLOCK_S).to(tl.int64)
    channel = tl.arange(0, D)
    lse = tl.load(
        partial_lse_ptr + part * stride_pl_s + b * stride_pl_b + h * stride_pl_h,
        mask=part < num_parts,
        other=float("-inf"),
    )
    top = tl.max(lse, axis=0)
    shift = tl.where(top == float("-inf"), 0.0, top)
    weights = tl.exp(lse - shift)
    total = tl.sum(weights, axis=0)
    seen = total > 0
    rows = partial_ptr + part * stride_p_s + b * stride_p_b + h * stride_p_h
    parts = tl.load(
        rows[:, None] + channel[None, :], mask=(lse > float("-inf"))[:, None], other=0.0
    )
    safe = tl.where(seen, total, 1.0)
    merged = tl.sum(parts * weights[:, None], axis=0) / safe
    address = out_ptr + b * stride_o_b + h * stride_o_h + channel
    tl.store(address, merged.to(out_ptr.dtype.element_ty))
    total_lse = tl.where(seen, shift + tl.log(safe), float("-inf"))
    tl.store(lse_ptr + b * stride_l_b + h * stride_l_h, total_lse)


@triton.jit
def merge_ragged_kernel(
    partial_ptr,
    partial_lse_ptr,
    offsets_ptr,
    out_ptr,
    lse_ptr,
    stride_p_r,
    stride_p_h,
    stride_pl_r,
    stride_pl_h,
    stride_o_b,
    stride_o_h,
    stride_l_b,
    stride_l_h,
    D: tl.constexpr,
    ROWS: tl.constexpr,
):
    """Program (request, head): walks over its parts, ROWS at a time."""
    b, h = tl.program_id(0), tl.program_id(1)
    start, end = tl.load(offsets_ptr + b), tl.load(offsets_ptr + b + 1)
    tile = tl.arange(0, ROWS)
    channel = tl.arange(0, D)
    top = tl.full((), float("-inf"), tl.float32)
    total = tl.full((), 0.0, tl.float32)
    acc = tl.zeros((D,), tl.float32)
    for first in range(start, end, ROWS):
        row = (first + tile).to(tl.int64)
        lse = tl.load(
            partial_lse_ptr + row * stride_pl_r + h * stride_pl_h,
            mask=row < end,
            other=float("-inf"),
        )
        new_top = tl.maximum(top, tl.max(lse, axis=0))
        shift = tl.where(new_top == float("-inf"), 0.0, new_top)
        weights = tl.exp(lse - shift)
        decay = tl.exp(top - shift)
        rows = partial_ptr + row * stride_p_r + h * stride_p_h
        parts = tl.load(
            rows[:, None] + channel[None, :], mask=(lse > float("-inf"))[:, None], other=0.0
        )
        acc = acc * decay + tl.sum(parts * weights[:, None], axis=0)
        total = total * decay + tl.sum(weights, axis=0)
        top = new_top
    safe = tl.where(total > 0, total, 1.0)
    merged = acc / safe
    address = out_ptr + b * stride_o_b + h * stride_o_h + channel
    tl.store(address, merged.to(out_ptr.dtype.element_ty))
    total_lse = tl.where(total > 0, top + tl.log(safe), float("-inf"))
    tl.store(lse_ptr + b * stride_l_b + h * stride_l_h, total_lse)
