"""Times of the kernels on a GPU: ours, torch's and FlashAttention's, against the memory roofline.

Every call is captured in a CUDA graph and replayed with a cold L2 cache; times are medians. The
roofline is what the card copies (read plus write), measured in the same run. The cache of a
baseline that cannot read pages is gathered before its clock starts.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from importlib import import_module
from itertools import product
from typing import Any

import torch
from torch import Tensor

from tts.bench.kernels_figures import SparseRow, TreeRow, sparse_row, step_of
from tts.kernels import dispatch, workloads
from tts.kernels.budget import select_budget_pages
from tts.kernels.contracts import Selection
from tts.kernels.decode import paged_decode, sparse_decode
from tts.kernels.dispatch import SparsePolicy
from tts.kernels.page_select import page_scores, select_pages
from tts.kernels.page_summary import summary_width
from tts.kernels.tree_decode import tree_decode
from tts.kernels.workloads import DecodeInputs, DecodeWorkload, Grid

COPY_BYTES = {"cuda": 2**31, "cpu": 2**24}
Timer = Callable[[Callable[[], Any]], float]


def measure(device: str, grid: Grid) -> dict[str, Any]:
    """Return the times of a grid, in microseconds a layer, and what the device copies a second.

    Args:
        device: "cuda"; or "cpu", where Triton interprets the kernels: that shows that all of this
            runs, and times nothing.
        grid: What to measure.
    """
    timer = graph_timer() if device == "cuda" else wall_timer
    with torch.device(device):
        rate = copy_rate(timer, COPY_BYTES[device])
        return {
            "device": torch.cuda.get_device_name() if device == "cuda" else "CPU, interpreted",
            "copy_rate": rate,
            "sparse": [asdict(row) for row in sparse_rows(timer, rate, grid, device)],
            "tree": [asdict(row) for row in tree_rows(timer, grid, device)],
        }


def wall_timer(call: Callable[[], Any]) -> float:
    """Return the microseconds of one call."""
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1e6


def graph_timer() -> Timer:
    """Return a function that measures a call in microseconds: its CUDA graph, with a cold cache."""
    testing: Any = import_module("triton.testing")

    def measure(call: Callable[[], Any]) -> float:
        call()  # compiles
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            call()
        return float(testing.do_bench(graph.replay, return_mode="median")) * 1e3

    return measure


def copy_rate(timer: Timer, num_bytes: int) -> float:
    """Return bytes per second, read plus write, of a copy."""
    source = torch.empty(num_bytes, dtype=torch.uint8)
    target = torch.empty_like(source)
    return 2 * num_bytes / (timer(lambda: target.copy_(source)) * 1e-6)


def sparse_rows(timer: Timer, rate: float, grid: Grid, device: str) -> Iterator[SparseRow]:
    """Yield the cells of a grid; a cache that does not fit is left out."""
    for batch, context, page in product(grid.batches, grid.contexts, grid.pages):
        workload = DecodeWorkload((context,) * batch, page_size=page)
        # Twice: baselines want the cache in one piece.
        needed = 2 * dispatch.dense_bytes(step_of(workload))
        if device == "cpu" or needed <= torch.cuda.mem_get_info()[0]:
            yield from _sparse_cell(timer, rate, workload, grid.budgets, device)
            torch.cuda.empty_cache()


def tree_rows(timer: Timer, grid: Grid, device: str) -> Iterator[TreeRow]:
    """Yield the shared prefixes of a grid."""
    for branches, prefix, own in grid.trees:
        workload = DecodeWorkload((prefix + own,) * branches)
        x = workloads.build_device_inputs(workload, device=device, shared_tokens=prefix)
        plan = workloads.build_workload_plan(x, workload)
        arguments, scale = (x.q, x.kv, x.block_table, x.seq_lens), workload.scale
        dense = timer(partial(paged_decode, *arguments, scale=scale))
        tree = timer(partial(tree_decode, *arguments, plan, scale=scale))
        limit = branches * (prefix + own) / (prefix + branches * own)
        yield TreeRow(branches, prefix, own, dense, tree, dense / tree, limit)
        torch.cuda.empty_cache()


def _sparse_cell(
    timer: Timer, rate: float, workload: DecodeWorkload, budgets: tuple[int, ...], device: str
) -> Iterator[SparseRow]:
    x = workloads.build_device_inputs(workload, device=device)
    width = summary_width(workload.head_size, "mean")
    summary = torch.randn(*x.kv.shape[:2], width).to(workload.dtype)
    dense = timer(partial(paged_decode, x.q, x.kv, x.block_table, x.seq_lens, scale=workload.scale))
    others = dict(_baselines(timer, x, workload))
    for budget in budgets:
        if budget >= workload.seq_lens[0]:
            continue
        policy = SparsePolicy(budget)
        selection = _select(x, summary, workload, policy)
        sparse = timer(partial(_sparse, x, summary, workload, policy))
        attend = timer(partial(_attend, x, workload, selection))
        yield sparse_row(workload, budget, rate, (dense, sparse, attend), others)


def _select(
    x: DecodeInputs, summary: Tensor, workload: DecodeWorkload, policy: SparsePolicy
) -> Selection:
    page, scale = workload.page_size, workload.scale
    scores = page_scores(x.q, summary, x.block_table, x.seq_lens, page_size=page, scale=scale)
    most = select_budget_pages(policy.budget, page)
    return select_pages(scores, x.seq_lens, max_selected=most, page_size=page)


def _attend(x: DecodeInputs, workload: DecodeWorkload, selection: Selection) -> Any:
    return sparse_decode(x.q, x.kv, x.block_table, x.seq_lens, selection, scale=workload.scale)


def _sparse(
    x: DecodeInputs, summary: Tensor, workload: DecodeWorkload, policy: SparsePolicy
) -> Any:
    return _attend(x, workload, _select(x, summary, workload, policy))


def _baselines(
    timer: Timer, x: DecodeInputs, workload: DecodeWorkload
) -> Iterator[tuple[str, float]]:
    """Yield the time of each baseline that runs here."""
    batch, heads, size = len(workload.seq_lens), workload.num_kv_heads, workload.head_size
    paged = x.kv[x.block_table.long()].transpose(1, 2).reshape(batch, heads, -1, 2 * size)
    keys, values = (part.contiguous() for part in paged.chunk(2, dim=3))
    q = x.q[:, :, None]
    attend = torch.nn.functional.scaled_dot_product_attention
    flex: Any = import_module("torch.nn.attention.flex_attention").flex_attention
    compiler: Any = torch.compile  # torch leaves it untyped
    compiled = compiler(flex, dynamic=False) if x.q.is_cuda else flex
    calls: dict[str, Callable[[], Any]] = {
        "SDPA": lambda: attend(q, keys, values, scale=workload.scale, enable_gqa=True),
        "flex": lambda: compiled(q, keys, values, scale=workload.scale, enable_gqa=True),
    }
    flash = _flash_attention() if x.q.is_cuda else None
    if flash is not None:
        calls["FA3"] = partial(_run_flash, flash, x, workload)
    for name, call in calls.items():
        try:
            yield name, timer(call)
        except (RuntimeError, NotImplementedError):  # not for this card, shape or installation
            continue


def _flash_attention() -> Any:
    """Return FlashAttention over paged caches from vLLM's CUDA wheel; None without it."""
    try:
        return import_module("vllm.vllm_flash_attn").flash_attn_varlen_func
    except (ImportError, AttributeError):
        return None


def _run_flash(flash: Any, x: DecodeInputs, workload: DecodeWorkload) -> Any:
    keys, values = x.kv.transpose(1, 2).chunk(2, dim=3)
    return flash(
        q=x.q,
        k=keys,
        v=values,
        cu_seqlens_q=torch.arange(len(x.q) + 1, dtype=torch.int32, device=x.q.device),
        max_seqlen_q=1,
        seqused_k=x.seq_lens,
        max_seqlen_k=workload.seq_lens[0],
        softmax_scale=workload.scale,
        causal=True,
        block_table=x.block_table,
        fa_version=3,
    )
