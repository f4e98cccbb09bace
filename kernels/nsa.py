# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators
"""Attention over selected blocks, for models trained with native sparse attention (NSA).

Each token of each KV head names the blocks of its sequence that it sees (arXiv:2502.11089). Two
orders of the same sum; forward only, and no engine path: ordinary checkpoints have no such lists.

- "query": program (token, KV head) walks over the token's blocks. Rows of the matrix product: the
  G heads of the group. Reads every block once per token that chose it.
- "kv": program (block, KV head, tile of the tokens that chose it), after FSA (arXiv:2508.18224).
  Rows: 64 // G tokens of G heads. Reads a block once per tile, but leaves a partial result for
  each token and block, which `merge_states` joins. Each part carries its own log-sum-exp, so no
  statistics pass is needed and nothing overflows.

Bytes per token and KV head in bf16: "query" reads 4 * K * D. "kv" reads 4 * K * D * G / 64, and for
each of the K / block_size blocks G queries and parts of 10 * D bytes. The ratio of the two is

    G / 64 + 2.5 * G / block_size

which at block 64 is 0.44 for G = 8. The L2 cache serves many of the repeated reads of "query", so
the real gain is smaller: FSA changes to "query" above G = 8.
"""

from typing import Literal

import torch
import triton
import triton.language as tl
from torch import Tensor

from tts.kernels.contracts import (
    DTYPES,
    Attention,
    check_heads,
    check_int32,
    check_same_device,
    check_shape,
    empty_attention,
    next_power_of_two,
)
from tts.kernels.decode import LOG2_E
from tts.kernels.launch import Tiling, is_interpreted, launch
from tts.kernels.nsa_kv import SelectedInputs, attend_kv_major
from tts.kernels.online_softmax import load_rows, softmax_finish, softmax_start, softmax_step

BLOCK_SIZES = (16, 32, 64, 128, 256)
QUERY_TILING = Tiling(num_warps=4, num_stages=2)


def selected_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    blocks: Tensor,
    cu_seqlens: Tensor,
    *,
    block_size: int,
    scale: float,
    order: Literal["query", "kv"] = "query",
    max_workspace_bytes: int = 2**30,
    out: Attention | None = None,
) -> Attention:
    """Causal attention in which each token sees only the blocks selected for it.

    Args:
        q: [T, Hq, D], tokens of all sequences one after another.
        k: [T, Hkv, D], strides as of `v`.
        v: [T, Hkv, D].
        blocks: [Hkv, T, max_selected] int32, distinct blocks of the token's own sequence, each
            `block_size` tokens from its start; -1 for none.
        cu_seqlens: [num_sequences + 1] int32, where each sequence starts, then T.
        block_size: Tokens per block: 16, 32, 64, 128 or 256.
        scale: Usually D ** -0.5.
        order: Which loop is outside.
        max_workspace_bytes: Of partial results ("kv" only); more tokens are done in turns.
        out: Tensors to write to; None allocates.

    Returns:
        [T, Hq, D] in the dtype of `q` and [T, Hq] float32; within 2e-6 (fp32), 1e-3 (fp16), 1e-2
        (bf16) of `reference.selected_attention` for values of size 1.

    Raises:
        ValueError: A shape, dtype or device that does not fit.
    """
    x = SelectedInputs(q, k, v, blocks, cu_seqlens, block_size, scale)
    _check(x)
    if order not in ("query", "kv"):
        raise ValueError(f"unknown order '{order}': use 'query' or 'kv'")
    num_tokens, num_heads, head_size = q.shape
    sizes = (num_tokens, num_heads)
    result = out or empty_attention(sizes, head_size, dtype=q.dtype, device=q.device)
    check_shape("out", result.out, q.shape, q.dtype)
    check_shape("lse", result.lse, sizes, torch.float32)
    check_same_device(q, *result)
    if order == "query":
        _query_major(x, result)
        return result
    part_bytes = 4 * blocks.shape[2] * (q[0].numel() + num_heads) if num_tokens else 1
    turn = max(1, max_workspace_bytes // max(1, part_bytes))
    for start in range(0, num_tokens, turn):
        attend_kv_major(x, start, turn, result)
    return result


def _check(x: SelectedInputs) -> None:
    q, k, v, blocks = x.q, x.k, x.v, x.blocks
    if q.dim() != 3 or k.dim() != 3:
        raise ValueError(f"q is {list(q.shape)}, k {list(k.shape)}: need [T, heads, D]")
    num_tokens, num_heads, head_size = q.shape
    check_heads(num_heads, k.shape[1], head_size)
    if q.dtype not in DTYPES:
        raise ValueError(f"{q.dtype} is not supported: use float16, bfloat16 or float32")
    check_shape("q", q, q.shape, q.dtype)
    check_shape("k", k, (num_tokens, k.shape[1], head_size), q.dtype)
    check_shape("v", v, k.shape, q.dtype)
    if k.stride() != v.stride():
        raise ValueError(f"k has strides {k.stride()}, v {v.stride()}: they must agree")
    check_shape("blocks", blocks, (k.shape[1], num_tokens, blocks.shape[-1]), torch.int32)
    check_int32(cu_seqlens=x.cu_seqlens)
    check_same_device(q, k, v, blocks, x.cu_seqlens)
    if x.block_size not in BLOCK_SIZES:
        raise ValueError(f"block size {x.block_size} is not supported, only {BLOCK_SIZES}")


def _query_major(x: SelectedInputs, result: Attention) -> None:
    num_tokens, _, head_size = x.q.shape
    token = torch.arange(num_tokens, dtype=torch.int32, device=x.q.device)
    sequence = torch.searchsorted(x.cu_seqlens, token, right=True) - 1
    launch(
        query_major_kernel,
        (num_tokens, x.k.shape[1]),
        x.q,
        x.k,
        x.v,
        x.blocks,
        x.cu_seqlens[sequence],
        *result,
        *x.q.stride()[:2],
        *x.k.stride()[:2],
        *x.blocks.stride()[:2],
        *result.out.stride()[:2],
        *result.lse.stride(),
        x.blocks.shape[2],
        x.scale * LOG2_E,
        D=head_size,
        G=x.group,
        BLOCK_M=next_power_of_two(x.group),
        BLOCK_N=min(64, x.block_size),
        SIZE=x.block_size,
        UPCAST=is_interpreted(),
        tiling=QUERY_TILING,
    )


@triton.jit
def query_major_kernel(
    q_ptr,
    k_ptr,
    v_ptr,
    blocks_ptr,
    origin_ptr,
    out_ptr,
    lse_ptr,
    stride_q_t,
    stride_q_h,
    stride_k_t,
    stride_k_h,
    stride_b_h,
    stride_b_t,
    stride_o_t,
    stride_o_h,
    stride_l_t,
    stride_l_h,
    max_selected,
    scale,
    D: tl.constexpr,
    G: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    SIZE: tl.constexpr,
    UPCAST: tl.constexpr,
):
    """Program (token, KV head): all blocks of the token, in the order of its list."""
    t, h = tl.program_id(0).to(tl.int64), tl.program_id(1)
    row = tl.arange(0, BLOCK_M)
    channel = tl.arange(0, D)
    lane = tl.arange(0, BLOCK_N)
    head = h * G + row
    is_row = row < G
    q = load_rows(q_ptr + t * stride_q_t + head * stride_q_h, is_row, channel, UPCAST)
    origin = tl.load(origin_ptr + t)
    list_ptr = blocks_ptr + h.to(tl.int64) * stride_b_h + t * stride_b_t
    state = softmax_start(BLOCK_M, D)
    for tile in range(0, max_selected * (SIZE // BLOCK_N)):
        block = tl.load(list_ptr + tile // (SIZE // BLOCK_N))
        # An absent block sees nothing: no token is at or before -1.
        last = tl.where(block >= 0, t, -1)
        start = origin + tl.maximum(block, 0) * SIZE
        token = start + tile % (SIZE // BLOCK_N) * BLOCK_N + lane
        live = token <= last
        base = token.to(tl.int64) * stride_k_t + h * stride_k_h
        state = softmax_step(
            state, q, k_ptr + base, v_ptr + base, channel, live, live[None, :], scale, UPCAST
        )
    out, lse = softmax_finish(state)
    address = out_ptr + t * stride_o_t + head[:, None] * stride_o_h + channel[None, :]
    tl.store(address, out.to(out_ptr.dtype.element_ty), mask=is_row[:, None])
    tl.store(lse_ptr + t * stride_l_t + head * stride_l_h, lse, mask=is_row)
