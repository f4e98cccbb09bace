# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators
"""Attention over views: segments of one cache, seen by each query from places of its own.

Who sees what, and why queries are turned, stands in `views`. A program takes one part of one view
and the query heads of one KV head; it turns them while it loads them, walks over the part's pages
and leaves a partial result. `merge.merge_ragged` joins the parts of each query.

Roofline: each query reads its whole view, t bytes per token, as in decode; a part costs
4 * (D + 1) * Hq bytes more, and its angles 4 * D. Workers that see one segment read it from the
second-level cache, but for the first.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from tts.kernels.contracts import Attention, empty_attention, next_power_of_two
from tts.kernels.decode import BLOCK_TOKENS, LOG2_E, decode_tiling
from tts.kernels.launch import is_interpreted, launch
from tts.kernels.merge import merge_ragged
from tts.kernels.online_softmax import load_rows, softmax_finish, softmax_start, softmax_step
from tts.kernels.views import ViewPlan, check_views

CHUNK_TOKENS = 512  # of a part: enough programs to fill a card with a long view of one worker


def view_decode(
    q: Tensor, kv: Tensor, block_table: Tensor, plan: ViewPlan, *, scale: float
) -> Attention:
    """Attend to the parts of each query's view.

    Args:
        q: [B, Hq, D], each rotated for its place in its own segment; fp16, bf16, or fp32.
        kv: [num_pages, Hkv, N, 2 * D], keys rotated for their places in their segments.
        block_table: [segments, max_pages] int32, physical pages of each segment.
        plan: Of `build_view_plan`, for the head size D.
        scale: Usually D ** -0.5.

    Returns:
        [B, Hq, D] in the dtype of `q`, and [B, Hq] float32; a query that sees nothing gets zeros
        and -inf. Within 2e-6 (fp32), 1e-3 (fp16), 2e-2 (bf16, whose turned queries are rounded
        once more) of `reference.view_attention` for values of size 1.

    Raises:
        ValueError: A shape, dtype or device that does not fit.
    """
    shape = check_views(q, kv, block_table, plan)
    batch, num_heads, head_size = q.shape
    parts = plan.query.numel()
    device = q.device
    result = empty_attention((batch, num_heads), head_size, dtype=q.dtype, device=device)
    partial = empty_attention((parts, num_heads), head_size, dtype=torch.float32, device=device)
    launch(
        view_kernel,
        (parts, shape.num_kv_heads),
        q,
        kv,
        block_table,
        plan.query,
        plan.segment,
        plan.start,
        plan.end,
        plan.cos,
        plan.sin,
        *partial,
        *q.stride()[:2],
        *kv.stride()[:3],
        block_table.stride(0),
        *partial.out.stride()[:2],
        *partial.lse.stride(),
        scale * LOG2_E,
        N=shape.page_size,
        D=head_size,
        G=shape.group,
        BLOCK_M=next_power_of_two(shape.group),
        BLOCK_N=BLOCK_TOKENS,
        UPCAST=is_interpreted(),
        tiling=decode_tiling(shape, q.dtype),
    )
    return merge_ragged(partial, plan.offsets, result)


@triton.jit
def view_kernel(
    q_ptr,
    kv_ptr,
    table_ptr,
    query_ptr,
    segment_ptr,
    start_ptr,
    end_ptr,
    cos_ptr,
    sin_ptr,
    out_ptr,
    lse_ptr,
    stride_q_b,
    stride_q_h,
    stride_kv_page,
    stride_kv_head,
    stride_kv_token,
    stride_t_s,
    stride_o_r,
    stride_o_h,
    stride_l_r,
    stride_l_h,
    scale,
    N: tl.constexpr,
    D: tl.constexpr,
    G: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    UPCAST: tl.constexpr,
):
    """Program (part, KV head): all tokens of the part, the heads of the group as rows."""
    part, h = tl.program_id(0).to(tl.int64), tl.program_id(1)
    row = tl.arange(0, BLOCK_M)
    channel = tl.arange(0, D)
    lane = tl.arange(0, BLOCK_N)
    head = h * G + row
    is_row = row < G
    q_row = q_ptr + tl.load(query_ptr + part).to(tl.int64) * stride_q_b + head * stride_q_h
    # Channel c turns together with its partner, half a head further on or back.
    pair = part * (D // 2) + channel % (D // 2)
    cos, sin = tl.load(cos_ptr + pair), tl.load(sin_ptr + pair)
    sin = tl.where(channel < D // 2, -sin, sin)
    partner = (channel + D // 2) % D
    own = load_rows(q_row, is_row, channel, True)
    other = load_rows(q_row, is_row, partner, True)
    q = own * cos[None, :] + other * sin[None, :]
    if not UPCAST:
        q = q.to(kv_ptr.dtype.element_ty)
    pages_ptr = table_ptr + tl.load(segment_ptr + part).to(tl.int64) * stride_t_s
    end = tl.load(end_ptr + part)
    state = softmax_start(BLOCK_M, D)
    for first in range(tl.load(start_ptr + part), end, BLOCK_N):
        token = first + lane
        live = token < end
        page = tl.load(pages_ptr + token // N, mask=live, other=0).to(tl.int64)
        base = kv_ptr + page * stride_kv_page + h * stride_kv_head
        base = base + (token % N) * stride_kv_token
        state = softmax_step(state, q, base, base + D, channel, live, live[None, :], scale, UPCAST)
    out, lse = softmax_finish(state)
    address = out_ptr + part * stride_o_r + head[:, None] * stride_o_h + channel[None, :]
    tl.store(address, out, mask=is_row[:, None])
    tl.store(lse_ptr + part * stride_l_r + head * stride_l_h, lse, mask=is_row)
