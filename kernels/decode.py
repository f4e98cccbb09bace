# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators
"""Decode attention over a paged KV cache: the whole context, or chosen pages of it.

One query token per request. Program (request, KV head, split): the G query heads of the group are
the rows of one matrix product, so keys and values are read once per group; tiles of BLOCK_N tokens
are gathered page by page. With S > 1 splits the parts meet in `merge_states`.

Roofline: memory. A token of one KV head is 4 * D bytes (bf16) for 4 * G * D FLOPs: G FLOPs per
byte, far below the card's 180. Sparse reads K tokens where dense reads L.
"""

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from tts.kernels.contracts import (
    Attention,
    CacheShape,
    Selection,
    check_decode,
    check_same_device,
    check_shape,
    empty_attention,
    next_power_of_two,
)
from tts.kernels.launch import Tiling, is_interpreted, launch
from tts.kernels.merge import merge_states
from tts.kernels.occupancy import MAX_DENSE_SPLITS, MAX_SPARSE_SPLITS, choose_splits, num_sms
from tts.kernels.online_softmax import load_rows, softmax_finish, softmax_start, softmax_step

LOG2_E = 1.4426950408889634
BLOCK_TOKENS = 64


def decode_tiling(shape: CacheShape, dtype: torch.dtype) -> Tiling:
    """Return the tiling for a cache: three tiles of 64 tokens in flight, 40 KiB at D = 128 bf16.

    Two or three such programs per multiprocessor keep the 23 KB in flight that the memory wants.
    fp32 and D = 256 take two tiles, or shared memory would allow only one program.
    """
    is_wide = shape.head_size * dtype.itemsize > 256
    return Tiling(num_warps=4, num_stages=2 if is_wide else 3)


@dataclass(frozen=True, slots=True)
class DecodeBuffers:
    """Everything a decode step writes, allocated once: a CUDA graph must find it at one address.

    Attributes:
        result: [B, Hq, D] in the dtype of the queries, [B, Hq] float32.
        partial: [S, B, Hq, D] and [S, B, Hq], both float32; empty when S = 1.
        splits: S.
    """

    result: Attention
    partial: Attention
    splits: int


def build_decode_buffers(q: Tensor, splits: int) -> DecodeBuffers:
    """Allocate the buffers of a decode step of `splits` programs per request and KV head.

    Args:
        q: [B, Hq, D], for its sizes, dtype and device.
        splits: S; a power of two.

    Raises:
        ValueError: `splits` is not a power of two.
    """
    if splits < 1 or splits & (splits - 1):
        raise ValueError(f"{splits} splits: use a power of two")
    batch, num_heads, head_size = q.shape
    parts = splits if splits > 1 else 0
    rows = (batch, num_heads)
    return DecodeBuffers(
        empty_attention(rows, head_size, dtype=q.dtype, device=q.device),
        empty_attention((parts, *rows), head_size, dtype=torch.float32, device=q.device),
        splits,
    )


def sparse_decode(
    q: Tensor,
    kv: Tensor,
    block_table: Tensor,
    seq_lens: Tensor,
    selection: Selection,
    *,
    scale: float,
    buffers: DecodeBuffers | None = None,
) -> Attention:
    """Attend to the tokens of the selected pages only.

    Args:
        q: [B, Hq, D], one decode query per request; fp16, bf16, or fp32.
        kv: [num_pages, Hkv, N, 2 * D], any strides but the last; dtype of `q`.
        block_table: [B, max_pages] int32, physical page of each logical one.
        seq_lens: [B] int32, context tokens; 0 gives zeros and -inf.
        selection: Logical pages per request and KV head, in any order, without repeats.
        scale: Usually D ** -0.5.
        buffers: Of `build_decode_buffers`; None allocates, with splits by `choose_splits`.

    Returns:
        `buffers.result`: within 2e-6 (fp32), 1e-3 (fp16), 1e-2 (bf16) of
        `reference.sparse_decode` for values of size 1.

    Raises:
        ValueError: A shape, dtype or device that does not fit.
    """
    shape = check_decode(q, kv, block_table, seq_lens)
    batch, max_selected = q.shape[0], selection.pages.shape[-1]
    sizes = (batch, shape.num_kv_heads, max_selected)
    check_shape("pages", selection.pages, sizes, torch.int32)
    check_shape("counts", selection.counts, sizes[:2], torch.int32)
    check_same_device(q, *selection)
    buffers = buffers or build_decode_buffers(
        q, _splits(q, shape, max_selected * shape.page_size, MAX_SPARSE_SPLITS)
    )
    return _decode(q, kv, block_table, seq_lens, selection, scale, buffers, shape)


def paged_decode(
    q: Tensor,
    kv: Tensor,
    block_table: Tensor,
    seq_lens: Tensor,
    *,
    scale: float,
    buffers: DecodeBuffers | None = None,
) -> Attention:
    """Attend to the whole context; the same kernel as `sparse_decode` without the page list.

    Arguments, result and errors as there.
    """
    shape = check_decode(q, kv, block_table, seq_lens)
    buffers = buffers or build_decode_buffers(
        q, _splits(q, shape, block_table.shape[1] * shape.page_size, MAX_DENSE_SPLITS)
    )
    return _decode(q, kv, block_table, seq_lens, None, scale, buffers, shape)


def _splits(q: Tensor, shape: CacheShape, num_tokens: int, max_splits: int) -> int:
    return choose_splits(
        q.shape[0],
        shape.num_kv_heads,
        num_tokens,
        num_sms=num_sms(q.device),
        max_splits=max_splits,
    )


def _decode(
    q: Tensor,
    kv: Tensor,
    block_table: Tensor,
    seq_lens: Tensor,
    selection: Selection | None,
    scale: float,
    buffers: DecodeBuffers,
    shape: CacheShape,
) -> Attention:
    batch, num_heads, _ = q.shape
    check_shape("out", buffers.result.out, q.shape, q.dtype)
    check_shape("lse", buffers.result.lse, (batch, num_heads), torch.float32)
    check_same_device(q, *buffers.result, *buffers.partial)
    is_split = buffers.splits > 1
    target = buffers.partial if is_split else buffers.result
    split_strides = (target.out.stride(0), target.lse.stride(0)) if is_split else (0, 0)
    # Dense decode never reads the list; the kernel only wants some tensor in its place.
    pages, counts = selection or (block_table, seq_lens)
    launch(
        decode_kernel,
        (batch, shape.num_kv_heads, buffers.splits),
        q,
        kv,
        block_table,
        seq_lens,
        pages,
        counts,
        *target,
        *q.stride()[:2],
        *kv.stride()[:3],
        block_table.stride(0),
        *(pages.stride()[:2] if selection else (0, 0)),
        *(counts.stride()[:2] if selection else (0, 0)),
        split_strides[0],
        *target.out.stride()[-3:-1],
        split_strides[1],
        *target.lse.stride()[-2:],
        block_table.shape[1],
        scale * LOG2_E,
        N=shape.page_size,
        D=shape.head_size,
        G=shape.group,
        BLOCK_M=next_power_of_two(shape.group),
        BLOCK_N=BLOCK_TOKENS,
        SPARSE=selection is not None,
        UPCAST=is_interpreted(),
        tiling=decode_tiling(shape, q.dtype),
    )
    return merge_states(buffers.partial, buffers.result) if is_split else buffers.result


@triton.jit
def decode_kernel(
    q_ptr,
    kv_ptr,
    table_ptr,
    lens_ptr,
    pages_ptr,
    counts_ptr,
    out_ptr,
    lse_ptr,
    stride_q_b,
    stride_q_h,
    stride_kv_page,
    stride_kv_head,
    stride_kv_token,
    stride_t_b,
    stride_p_b,
    stride_p_h,
    stride_c_b,
    stride_c_h,
    stride_o_s,
    stride_o_b,
    stride_o_h,
    stride_l_s,
    stride_l_b,
    stride_l_h,
    max_pages,
    scale,
    N: tl.constexpr,
    D: tl.constexpr,
    G: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    SPARSE: tl.constexpr,
    UPCAST: tl.constexpr,
):
    """Program (request, KV head, split): attention over an equal share of the tiles.

    Tile t holds the list's tokens t * BLOCK_N onwards, so pages may be smaller or larger than a
    tile. Shares follow the real length, not the longest possible one.
    """
    b, h, split = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    seq_len = tl.minimum(tl.load(lens_ptr + b), max_pages * N)
    num_tokens = seq_len
    if SPARSE:
        num_tokens = tl.load(counts_ptr + b * stride_c_b + h * stride_c_h) * N
    num_tiles = tl.cdiv(num_tokens, BLOCK_N)
    share = tl.cdiv(num_tiles, tl.num_programs(2))
    row = tl.arange(0, BLOCK_M)
    channel = tl.arange(0, D)
    lane = tl.arange(0, BLOCK_N)
    head = h * G + row
    is_row = row < G
    q = load_rows(q_ptr + b * stride_q_b + head * stride_q_h, is_row, channel, UPCAST)
    state = softmax_start(BLOCK_M, D)
    for tile in range(split * share, tl.minimum((split + 1) * share, num_tiles)):
        token = tile * BLOCK_N + lane
        offset = token % N
        live = token < num_tokens
        page = token // N
        if SPARSE:
            page = tl.load(pages_ptr + b * stride_p_b + h * stride_p_h + page, mask=live, other=-1)
            live = live & (page >= 0) & (page * N + offset < seq_len)
        physical = tl.load(table_ptr + b * stride_t_b + page, mask=live, other=0).to(tl.int64)
        base = kv_ptr + physical * stride_kv_page + h * stride_kv_head + offset * stride_kv_token
        state = softmax_step(state, q, base, base + D, channel, live, live[None, :], scale, UPCAST)
    out, lse = softmax_finish(state)
    row_ptr = out_ptr + split.to(tl.int64) * stride_o_s + b * stride_o_b
    address = row_ptr + head[:, None] * stride_o_h + channel[None, :]
    tl.store(address, out.to(out_ptr.dtype.element_ty), mask=is_row[:, None])
    lse_address = lse_ptr + split * stride_l_s + b * stride_l_b + head * stride_l_h
    tl.store(lse_address, lse, mask=is_row)
