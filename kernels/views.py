"""Queries that see stored runs of tokens from places of their own: who sees what, and plain torch.

A *segment* is a run of tokens whose keys are stored as if it began at position 0. A *view* is the
segments that a query attends to, in order, the last one its own; segments follow each other without
a gap, so that the same segment lies elsewhere in another view. Nothing stored is turned or copied:
rotary angles add, so that for a query rotated for its place in its own segment

    logit = (R(turn) q) . k,    turn = begin of the query's own segment in its view - that of k's

and each part of a view is attended to by itself and merged by its log-sum-exp. `view_decode` is the
Triton form. Source: Rodionov et al. 2025, arXiv:2504.06261, section 3.2.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from tts.kernels.contracts import (
    Attention,
    CacheShape,
    check_int32,
    check_queries,
    check_same_device,
    check_shape,
)


class Part(NamedTuple):
    """What a query sees of one segment.

    Attributes:
        segment: Row of the block table.
        end: Tokens seen, from the segment's first.
        turn: See the top of this module; 0 for the query's own segment.
    """

    segment: int
    end: int
    turn: int


@dataclass(frozen=True, slots=True)
class ViewPlan:
    """The R parts of all views of a step, those of a query in a row; the same for all layers.

    Attributes:
        query: [R] int32, whose part it is.
        segment: [R] int32, row of the block table.
        start: [R] int32, first token.
        end: [R] int32, token after the last.
        cos: [R, D / 2] float32, of the angles by which the query is turned.
        sin: [R, D / 2] float32.
        offsets: [B + 1] int32, where the parts of each query begin, then R.
    """

    query: Tensor
    segment: Tensor
    start: Tensor
    end: Tensor
    cos: Tensor
    sin: Tensor
    offsets: Tensor


def build_view_plan(
    views: Sequence[Sequence[Part]], cos: Tensor, sin: Tensor, *, chunk: int
) -> ViewPlan:
    """Return the plan of a step's views.

    Args:
        views: Of each query; empty parts are left out.
        cos: [positions, D / 2] float32, by turn; on the device of the plan.
        sin: [positions, D / 2] float32.
        chunk: Most tokens of a part: longer ones are divided, for programs that run at once.
    """
    rows: list[tuple[int, int, int, int, int]] = []
    offsets = [0]
    for query, view in enumerate(views):
        for segment, end, turn in view:
            rows += [
                (query, segment, start, min(start + chunk, end), turn)
                for start in range(0, end, chunk)
            ]
        offsets.append(len(rows))
    columns = torch.tensor(rows, dtype=torch.int32).view(-1, 5).T.contiguous().to(cos.device)
    turns = columns[4].long()
    return ViewPlan(
        columns[0],
        columns[1],
        columns[2],
        columns[3],
        cos[turns],
        sin[turns],
        torch.tensor(offsets, dtype=torch.int32, device=cos.device),
    )


def check_views(q: Tensor, kv: Tensor, block_table: Tensor, plan: ViewPlan) -> CacheShape:
    """Check the arguments of attention over views, and return the sizes.

    Raises:
        ValueError: A shape, dtype or device that does not fit, with what would.
    """
    shape = check_queries(q, kv)
    if block_table.dim() != 2 or (block_table.shape[1] and block_table.stride(1) != 1):
        raise ValueError(f"block_table is {list(block_table.shape)}, not [segments, pages] in rows")
    parts = plan.query.numel()
    check_int32(block_table=block_table, query=plan.query, segment=plan.segment)
    check_int32(start=plan.start, end=plan.end, offsets=plan.offsets)
    check_shape("cos", plan.cos, (parts, shape.head_size // 2), torch.float32)
    check_shape("sin", plan.sin, (parts, shape.head_size // 2), torch.float32)
    check_shape("offsets", plan.offsets, (q.shape[0] + 1,), torch.int32)
    check_same_device(q, kv, block_table, plan.query, plan.cos, plan.sin, plan.offsets)
    return shape


def turned(q: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Return queries turned on by angles; channel c and c + D / 2 are a pair.

    Args:
        q: [..., Hq, D].
        cos: [..., D / 2].
        sin: [..., D / 2].
    """
    first, second = q.chunk(2, dim=-1)
    cos, sin = cos[..., None, :], sin[..., None, :]
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


def view_attention(
    q: Tensor, kv: Tensor, block_table: Tensor, plan: ViewPlan, *, scale: float
) -> Attention:
    """Attend to views in plain torch, quick enough for a CPU; arguments as of `view_decode`.

    Each chunk of a segment is gathered once for all queries that see it. Sums are in float32.
    """
    shape = check_views(q, kv, block_table, plan)
    rows = (plan.query.numel(), q.shape[1])
    partial = Attention(
        torch.empty((*rows, shape.head_size), device=q.device), torch.empty(rows, device=q.device)
    )
    chunks = zip(plan.segment.tolist(), plan.start.tolist(), strict=True)
    for segment, start in sorted(set(chunks)):
        which = ((plan.segment == segment) & (plan.start == start)).nonzero().flatten()
        _attend_chunk(q, kv, block_table[segment], plan, which, start, scale, shape, partial)
    return _merged(partial, plan.query.long(), q)


def _attend_chunk(
    q: Tensor,
    kv: Tensor,
    pages: Tensor,
    plan: ViewPlan,
    which: Tensor,
    start: int,
    scale: float,
    shape: CacheShape,
    partial: Attention,
) -> None:
    """Write what the parts `which`, that begin at `start`, see of the segment of these pages."""
    end, size = plan.end[which], shape.page_size
    last, first = int(end.max()), start // size
    tokens = kv[pages[first : -(-last // size)].long()].transpose(0, 1)
    tokens = tokens.reshape(shape.num_kv_heads, -1, 2 * shape.head_size)
    tokens = tokens[:, start - first * size : last - first * size].float()
    keys, values = tokens.chunk(2, dim=-1)
    asked = turned(q[plan.query[which].long()].float(), plan.cos[which], plan.sin[which])
    asked = asked.view(len(which), shape.num_kv_heads, shape.group, -1).transpose(0, 1)
    logits = torch.einsum("hmgd,hld->hmgl", asked, keys) * scale
    hidden = torch.arange(start, last, device=q.device) >= end[:, None]
    logits = logits.masked_fill(hidden[None, :, None, :], -torch.inf)
    lse = logits.logsumexp(dim=3, keepdim=True)
    out = torch.einsum("hmgl,hld->hmgd", (logits - lse).exp(), values)
    partial.out[which] = out.transpose(0, 1).flatten(1, 2)
    partial.lse[which] = lse[..., 0].transpose(0, 1).flatten(1, 2)


def _merged(partial: Attention, query: Tensor, like: Tensor) -> Attention:
    """Merge the parts of each query."""
    sizes = like.shape[:2]
    index = query[:, None].expand(-1, sizes[1])
    top = torch.full(sizes, -torch.inf, device=like.device)
    top = top.scatter_reduce(0, index, partial.lse, "amax")
    weights = (partial.lse - top[query]).exp()
    total = torch.zeros(sizes, device=like.device).index_add(0, query, weights)
    out = torch.zeros(like.shape, device=like.device)
    out = out.index_add(0, query, weights[..., None] * partial.out)
    lse = top + total.log()
    return Attention((out / total.clamp(min=1e-30)[..., None]).to(like.dtype), lse)
