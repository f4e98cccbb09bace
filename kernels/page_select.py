# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators
"""Which pages a decode step attends to: a score per page, then the exact best ones.

One selection per request and KV head, shared by the query heads of its group: their scores are
averaged (Kinetics, arXiv:2506.05333), so the group's pages are read once. Scores "mean" are the
mean logit of a page; "minmax" is Quest's upper bound (arXiv:2406.10774).

Roofline, bytes per request and KV head: L / N * D * s for mean summaries (twice for "minmax"), and
8 * L / N for scores written and read. Against dense that is 1 / (2 * N): at N = 16 the summaries
weigh more than the pages once L > 32 * K, so long contexts want larger pages.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from tts.kernels.contracts import (
    MAX_SELECT_PAGES,
    CacheShape,
    Selection,
    SummaryKind,
    check_heads,
    check_same_device,
    check_shape,
    check_table,
    next_power_of_two,
)
from tts.kernels.launch import Tiling, launch
from tts.kernels.occupancy import choose_splits, num_sms
from tts.kernels.page_summary import summary_width

SCORE_PAGES = 32
SCORE_TILING = Tiling(num_warps=4, num_stages=2)
MAX_CHUNKS = 32


def select_tiling(max_pages: int) -> Tiling:
    """Return the tiling of a selection program over `max_pages` pages."""
    return Tiling(num_warps=4 if max_pages <= 1024 else 8)


def page_scores(
    q: Tensor,
    summary: Tensor,
    block_table: Tensor,
    seq_lens: Tensor,
    *,
    page_size: int,
    scale: float,
    kind: SummaryKind = "mean",
    sink_pages: int = 1,
    local_pages: int = 2,
    out: Tensor | None = None,
) -> Tensor:
    """Return how much each page of the context matters to each group of query heads.

    mean:   score = scale / G * sum_g(q_g) . mean
    minmax: score = scale / G * (sum_g(relu(q_g)) . max + sum_g(min(q_g, 0)) . min)

    The mean over the group commutes with the dot product, so a page costs one, not G. The first
    `sink_pages` and last `local_pages` pages get +inf, whatever their summary holds.

    Args:
        q: [B, Hq, D].
        summary: [num_pages, Hkv, D] or [num_pages, Hkv, 2 * D], see `page_summary_update`.
        block_table: [B, max_pages] int32.
        seq_lens: [B] int32, context tokens, this step's included.
        page_size: N.
        scale: Usually D ** -0.5; it does not change the order.
        kind: What `summary` holds.
        sink_pages: Pages kept at the start of the context.
        local_pages: Pages kept at its end, the incomplete one included; at least 1.
        out: [B, Hkv, max_pages] float32 to write to; None allocates.

    Returns:
        [B, Hkv, max_pages] float32, undefined past the context; within 1e-4 (fp32) of
        `reference.page_scores`. A NaN score becomes -inf.

    Raises:
        ValueError: A shape, dtype or device that does not fit.
    """
    shape = _check_scores(q, summary, block_table, seq_lens, page_size, kind)
    if sink_pages < 0 or local_pages < 1:
        raise ValueError(f"sink_pages={sink_pages} and local_pages={local_pages}: need >= 0, >= 1")
    batch, max_pages = block_table.shape
    if out is None:
        sizes = (batch, shape.num_kv_heads, max_pages)
        out = torch.empty(sizes, dtype=torch.float32, device=q.device)
    check_shape("out", out, (batch, shape.num_kv_heads, max_pages), torch.float32)
    # A fixed number of programs walks over the real pages: a grid sized by max_pages would launch
    # thousands of empty ones for short contexts of a long-context model.
    chunks = choose_splits(
        batch,
        shape.num_kv_heads,
        max_pages * 4,
        num_sms=num_sms(q.device),
        max_splits=MAX_CHUNKS,
    )
    launch(
        page_scores_kernel,
        (batch, shape.num_kv_heads, chunks),
        q,
        summary,
        block_table,
        seq_lens,
        out,
        *q.stride()[:2],
        *summary.stride()[:2],
        block_table.stride(0),
        *out.stride()[:2],
        max_pages,
        scale / shape.group,
        N=page_size,
        D=shape.head_size,
        G=shape.group,
        BLOCK_P=SCORE_PAGES,
        MINMAX=kind == "minmax",
        SINK=sink_pages,
        LOCAL=local_pages,
        tiling=SCORE_TILING,
    )
    return out


def select_pages(
    scores: Tensor,
    seq_lens: Tensor,
    *,
    max_selected: int,
    page_size: int,
    out: Selection | None = None,
) -> Selection:
    """Return the pages of the best scores: the exact set, of equal scores the earlier page.

    Args:
        scores: [B, Hkv, max_pages] float32, without NaN in the context; at most 8192 pages.
        seq_lens: [B] int32.
        max_selected: K / N, see `budget.select_budget_pages`.
        page_size: N.
        out: Tensors to write to; None allocates.

    Returns:
        Pages ascending, so that reads move forward through memory and only the last selected page
        can be incomplete; equal to `reference.select_pages`.

    Raises:
        ValueError: A shape, dtype or device that does not fit, or too many pages.
    """
    if scores.dim() != 3:
        raise ValueError(f"scores is {list(scores.shape)}, not [B, Hkv, max_pages]")
    batch, num_kv_heads, max_pages = scores.shape
    if max_pages > MAX_SELECT_PAGES:
        raise ValueError(
            f"selection among {max_pages} pages is not supported, only {MAX_SELECT_PAGES}: use "
            f"pages of {page_size * next_power_of_two(-(-max_pages // MAX_SELECT_PAGES))} tokens"
        )
    if max_selected < 1:
        raise ValueError(f"max_selected={max_selected}: a step keeps at least its last page")
    check_shape("scores", scores, scores.shape, torch.float32)
    check_shape("seq_lens", seq_lens, (batch,), torch.int32)
    if out is None:
        pages = scores.new_empty((batch, num_kv_heads, max_selected), dtype=torch.int32)
        out = Selection(pages, scores.new_empty((batch, num_kv_heads), dtype=torch.int32))
    check_shape("pages", out.pages, (batch, num_kv_heads, max_selected), torch.int32)
    check_shape("counts", out.counts, (batch, num_kv_heads), torch.int32)
    check_same_device(scores, seq_lens, *out)
    launch(
        select_pages_kernel,
        (batch, num_kv_heads),
        scores,
        seq_lens,
        out.pages,
        out.counts,
        *scores.stride()[:2],
        *out.pages.stride()[:2],
        out.counts.stride(0),
        max_pages,
        N=page_size,
        KEEP=max_selected,
        BLOCK_P=next_power_of_two(max_pages),
        BLOCK_K=next_power_of_two(max_selected),
        tiling=select_tiling(max_pages),
    )
    return out


def _check_scores(
    q: Tensor,
    summary: Tensor,
    block_table: Tensor,
    seq_lens: Tensor,
    page_size: int,
    kind: SummaryKind,
) -> CacheShape:
    if q.dim() != 3 or q.stride(2) != 1:
        raise ValueError(f"q is {list(q.shape)}, not [B, Hq, D] with a contiguous head")
    if summary.dim() != 3:
        raise ValueError(f"summary is {list(summary.shape)}, not [num_pages, Hkv, width]")
    num_kv_heads = summary.shape[1]
    check_heads(q.shape[1], num_kv_heads, q.shape[2])
    width = summary_width(q.shape[2], kind)
    check_shape("summary", summary, (summary.shape[0], num_kv_heads, width), q.dtype)
    check_table(block_table, seq_lens, q.shape[0])
    check_same_device(q, summary, block_table, seq_lens)
    return CacheShape(num_kv_heads, q.shape[1] // num_kv_heads, q.shape[2], page_size)


@triton.jit
def page_scores_kernel(
    q_ptr,
    summary_ptr,
    table_ptr,
    lens_ptr,
    out_ptr,
    stride_q_b,
    stride_q_h,
    stride_s_page,
    stride_s_head,
    stride_t_b,
    stride_o_b,
    stride_o_h,
    max_pages,
    weight,
    N: tl.constexpr,
    D: tl.constexpr,
    G: tl.constexpr,
    BLOCK_P: tl.constexpr,
    MINMAX: tl.constexpr,
    SINK: tl.constexpr,
    LOCAL: tl.constexpr,
):
    """Program (request, KV head, chunk): scores of every chunk-th tile of BLOCK_P pages.

    A matrix-vector product: no tensor core, no padding of the group to 16 rows.
    """
    b, h = tl.program_id(0), tl.program_id(1)
    num_pages = tl.minimum(tl.cdiv(tl.load(lens_ptr + b), N), max_pages)
    channel = tl.arange(0, D)
    tile = tl.arange(0, BLOCK_P)
    positive = tl.zeros((D,), tl.float32)
    negative = tl.zeros((D,), tl.float32)
    for g in tl.static_range(G):
        head = tl.load(q_ptr + b * stride_q_b + (h * G + g) * stride_q_h + channel).to(tl.float32)
        if MINMAX:
            positive += tl.maximum(head, 0.0) * weight
            negative += tl.minimum(head, 0.0) * weight
        else:
            positive += head * weight
    first = tl.program_id(2) * BLOCK_P
    for start in range(first, num_pages, tl.num_programs(2) * BLOCK_P):
        page = start + tile
        live = page < num_pages
        physical = tl.load(table_ptr + b * stride_t_b + page, mask=live, other=0).to(tl.int64)
        base = summary_ptr + physical * stride_s_page + h * stride_s_head
        address = base[:, None] + channel[None, :]
        if MINMAX:
            low = tl.load(address, mask=live[:, None], other=0.0).to(tl.float32)
            high = tl.load(address + D, mask=live[:, None], other=0.0).to(tl.float32)
            score = tl.sum(high * positive[None, :] + low * negative[None, :], axis=1)
        else:
            mean = tl.load(address, mask=live[:, None], other=0.0).to(tl.float32)
            score = tl.sum(mean * positive[None, :], axis=1)
        score = tl.where(score == score, score, float("-inf"))
        forced = (page < SINK) | (page >= num_pages - LOCAL)
        score = tl.where(forced, float("inf"), score)
        tl.store(out_ptr + b * stride_o_b + h * stride_o_h + page, score, mask=live)


@triton.jit
def select_pages_kernel(
    scores_ptr,
    lens_ptr,
    pages_ptr,
    counts_ptr,
    stride_s_b,
    stride_s_h,
    stride_p_b,
    stride_p_h,
    stride_c_b,
    max_pages,
    N: tl.constexpr,
    KEEP: tl.constexpr,
    BLOCK_P: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    """Program (request, KV head): bisect the threshold of the KEEP best scores, then compact.

    Scores become integers of the same order, so 32 halvings find the exact threshold; no sort.
    """
    b, h = tl.program_id(0), tl.program_id(1)
    num_pages = tl.minimum(tl.cdiv(tl.load(lens_ptr + b), N), max_pages)
    page = tl.arange(0, BLOCK_P)
    live = page < num_pages
    score = tl.load(
        scores_ptr + b * stride_s_b + h * stride_s_h + page, mask=live, other=float("-inf")
    )
    # Both zeros are one value; negative floats order backwards as integers, so flip their bits.
    bits = tl.where(score == 0.0, 0.0, score).to(tl.int32, bitcast=True)
    key = tl.where(bits < 0, bits ^ 0x7FFFFFFF, bits)
    key = tl.where(live, key, -2147483648)
    keep = tl.minimum(KEEP, num_pages)
    low = tl.full((), -2147483648, tl.int64)
    high = tl.full((), 2147483647, tl.int64)
    for _ in range(32):
        # Invariant: at least `keep` keys are >= low, and fewer than that are > high.
        middle = (low + high + 1) >> 1
        enough = tl.sum((key >= middle.to(tl.int32)).to(tl.int32), axis=0) >= keep
        low = tl.where(enough, middle, low)
        high = tl.where(enough, high, middle - 1)
    threshold = low.to(tl.int32)
    above = key > threshold
    ties = live & (key == threshold)
    num_ties = keep - tl.sum(above.to(tl.int32), axis=0)
    chosen = above | (ties & (tl.cumsum(ties.to(tl.int32), axis=0) <= num_ties))
    slot = tl.cumsum(chosen.to(tl.int32), axis=0) - 1
    row = pages_ptr + b * stride_p_b + h * stride_p_h
    tl.store(row + slot, page, mask=chosen)
    rest = tl.arange(0, BLOCK_K)
    tl.store(row + rest, -1, mask=(rest >= keep) & (rest < KEEP))
    tl.store(counts_ptr + b * stride_c_b + h, keep)
