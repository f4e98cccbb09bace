"""The launches that ship: every kernel in every configuration that a real model asks for.

Each is recorded from the wrapper itself on tensors without memory, so that what the compile gate
compiles is what a card would run.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Literal

import torch

from tts.kernels.contracts import Selection, SummaryKind
from tts.kernels.decode import build_decode_buffers, paged_decode, sparse_decode
from tts.kernels.launch import Launch, record_launches
from tts.kernels.nsa import selected_attention
from tts.kernels.nsa_blocks import block_scores
from tts.kernels.page_select import page_scores, select_pages
from tts.kernels.page_summary import page_summary_update, summary_width
from tts.kernels.tree_decode import tree_decode
from tts.kernels.view_decode import view_decode
from tts.kernels.views import ViewPlan
from tts.kernels.workloads import DecodeInputs, DecodeWorkload, build_workload_plan

META = torch.device("meta")
BATCH = 16
CONTEXT = 32_768
BUDGET = 2_048

_KINDS: tuple[SummaryKind, ...] = ("mean", "minmax")
_ORDERS: tuple[Literal["query", "kv"], ...] = ("query", "kv")
_BF16, _FP16 = torch.bfloat16, torch.float16
_NAMES = {_BF16: "bf16", _FP16: "fp16"}
# (G, D, N, dtype). The first compiles in all forms, the others, which vary it, in the usual one.
DECODE_SHAPES = (
    (4, 128, 16, _BF16),
    (4, 128, 64, _BF16),
    (4, 128, 128, _BF16),
    (4, 128, 16, _FP16),
    (4, 64, 16, _BF16),
    (1, 128, 16, _BF16),
    (2, 128, 16, _BF16),
    (8, 128, 16, _BF16),
    (16, 64, 16, _BF16),
)
DECODE_FORMS = (("sparse", 8), ("sparse", 1), ("dense", 8), ("dense", 1))


def shipped_launches() -> Iterator[tuple[str, Launch]]:
    """Yield each configuration in words, and its launches."""
    for i, (group, head_size, page_size, dtype) in enumerate(DECODE_SHAPES):
        workload = DecodeWorkload(
            (CONTEXT,) * BATCH, 8 * group, 8, head_size, page_size, dtype=dtype
        )
        words = f"G={group} D={head_size} N={page_size} {_NAMES[dtype]}"
        for form, splits in DECODE_FORMS[: None if i == 0 else 1]:
            name = f"{form} S={splits} {words}"
            yield from _record(name, partial(_decode, workload, form, splits))
    for kind in _KINDS:
        for head_size, page_size in ((64, 16), (128, 16), (128, 64)):
            workload = DecodeWorkload((CONTEXT,) * BATCH, 32, 8, head_size, page_size)
            words = f"{kind} D={head_size} N={page_size} bf16"
            yield from _record(words, partial(_summarise, workload, kind))
    for group, head_size in ((4, 128), (1, 128), (8, 128), (8, 64)):
        workload = DecodeWorkload((CONTEXT,) * BATCH, 8 * group, 8, head_size, 16)
        words = f"G={group} D={head_size} N=16 bf16"
        yield from _record(words, partial(_share, workload))
        yield from _record(words, partial(_view, workload))
    for group, head_size in ((1, 128), (4, 128), (16, 64)):
        words = f"G={group} D={head_size} block=64 bf16"
        yield from _record(words, partial(_select_blocks, group, head_size))
    for max_pages in (1_024, 4_096, 8_192):
        yield from _record(f"{max_pages} pages", partial(_select, max_pages))


def _record(words: str, call: Callable[[], None]) -> Iterator[tuple[str, Launch]]:
    with record_launches() as launches:
        call()
    for launch in launches:
        yield words, launch


def meta_inputs(workload: DecodeWorkload) -> DecodeInputs:
    """Return inputs of a workload's shapes without memory."""
    batch, page = len(workload.seq_lens), workload.page_size
    max_pages = -(-max(workload.seq_lens) // page)
    heads, size = workload.num_kv_heads, workload.head_size
    return DecodeInputs(
        torch.empty(batch, workload.num_q_heads, size, dtype=workload.dtype, device=META),
        torch.empty(batch * max_pages, heads, page, 2 * size, dtype=workload.dtype, device=META),
        torch.empty(batch, max_pages, dtype=torch.int32, device=META),
        torch.empty(batch, dtype=torch.int32, device=META),
    )


def _decode(workload: DecodeWorkload, form: str, splits: int) -> None:
    x = meta_inputs(workload)
    buffers = build_decode_buffers(x.q, splits)
    arguments = (x.q, x.kv, x.block_table, x.seq_lens)
    if form == "dense":
        paged_decode(*arguments, scale=workload.scale, buffers=buffers)
        return
    sizes = (BATCH, workload.num_kv_heads, BUDGET // workload.page_size)
    pages = torch.empty(sizes, dtype=torch.int32, device=META)
    selection = Selection(pages, pages[:, :, 0].contiguous())
    sparse_decode(*arguments, selection, scale=workload.scale, buffers=buffers)


def _summarise(workload: DecodeWorkload, kind: SummaryKind) -> None:
    x = meta_inputs(workload)
    width = summary_width(workload.head_size, kind)
    summary = torch.empty(*x.kv.shape[:2], width, dtype=workload.dtype, device=META)
    slots = torch.empty(BATCH, dtype=torch.int64, device=META)
    page_summary_update(x.kv, slots, summary, kind=kind)
    page_scores(
        x.q,
        summary,
        x.block_table,
        x.seq_lens,
        page_size=workload.page_size,
        scale=workload.scale,
        kind=kind,
    )


def _select(max_pages: int) -> None:
    scores = torch.empty(BATCH, 8, max_pages, dtype=torch.float32, device=META)
    lens = torch.empty(BATCH, dtype=torch.int32, device=META)
    select_pages(scores, lens, max_selected=128, page_size=16)


def _share(workload: DecodeWorkload) -> None:
    x = meta_inputs(workload)
    plan = build_workload_plan(x, workload)
    tree_decode(x.q, x.kv, x.block_table, x.seq_lens, plan, scale=workload.scale)


def _view(workload: DecodeWorkload) -> None:
    x = meta_inputs(workload)
    parts = torch.empty(8 * BATCH, dtype=torch.int32, device=META)
    angles = torch.empty(8 * BATCH, workload.head_size // 2, device=META)
    bounds = torch.empty(BATCH + 1, dtype=torch.int32, device=META)
    plan = ViewPlan(parts, parts, parts, parts, angles, angles, bounds)
    view_decode(x.q, x.kv, x.block_table, plan, scale=workload.scale)


def _select_blocks(group: int, head_size: int) -> None:
    num_tokens, num_kv_heads, window, stride = 4_096, 4, 32, 16
    q = torch.empty(num_tokens, num_kv_heads * group, head_size, dtype=_BF16, device=META)
    k, v = q[:, :num_kv_heads].contiguous(), q[:, :num_kv_heads].contiguous()
    blocks = torch.empty(num_kv_heads, num_tokens, 16, dtype=torch.int32, device=META)
    bounds = torch.empty(9, dtype=torch.int32, device=META)
    scale = head_size**-0.5
    for order in _ORDERS:
        selected_attention(q, k, v, blocks, bounds, block_size=64, scale=scale, order=order)
    compressed = k[: num_tokens // stride].contiguous()
    lse = torch.empty(num_tokens, q.shape[1], dtype=torch.float32, device=META)
    block_scores(
        q,
        compressed,
        lse,
        bounds,
        bounds,
        window=window,
        stride=stride,
        block_size=64,
        scale=scale,
    )
