# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators
"""Compressed keys, and the score of each selection block from attention over them (NSA).

A window of `window` tokens every `stride` becomes one key; a selection block's score is the
attention mass of the windows that overlap it (arXiv:2502.11089, eq. 7 to 10). Plain torch for the
compression: it is one matrix product, which the vendor's library does at full rate.

Roofline of the scores: compute. Each token meets L / stride compressed keys with Hq heads; the
tile of 64 rows computes (r + c - 1) / r of that, with r = block_size / stride, c = window / stride.
"""

import itertools

import torch
import triton
import triton.language as tl
from torch import Tensor

from tts.kernels.contracts import (
    check_heads,
    check_int32,
    check_same_device,
    check_shape,
    next_power_of_two,
)
from tts.kernels.decode import LOG2_E
from tts.kernels.launch import Tiling, is_interpreted, launch
from tts.kernels.online_softmax import load_rows

SCORE_ROWS = 64
SCORE_BLOCKS = 32
SCORE_TILING = Tiling(num_warps=4, num_stages=2)


def compress_keys(
    k: Tensor,
    weight: Tensor,
    cu_seqlens: Tensor,
    *,
    window: int,
    stride: int,
    position: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return one key per window, and where each sequence's start.

    k_c[i] = sum_j (k[i * stride + j] + position[j]) @ weight[j], j < window, per KV head. A
    sequence of L tokens has max(0, (L - window) // stride + 1) windows. Copies `cu_seqlens` to the
    host: the result's shape depends on it.

    Args:
        k: [T, Hkv, D].
        weight: [Hkv, window * D, D].
        cu_seqlens: [num_sequences + 1] int32.
        window: Tokens per compressed key; a multiple of `stride`.
        stride: Tokens between windows.
        position: [Hkv, window, D], added to the keys of each window; None adds nothing.

    Returns:
        [Tc, Hkv, D] in the dtype of `k`, and [num_sequences + 1] int32.

    Raises:
        ValueError: A shape that does not fit.
    """
    _, num_kv_heads, head_size = k.shape
    check_shape("weight", weight, (num_kv_heads, window * head_size, head_size), k.dtype)
    _check_geometry(window, stride, stride)
    starts: list[int] = []
    counts = [0]
    bounds = cu_seqlens.tolist()
    for begin, end in itertools.pairwise(bounds):
        starts += range(begin, end - window + 1, stride)
        counts.append(len(starts))
    first = torch.tensor(starts, dtype=torch.long, device=k.device)
    tokens = first[:, None] + torch.arange(window, device=k.device)
    windows = k[tokens].transpose(1, 2)  # [Tc, Hkv, window, D]
    if position is not None:
        check_shape("position", position, (num_kv_heads, window, head_size), k.dtype)
        windows = windows + position
    compressed = torch.einsum("thc,hcd->thd", windows.flatten(2), weight)
    return compressed, torch.tensor(counts, dtype=torch.int32, device=k.device)


def block_scores(
    q: Tensor,
    k_compressed: Tensor,
    lse: Tensor,
    cu_seqlens: Tensor,
    cu_compressed: Tensor,
    *,
    window: int,
    stride: int,
    block_size: int,
    scale: float,
    out: Tensor | None = None,
) -> Tensor:
    """Return [Hkv, T, max_blocks] float32: attention mass of each selection block.

    score[j] = sum over m < r, n < c of p[r * j + m - n], with p the compressed attention
    probability summed over the group, r = block_size / stride, c = window / stride; see
    `reference.block_scores` for what a window covers and who sees it.

    Args:
        q: [T, Hq, D].
        k_compressed: [Tc, Hkv, D].
        lse: [T, Hq] float32, natural log-sum-exp of the compressed attention.
        cu_seqlens: [num_sequences + 1] int32.
        cu_compressed: [num_sequences + 1] int32, where the compressed keys of each start.
        window: Tokens per compressed key.
        stride: Tokens between compressed keys.
        block_size: Tokens per selection block; a multiple of `stride`.
        scale: Of the compressed attention.
        out: [Hkv, T, max_blocks] float32 to write to; None allocates.

    Returns:
        max_blocks = ceil(T / block_size); 0 past a sequence's end. Within 1e-5 (fp32) of
        `reference.block_scores`.

    Raises:
        ValueError: A shape, dtype or device that does not fit.
    """
    num_tokens, num_heads, head_size = q.shape
    num_kv_heads = k_compressed.shape[1]
    check_heads(num_heads, num_kv_heads, head_size)
    _check_geometry(window, stride, block_size)
    check_shape("q", q, q.shape, k_compressed.dtype)
    check_shape("lse", lse, (num_tokens, num_heads), torch.float32)
    check_int32(cu_seqlens=cu_seqlens, cu_compressed=cu_compressed)
    check_same_device(q, k_compressed, lse, cu_seqlens, cu_compressed)
    group = num_heads // num_kv_heads
    max_blocks = -(-num_tokens // block_size)
    sizes = (num_kv_heads, num_tokens, max_blocks)
    scores = torch.empty(sizes, dtype=torch.float32, device=q.device) if out is None else out
    check_shape("out", scores, sizes, torch.float32)
    check_same_device(q, scores)
    token = torch.arange(num_tokens, dtype=torch.int32, device=q.device)
    sequence = torch.searchsorted(cu_seqlens, token, right=True) - 1
    padded = next_power_of_two(group)
    tokens_per_tile = SCORE_ROWS // padded
    launch(
        block_scores_kernel,
        (-(-num_tokens // tokens_per_tile), num_kv_heads, -(-max_blocks // SCORE_BLOCKS)),
        q,
        k_compressed,
        lse,
        cu_seqlens[sequence],
        cu_compressed[sequence],
        cu_compressed[sequence + 1],
        scores,
        *q.stride()[:2],
        *k_compressed.stride()[:2],
        *lse.stride(),
        *scores.stride()[:2],
        num_tokens,
        max_blocks,
        scale * LOG2_E,
        D=head_size,
        G=group,
        PADDED=padded,
        TOKENS=tokens_per_tile,
        BLOCKS=SCORE_BLOCKS,
        WINDOW=window,
        STRIDE=stride,
        SIZE=block_size,
        UPCAST=is_interpreted(),
        tiling=SCORE_TILING,
    )
    return scores


def _check_geometry(window: int, stride: int, block_size: int) -> None:
    if stride < 1 or window % stride or block_size % stride or window < stride:
        raise ValueError(
            f"window {window} and block size {block_size} must be multiples of stride {stride}"
        )


@triton.jit
def block_scores_kernel(
    q_ptr,
    k_ptr,
    lse_ptr,
    origin_ptr,
    first_ptr,
    last_ptr,
    out_ptr,
    stride_q_t,
    stride_q_h,
    stride_k_t,
    stride_k_h,
    stride_l_t,
    stride_l_h,
    stride_o_h,
    stride_o_t,
    num_tokens,
    max_blocks,
    scale,
    D: tl.constexpr,
    G: tl.constexpr,
    PADDED: tl.constexpr,
    TOKENS: tl.constexpr,
    BLOCKS: tl.constexpr,
    WINDOW: tl.constexpr,
    STRIDE: tl.constexpr,
    SIZE: tl.constexpr,
    UPCAST: tl.constexpr,
):
    """Program (tile of tokens, KV head, tile of blocks): PADDED rows per token, G of them real.

    Tokens of a tile may belong to two sequences, so each has its own range of compressed keys and
    the tile is done once per sequence that it meets; almost always that is one.
    """
    h = tl.program_id(1)
    row = tl.arange(0, TOKENS * PADDED)
    t = tl.program_id(0) * TOKENS + row // PADDED
    head = h * G + row % PADDED
    is_row = (t < num_tokens) & (row % PADDED < G)
    channel = tl.arange(0, D)
    block = tl.program_id(2) * BLOCKS + tl.arange(0, BLOCKS)
    q_row = q_ptr + t.to(tl.int64) * stride_q_t + head * stride_q_h
    q = load_rows(q_row, is_row, channel, UPCAST)
    lse = tl.load(lse_ptr + t * stride_l_t + head * stride_l_h, mask=is_row, other=float("inf"))
    lse = lse * 1.4426950408889634
    position = t - tl.load(origin_ptr + t, mask=is_row, other=0)
    first = tl.load(first_ptr + t, mask=is_row, other=0)
    last = tl.load(last_ptr + t, mask=is_row, other=0)
    lowest = tl.min(tl.where(is_row, first, 2147483647), axis=0)
    highest = tl.max(tl.where(is_row, first, -1), axis=0)
    mass = tl.zeros((TOKENS * PADDED, BLOCKS), tl.float32)
    current = lowest
    while current <= highest:
        end = tl.max(tl.where(first == current, last, 0), axis=0)
        for shift in tl.static_range(SIZE // STRIDE + WINDOW // STRIDE - 1):
            # Window i = r * j + shift - (c - 1) overlaps block j; the overlap in strides:
            i = block * (SIZE // STRIDE) + shift - (WINDOW // STRIDE - 1)
            live = (i >= 0) & (current + i < end)
            address = (current + i).to(tl.int64) * stride_k_t + h * stride_k_h
            k = tl.load(k_ptr + address[None, :] + channel[:, None], mask=live[None, :], other=0.0)
            if UPCAST:
                k = k.to(tl.float32)
            logits = tl.dot(q, k, input_precision="ieee") * scale
            visible = live[None, :] & (i[None, :] * STRIDE + WINDOW - 1 <= position[:, None])
            visible = visible & is_row[:, None] & (first == current)[:, None]
            overlap = min(shift + 1, WINDOW // STRIDE, SIZE // STRIDE)
            overlap = min(overlap, SIZE // STRIDE + WINDOW // STRIDE - 1 - shift)
            weights = tl.exp2(tl.where(visible, logits - lse[:, None], float("-inf")))
            mass += weights * overlap
        later = tl.where(is_row & (first > current), first, 2147483647)
        current = tl.min(later, axis=0)
    total = tl.sum(tl.reshape(mass, (TOKENS, PADDED, BLOCKS)), axis=1)
    token = tl.program_id(0) * TOKENS + tl.arange(0, TOKENS)
    address = out_ptr + h.to(tl.int64) * stride_o_h + token.to(tl.int64)[:, None] * stride_o_t
    mask = (token < num_tokens)[:, None] & (block < max_blocks)[None, :]
    tl.store(address + block[None, :], total, mask=mask)
