"""Shapes and inputs shared by tests and benchmarks, so that what is timed is what is tested."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from tts.kernels.tree_plan import TreeLimits, TreePlan, build_tree_plan, default_limits

Layout = Literal["LBHNC", "LBNHC"]


@dataclass(frozen=True, slots=True)
class DecodeWorkload:
    """One decode step.

    Attributes:
        seq_lens: Context tokens of each request.
        num_q_heads: Hq.
        num_kv_heads: Hkv.
        head_size: D.
        page_size: N.
        dtype: Of queries and cache.
        layout: Order of the cache in memory: a page of one head in one run (LBHNC), or a token of
            all heads in one run (LBNHC).
    """

    seq_lens: tuple[int, ...]
    num_q_heads: int = 32
    num_kv_heads: int = 8
    head_size: int = 128
    page_size: int = 16
    dtype: torch.dtype = torch.bfloat16
    layout: Layout = "LBHNC"

    @property
    def scale(self) -> float:
        """D ** -0.5."""
        return float(self.head_size**-0.5)


@dataclass(frozen=True, slots=True)
class DecodeInputs:
    """Tensors of a decode step; letters and layouts as in `contracts`.

    Attributes:
        q: [B, Hq, D].
        kv: [num_pages, Hkv, N, 2 * D], a view of the layout asked for; what no context reaches
            is NaN, so that reading it shows.
        block_table: [B, max_pages] int32; unused entries hold page 0, which is all NaN.
        seq_lens: [B] int32.
    """

    q: Tensor
    kv: Tensor
    block_table: Tensor
    seq_lens: Tensor


@dataclass(frozen=True, slots=True)
class Branch:
    """One tree node: a run of pages that all of its children share, or a leaf's own tokens.

    Attributes:
        num_tokens: Tokens of the node; whole pages unless it is a leaf.
        children: Empty for a leaf, which is one request.
    """

    num_tokens: int
    children: tuple["Branch", ...] = ()


def build_cache(
    num_pages: int,
    workload: DecodeWorkload,
    *,
    device: str | None = None,
    fill: float = float("nan"),
) -> Tensor:
    """Return a cache of `num_pages` pages filled with one value, in the workload's layout.

    It lies on torch's default device, unless another is named.
    """
    heads, page, width = workload.num_kv_heads, workload.page_size, 2 * workload.head_size
    is_token_major = workload.layout == "LBNHC"
    inner = (page, heads) if is_token_major else (heads, page)
    kv = torch.full((num_pages, *inner, width), fill, dtype=workload.dtype, device=device)
    return kv.transpose(1, 2) if is_token_major else kv


def build_inputs(
    workload: DecodeWorkload, *, seed: int = 0, max_pages: int | None = None
) -> DecodeInputs:
    """Return random inputs with shuffled physical pages, on torch's default device."""
    leaves = [Branch(length) for length in workload.seq_lens]
    return build_tree_inputs(leaves, workload, seed=seed, max_pages=max_pages)


def build_tree_inputs(
    roots: Sequence[Branch],
    workload: DecodeWorkload,
    *,
    seed: int = 0,
    max_pages: int | None = None,
) -> DecodeInputs:
    """Return inputs whose requests are the leaves of `roots` and share the pages above them.

    The requests are shuffled, so that branches of one tree are not neighbours in the batch.
    `workload.seq_lens` is not read. They lie on torch's default device.
    """
    page = workload.page_size
    rows: list[tuple[list[int], int]] = []
    fresh = itertools.count(1)

    def walk(branch: Branch, pages: list[int], seq_len: int) -> None:
        pages = pages + [next(fresh) for _ in range(-(-branch.num_tokens // page))]
        seq_len += branch.num_tokens
        if not branch.children:
            rows.append((pages, seq_len))
        for child in branch.children:
            walk(child, pages, seq_len)

    for root in roots:
        walk(root, [], 0)
    generator = torch.Generator(torch.get_default_device()).manual_seed(seed)
    rows = [rows[i] for i in torch.randperm(len(rows), generator=generator).tolist()]
    num_pages = next(fresh)
    physical = torch.cat([torch.zeros(1), torch.randperm(num_pages - 1, generator=generator) + 1])
    longest = max((len(pages) for pages, _ in rows), default=0)
    table = torch.zeros(len(rows), longest if max_pages is None else max_pages, dtype=torch.int32)
    kv = build_cache(num_pages, workload)
    for i, (pages, seq_len) in enumerate(rows):
        table[i, : len(pages)] = physical[pages].int()
        _fill(kv, table[i], seq_len, generator)
    q = torch.randn(len(rows), workload.num_q_heads, workload.head_size, generator=generator).to(
        workload.dtype
    )
    lens = torch.tensor([seq_len for _, seq_len in rows], dtype=torch.int32)
    return DecodeInputs(q, kv, table, lens)


def build_workload_plan(
    x: DecodeInputs, workload: DecodeWorkload, *, limits: TreeLimits | None = None
) -> TreePlan:
    """Return who shares what among inputs of a workload's shapes; None takes default limits."""
    return build_tree_plan(
        x.block_table,
        x.seq_lens,
        page_size=workload.page_size,
        group=workload.num_q_heads // workload.num_kv_heads,
        num_kv_heads=workload.num_kv_heads,
        limits=limits or default_limits(len(x.seq_lens)),
    )


def build_device_inputs(
    workload: DecodeWorkload, *, device: str, shared_tokens: int = 0
) -> DecodeInputs:
    """Return random inputs made on the device, for benchmarks: shuffled pages, none of them NaN.

    Args:
        workload: With equal lengths.
        device: Where to allocate.
        shared_tokens: Whole pages that all requests share at their start.

    Raises:
        ValueError: Lengths that differ, or a shared part that is not whole pages of the context.
    """
    page, batch, length = workload.page_size, len(workload.seq_lens), workload.seq_lens[0]
    if set(workload.seq_lens) != {length} or shared_tokens % page or shared_tokens > length:
        raise ValueError("need requests of one length that share whole pages of it")
    columns, shared = -(-length // page), shared_tokens // page
    number = torch.arange(batch, device=device)[:, None] * (columns - shared)
    table = number + torch.arange(columns, device=device)
    table[:, :shared] = torch.arange(shared, device=device)
    num_pages = shared + batch * (columns - shared)
    physical = torch.randperm(num_pages, device=device).int()
    kv = build_cache(num_pages, workload, device=device, fill=0.0).normal_()
    q = torch.randn(batch, workload.num_q_heads, workload.head_size, device=device)
    lens = torch.full((batch,), length, dtype=torch.int32, device=device)
    return DecodeInputs(q.to(workload.dtype), kv, physical[table], lens)


def _fill(kv: Tensor, pages: Tensor, seq_len: int, generator: torch.Generator) -> None:
    _, heads, page_size, width = kv.shape
    for j in range(-(-seq_len // page_size)):
        live = min(page_size, seq_len - j * page_size)
        tokens = torch.randn(heads, live, width, generator=generator)
        kv[int(pages[j]), :, :live] = tokens.to(kv.dtype)


@dataclass(frozen=True, slots=True)
class Grid:
    """What a benchmark measures, with Qwen3-8B's heads.

    Attributes:
        batches: Requests of equal length.
        contexts: Their tokens.
        budgets: Tokens that sparse decode keeps.
        pages: Tokens a page.
        trees: (branches, prefix tokens, own tokens) of shared prefixes.
    """

    batches: tuple[int, ...]
    contexts: tuple[int, ...]
    budgets: tuple[int, ...]
    pages: tuple[int, ...]
    trees: tuple[tuple[int, int, int], ...]


# That of the roofline, a few cells of it, and one that an interpreter gets through.
ROOFLINE = Grid(
    batches=(1, 4, 16, 64),
    contexts=(8_192, 32_768, 65_536),
    budgets=(1_024, 2_048, 4_096),
    pages=(16, 64),
    trees=(
        (8, 1_024, 4_096),
        (16, 2_048, 2_048),
        (32, 8_192, 1_024),
        (64, 4_096, 4_096),
        (64, 16_384, 1_024),
    ),
)
QUICK = Grid((1, 64), (32_768,), (2_048,), (16, 64), ((8, 1_024, 4_096),))
TINY = Grid((2,), (256,), (128,), (16,), ((2, 64, 32),))
