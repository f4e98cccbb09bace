# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators
"""Mean, or minimum and maximum, of each page's keys: what `page_select` scores instead of keys.

A summary is written once, when the last slot of its page is, from the keys in the cache. The last
page of a context is always selected, so a partial page needs none; and since nothing accumulates,
writing a page again (graph replay, speculative tokens, a reused page) gives its new summary and not
a drift. Summaries are indexed by physical page: a prefix-cache hit brings its own.

Roofline: reads N * D keys and writes D (mean) values per page and head, once per N tokens: of the
step's traffic 1 / L. Memory: 1 / (2 * N) of the KV cache for "mean", twice that for "minmax".
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from tts.kernels.contracts import SummaryKind, check_cache, check_same_device, check_shape
from tts.kernels.launch import Tiling, launch

SUMMARY_TILING = Tiling(num_warps=4)
SUMMARY_ROWS = 16


def summary_width(head_size: int, kind: SummaryKind) -> int:
    """Return how many values summarise a page for one head: D for "mean", 2 * D for "minmax".

    Raises:
        ValueError: An unknown kind.
    """
    if kind not in ("mean", "minmax"):
        raise ValueError(f"unknown summary '{kind}': use 'mean' or 'minmax'")
    return head_size if kind == "mean" else 2 * head_size


def page_summary_update(
    kv: Tensor, slots: Tensor, summary: Tensor, *, kind: SummaryKind = "mean"
) -> None:
    """Write the summary of each page that these tokens complete.

    mean = sum(k) / N, minmax = min(k) | max(k) per channel, over the N keys of the page.

    Args:
        kv: [num_pages, Hkv, N, 2 * D], the tokens already in it.
        slots: [T] int64, page * N + offset of each new token; negative ones are padding.
        summary: [num_pages, Hkv, D] for "mean", [num_pages, Hkv, 2 * D] for "minmax", in the dtype
            of `kv`; changed. Within one rounding of `reference.page_summary_update`.
        kind: Which summary.

    Raises:
        ValueError: A shape, dtype or device that does not fit.
    """
    shape = check_cache(kv, num_q_heads=kv.shape[1])
    width = summary_width(shape.head_size, kind)
    check_shape("summary", summary, (kv.shape[0], shape.num_kv_heads, width), kv.dtype)
    check_shape("slots", slots, (slots.numel(),), torch.int64)
    check_same_device(kv, slots, summary)
    launch(
        page_summary_kernel,
        (slots.shape[0], shape.num_kv_heads),
        kv,
        slots,
        summary,
        *kv.stride()[:3],
        *summary.stride()[:2],
        N=shape.page_size,
        D=shape.head_size,
        ROWS=SUMMARY_ROWS,
        MINMAX=kind == "minmax",
        tiling=SUMMARY_TILING,
    )


@triton.jit
def page_summary_kernel(
    kv_ptr,
    slots_ptr,
    summary_ptr,
    stride_kv_page,
    stride_kv_head,
    stride_kv_token,
    stride_s_page,
    stride_s_head,
    N: tl.constexpr,
    D: tl.constexpr,
    ROWS: tl.constexpr,
    MINMAX: tl.constexpr,
):
    """Program (new token, KV head): summarise its page if the token is the last of it.

    fp32 after the load: the interpreter's bfloat16 arithmetic is wrong, and sums need it anyway.
    """
    slot = tl.load(slots_ptr + tl.program_id(0))
    head = tl.program_id(1)
    if (slot >= 0) & (slot % N == N - 1):
        page = (slot // N).to(tl.int64)
        rows = tl.arange(0, ROWS)
        channel = tl.arange(0, D)
        base = kv_ptr + page * stride_kv_page + head * stride_kv_head
        total = tl.zeros((D,), tl.float32)
        low = tl.full((D,), float("inf"), tl.float32)
        high = tl.full((D,), float("-inf"), tl.float32)
        for start in range(0, N, ROWS):
            address = base + (start + rows)[:, None] * stride_kv_token + channel[None, :]
            keys = tl.load(address).to(tl.float32)
            if MINMAX:
                low = tl.minimum(low, tl.min(keys, axis=0))
                high = tl.maximum(high, tl.max(keys, axis=0))
            else:
                total += tl.sum(keys, axis=0)
        out = summary_ptr + page * stride_s_page + head * stride_s_head + channel
        if MINMAX:
            tl.store(out, low.to(summary_ptr.dtype.element_ty))
            tl.store(out + D, high.to(summary_ptr.dtype.element_ty))
        else:
            tl.store(out, (total / N).to(summary_ptr.dtype.element_ty))
