# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators
"""Decode attention in which branches that share a prefix read it once.

With n branches over a shared prefix of P tokens and S own tokens each, ordinary decode reads
n * (P + S) tokens and this one P + n * S, so its limit is

    speedup = n * (P + S) / (P + n * S)

as long as the prefix phase stays bound by memory: n * G FLOPs per byte against the card's 180.
`tree_plan.build_tree_plan` says once per step who shares what; here a program takes a chunk of
tokens and up to 64 rows, one per (branch, head of the group), and leaves a partial result per
branch. `merge.merge_ragged` joins the parts of each request.
"""

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from tts.kernels.contracts import (
    Attention,
    CacheShape,
    check_decode,
    check_same_device,
    check_shape,
    empty_attention,
    next_power_of_two,
)
from tts.kernels.decode import BLOCK_TOKENS, LOG2_E
from tts.kernels.launch import Tiling, is_interpreted, launch
from tts.kernels.merge import merge_ragged
from tts.kernels.occupancy import num_sms
from tts.kernels.online_softmax import load_rows, softmax_finish, softmax_start, softmax_step
from tts.kernels.tree_plan import SHARED_ROWS, TreePlan, WorkList, rows_per_tile

# Programs per multiprocessor: they walk over the work, so that the grid does not depend on it.
PROGRAMS_PER_SM = 4
_FLOAT = torch.float32


@dataclass(frozen=True, slots=True)
class TreeBuffers:
    """Everything a step writes, allocated once.

    Attributes:
        result: [B, Hq, D] in the dtype of the queries, [B, Hq] float32.
        partial: [max_rows, Hq, D] and [max_rows, Hq], both float32.
    """

    result: Attention
    partial: Attention


def build_tree_buffers(q: Tensor, max_rows: int) -> TreeBuffers:
    """Allocate the buffers for plans of `max_rows` partial results.

    Args:
        q: [B, Hq, D], for its sizes, dtype and device.
        max_rows: Of the plan's `TreeLimits`.
    """
    batch, num_heads, head_size = q.shape
    return TreeBuffers(
        empty_attention((batch, num_heads), head_size, dtype=q.dtype, device=q.device),
        empty_attention((max_rows, num_heads), head_size, dtype=_FLOAT, device=q.device),
    )


def tree_tiling(block_rows: int, dtype: torch.dtype) -> Tiling:
    """Return the tiling for programs of `block_rows` rows: as in decode, two tiles in fp32."""
    return Tiling(num_warps=4, num_stages=2 if dtype == torch.float32 or block_rows > 16 else 3)


def tree_decode(
    q: Tensor,
    kv: Tensor,
    block_table: Tensor,
    seq_lens: Tensor,
    plan: TreePlan,
    *,
    scale: float,
    buffers: TreeBuffers | None = None,
) -> Attention:
    """Attend to the whole context of each request, reading shared pages once per 64 rows.

    Args:
        q: [B, Hq, D], one decode query per request.
        kv: [num_pages, Hkv, N, 2 * D].
        block_table: [B, max_pages] int32, as the plan was built from.
        seq_lens: [B] int32, as the plan was built from; 0 gives zeros and -inf.
        plan: Of `build_tree_plan`, for the same G.
        scale: Usually D ** -0.5.
        buffers: Of `build_tree_buffers`; None allocates.

    Returns:
        `buffers.result`, equal to `decode.paged_decode` up to the order of summation: within 2e-6
        (fp32), 1e-3 (fp16), 1e-2 (bf16) of `reference.paged_decode` for values of size 1.

    Raises:
        ValueError: A shape, dtype or device that does not fit.
    """
    shape = check_decode(q, kv, block_table, seq_lens)
    batch, num_heads, head_size = q.shape
    buffers = buffers or build_tree_buffers(q, plan.max_rows)
    check_shape("out", buffers.result.out, q.shape, q.dtype)
    check_shape("partial", buffers.partial.out, (plan.max_rows, num_heads, head_size), _FLOAT)
    check_shape("order", plan.order, (batch,), torch.int32)
    check_shape("offsets", plan.offsets, (batch + 1,), torch.int32)
    check_same_device(q, plan.order, *buffers.result, *buffers.partial)
    if batch:
        inputs = (q, kv, block_table)
        branches = rows_per_tile(shape.group)
        _attend(*inputs, plan, plan.shared, scale, buffers, shape, SHARED_ROWS, branches)
        rows = next_power_of_two(shape.group)
        _attend(*inputs, plan, plan.private, scale, buffers, shape, rows, 1)
    return merge_ragged(buffers.partial, plan.offsets, buffers.result)


def _attend(
    q: Tensor,
    kv: Tensor,
    block_table: Tensor,
    plan: TreePlan,
    work: WorkList,
    scale: float,
    buffers: TreeBuffers,
    shape: CacheShape,
    block_rows: int,
    branches: int,
) -> None:
    programs = -(-PROGRAMS_PER_SM * num_sms(q.device) // shape.num_kv_heads)
    programs = 2 if is_interpreted() else min(programs, plan.max_rows)
    launch(
        tree_kernel,
        (programs, shape.num_kv_heads),
        q,
        kv,
        block_table,
        plan.order,
        plan.offsets,
        work.leader,
        work.start,
        work.end,
        work.first,
        work.members,
        work.ordinal,
        work.count,
        *buffers.partial,
        *q.stride()[:2],
        *kv.stride()[:3],
        block_table.stride(0),
        *buffers.partial.out.stride()[:2],
        *buffers.partial.lse.stride(),
        scale * LOG2_E,
        N=shape.page_size,
        D=shape.head_size,
        G=shape.group,
        BLOCK_M=block_rows,
        BRANCHES=branches,
        BLOCK_N=BLOCK_TOKENS,
        UPCAST=is_interpreted(),
        tiling=tree_tiling(block_rows, q.dtype),
    )


@triton.jit
def tree_kernel(
    q_ptr,
    kv_ptr,
    table_ptr,
    order_ptr,
    offsets_ptr,
    leader_ptr,
    start_ptr,
    end_ptr,
    first_ptr,
    members_ptr,
    ordinal_ptr,
    count_ptr,
    out_ptr,
    lse_ptr,
    stride_q_b,
    stride_q_h,
    stride_kv_page,
    stride_kv_head,
    stride_kv_token,
    stride_t_b,
    stride_o_r,
    stride_o_h,
    stride_l_r,
    stride_l_h,
    scale,
    N: tl.constexpr,
    D: tl.constexpr,
    G: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BRANCHES: tl.constexpr,
    BLOCK_N: tl.constexpr,
    UPCAST: tl.constexpr,
):
    """Program (worker, KV head): every worker-th chunk of the list.

    Row m is head m % G of branch m // G. The pages are those of the leader, which every branch of
    the chunk shares.
    """
    h = tl.program_id(1)
    row = tl.arange(0, BLOCK_M)
    channel = tl.arange(0, D)
    lane = tl.arange(0, BLOCK_N)
    branch = row // G
    head = h * G + row % G
    count = tl.load(count_ptr)
    for item in range(tl.program_id(0), count, tl.num_programs(0)):
        is_row = (branch < tl.load(members_ptr + item)) & (branch < BRANCHES)
        request = tl.load(order_ptr + tl.load(first_ptr + item) + branch, mask=is_row, other=0)
        q_row = q_ptr + request * stride_q_b + head * stride_q_h
        q = load_rows(q_row, is_row, channel, UPCAST)
        pages_ptr = table_ptr + tl.load(leader_ptr + item) * stride_t_b
        end = tl.load(end_ptr + item)
        state = softmax_start(BLOCK_M, D)
        for first_token in range(tl.load(start_ptr + item), end, BLOCK_N):
            token = first_token + lane
            live = token < end
            page = tl.load(pages_ptr + token // N, mask=live, other=0).to(tl.int64)
            base = kv_ptr + page * stride_kv_page + h * stride_kv_head
            base = base + (token % N) * stride_kv_token
            state = softmax_step(
                state, q, base, base + D, channel, live, live[None, :], scale, UPCAST
            )
        out, lse = softmax_finish(state)
        part = tl.load(offsets_ptr + request, mask=is_row, other=0) + tl.load(ordinal_ptr + item)
        part = part.to(tl.int64)
        address = out_ptr + part[:, None] * stride_o_r + head[:, None] * stride_o_h
        tl.store(address + channel[None, :], out, mask=is_row[:, None])
        tl.store(lse_ptr + part * stride_l_r + head * stride_l_h, lse, mask=is_row)
