# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators
"""The KV-major order of `nsa.selected_attention`: a program per block and tokens that chose it.

The lists token -> blocks are inverted with fixed-shape tensor operations, so nothing is copied to
the host and no program depends on lengths that only the device knows.
"""

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from tts.kernels.contracts import Attention, empty_attention
from tts.kernels.decode import LOG2_E
from tts.kernels.launch import Tiling, is_interpreted, launch
from tts.kernels.merge import merge_states
from tts.kernels.online_softmax import load_rows, softmax_finish, softmax_start, softmax_step

KV_ROWS = 64
KV_TILING = Tiling(num_warps=4, num_stages=2)


@dataclass(frozen=True, slots=True)
class SelectedInputs:
    """The arguments of `nsa.selected_attention`, as it describes them."""

    q: Tensor
    k: Tensor
    v: Tensor
    blocks: Tensor
    cu_seqlens: Tensor
    block_size: int
    scale: float

    @property
    def group(self) -> int:
        """G, query heads per KV head."""
        return self.q.shape[1] // self.k.shape[1]


def attend_kv_major(x: SelectedInputs, start: int, turn: int, result: Attention) -> None:
    """Attend for the tokens `start` to `start + turn`; their rows of `result` are written."""
    num_tokens, num_heads, head_size = x.q[start : start + turn].shape
    num_kv_heads, _, max_selected = x.blocks.shape
    tokens_per_tile = KV_ROWS // x.group
    work = _invert(x.blocks, x.cu_seqlens, x.block_size, start, turn, tokens_per_tile)
    sizes = (num_tokens, max_selected, num_heads)
    partial = empty_attention(sizes, head_size, dtype=torch.float32, device=x.q.device)
    partial.lse.fill_(-torch.inf)
    launch(
        kv_major_kernel,
        (work.block.shape[1], num_kv_heads),
        x.q,
        x.k,
        x.v,
        work.pairs,
        work.block,
        work.first,
        work.last,
        work.block_start,
        work.block_end,
        work.count,
        *partial,
        *x.q.stride()[:2],
        *x.k.stride()[:2],
        work.pairs.stride(0),
        work.block.stride(0),
        *partial.out.stride()[1:3],
        partial.lse.stride(1),
        start,
        max_selected,
        x.scale * LOG2_E,
        D=head_size,
        G=x.group,
        BLOCK_M=KV_ROWS,
        TOKENS=tokens_per_tile,
        BLOCK_N=min(64, x.block_size),
        SIZE=x.block_size,
        UPCAST=is_interpreted(),
        tiling=KV_TILING,
    )
    rows = slice(start, start + num_tokens)
    by_part = Attention(partial.out.transpose(0, 1), partial.lse.transpose(0, 1))
    merge_states(by_part, Attention(result.out[rows], result.lse[rows]))


@dataclass(frozen=True, slots=True)
class _Inverse:
    """The tokens that chose each block, cut into tiles; all int32.

    Attributes:
        pairs: [Hkv, tokens * max_selected], token * max_selected + slot, sorted by block.
        block: [Hkv, max_tiles], block of each tile, numbered over all sequences.
        first: [Hkv, max_tiles], where in `pairs` the tile starts.
        last: [Hkv, max_tiles], where the block's pairs end.
        block_start: [num_blocks], first token of each block.
        block_end: [num_blocks], token after its last.
        count: [Hkv], how many tiles are real.
    """

    pairs: Tensor
    block: Tensor
    first: Tensor
    last: Tensor
    block_start: Tensor
    block_end: Tensor
    count: Tensor


def _invert(
    blocks: Tensor, cu_seqlens: Tensor, block_size: int, start: int, turn: int, per_tile: int
) -> _Inverse:
    """Invert token -> blocks with fixed shapes: nothing is copied to the host."""
    num_kv_heads, num_tokens, _ = blocks.shape
    bounds = cu_seqlens.long()
    blocks_before = torch.nn.functional.pad((-(-bounds.diff() // block_size)).cumsum(0), (1, 0))
    num_blocks = num_tokens // block_size + bounds.numel()  # at least as many as there are
    number = torch.arange(num_blocks, device=blocks.device)
    owner = torch.searchsorted(blocks_before, number, right=True) - 1
    owner = owner.clamp(max=bounds.numel() - 2)
    block_start = bounds[owner] + (number - blocks_before[owner]) * block_size
    block_end = torch.minimum(block_start + block_size, bounds[owner + 1])

    chosen = blocks[:, start : start + turn].long()
    token = torch.arange(start, start + chosen.shape[1], device=blocks.device)
    base = blocks_before[torch.searchsorted(bounds, token, right=True) - 1]
    numbered = torch.where(chosen >= 0, chosen + base[None, :, None], num_blocks).flatten(1)
    by_block, pairs = numbered.sort(dim=1, stable=True)
    borders = torch.arange(num_blocks + 1, device=blocks.device).repeat(num_kv_heads, 1)
    starts = torch.searchsorted(by_block, borders)
    tiles = -(-starts.diff(dim=1) // per_tile)
    tile_ends = tiles.cumsum(1)
    max_tiles = numbered.shape[1] // per_tile + num_blocks
    index = torch.arange(max_tiles, device=blocks.device).repeat(num_kv_heads, 1)
    block = torch.searchsorted(tile_ends, index, right=True).clamp(max=num_blocks - 1)
    inside = index - (tile_ends - tiles).gather(1, block)
    first = starts.gather(1, block) + inside * per_tile
    last = starts.gather(1, block + 1)
    return _Inverse(
        pairs.int(),
        block.int(),
        first.int(),
        last.int(),
        block_start.int(),
        block_end.int(),
        tile_ends[:, -1].int(),
    )


@triton.jit
def kv_major_kernel(
    q_ptr,
    k_ptr,
    v_ptr,
    pairs_ptr,
    block_ptr,
    first_ptr,
    last_ptr,
    block_start_ptr,
    block_end_ptr,
    count_ptr,
    out_ptr,
    lse_ptr,
    stride_q_t,
    stride_q_h,
    stride_k_t,
    stride_k_h,
    stride_p_h,
    stride_w_h,
    stride_o_p,
    stride_o_h,
    stride_l_p,
    first_token,
    max_selected,
    scale,
    D: tl.constexpr,
    G: tl.constexpr,
    BLOCK_M: tl.constexpr,
    TOKENS: tl.constexpr,
    BLOCK_N: tl.constexpr,
    SIZE: tl.constexpr,
    UPCAST: tl.constexpr,
):
    """Program (tile, KV head): up to TOKENS tokens that chose one block, G rows each.

    The part of token t for its slot j is row t * max_selected + j, which is the pair's number.
    """
    tile, h = tl.program_id(0), tl.program_id(1)
    if tile < tl.load(count_ptr + h):
        row = tl.arange(0, BLOCK_M)
        channel = tl.arange(0, D)
        lane = tl.arange(0, BLOCK_N)
        head = h * G + row % G
        work = h * stride_w_h + tile
        block = tl.load(block_ptr + work)
        index = tl.load(first_ptr + work) + row // G
        is_row = (row // G < TOKENS) & (index < tl.load(last_ptr + work))
        pair = tl.load(pairs_ptr + h.to(tl.int64) * stride_p_h + index, mask=is_row, other=0)
        pair = pair.to(tl.int64)
        t = first_token + pair // max_selected
        q = load_rows(q_ptr + t * stride_q_t + head * stride_q_h, is_row, channel, UPCAST)
        start = tl.load(block_start_ptr + block)
        end = tl.load(block_end_ptr + block)
        state = softmax_start(BLOCK_M, D)
        for offset in range(0, SIZE, BLOCK_N):
            token = start + offset + lane
            live = token < end
            base = token.to(tl.int64) * stride_k_t + h * stride_k_h
            visible = live[None, :] & (token[None, :] <= t[:, None])
            state = softmax_step(
                state, q, k_ptr + base, v_ptr + base, channel, live, visible, scale, UPCAST
            )
        out, lse = softmax_finish(state)
        address = out_ptr + pair[:, None] * stride_o_p + head[:, None] * stride_o_h
        tl.store(address + channel[None, :], out, mask=is_row[:, None])
        tl.store(lse_ptr + pair * stride_l_p + head, lse, mask=is_row)
