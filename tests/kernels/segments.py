"""Segments in a paged cache and queries with views of them, for tests of attention over views."""

import itertools

import torch
from torch import Tensor

from tests.kernels.helpers import seeded
from tts.kernels.views import Part, ViewPlan, build_view_plan
from tts.kernels.workloads import DecodeInputs, DecodeWorkload, build_inputs

BASE = 100.0  # of the rotary angles


def angles(head_size: int, places: int = 1_000) -> tuple[Tensor, Tensor]:
    """Return cos and sin of the rotary angles of each place, [places, D / 2] each."""
    channel = torch.arange(0, head_size, 2, dtype=torch.float64)
    turns = torch.arange(places)[:, None] * BASE ** -(channel / head_size)
    return turns.cos().float(), turns.sin().float()


def view(lengths: dict[int, int], *, own_end: int) -> list[Part]:
    """Return the parts of a view: segments and their lengths in order, the last one its own."""
    begins = [0, *itertools.accumulate(lengths.values())]
    *others, own = lengths
    parts = [
        Part(segment, lengths[segment], begins[len(others)] - begin)
        for segment, begin in zip(others, begins, strict=False)
    ]
    return [*parts, Part(own, own_end, 0)]


def plan_of(views: list[list[Part]], head_size: int, *, chunk: int) -> ViewPlan:
    """Return the plan of views."""
    return build_view_plan(views, *angles(head_size), chunk=chunk)


def build_segments(
    lengths: tuple[int, ...], workload: DecodeWorkload, num_queries: int
) -> DecodeInputs:
    """Return segments of these lengths, what lies behind them NaN, and as many queries as asked."""
    x = build_inputs(
        DecodeWorkload(
            lengths,
            workload.num_q_heads,
            workload.num_kv_heads,
            workload.head_size,
            workload.page_size,
            workload.dtype,
            workload.layout,
        )
    )
    order = [x.seq_lens.tolist().index(length) for length in lengths]
    q = torch.randn(
        num_queries, workload.num_q_heads, workload.head_size, generator=seeded(num_queries)
    )
    table = x.block_table[order]
    return DecodeInputs(q.to(workload.dtype), x.kv, table, x.seq_lens[order])
