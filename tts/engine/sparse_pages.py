"""Page selection of sparse decode on a CPU: scores of pages by their mean keys, a block table.

What is the same in all layers of a step is planned once; a layer then takes one matrix product, a
top-k over pages and two look-ups. One product scores every page that some request holds, which
costs no more than copying the means of each request's own pages together, and much less where
requests share a prefix: shared pages are read once.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class PagePlan:
    """What selecting needs besides queries and keys: R requests of at most P pages, `keep` of each.

    Attributes:
        held: Rows of the key means to score, U of them: all pages of the requests, maybe others.
        columns: [1, R, P] int64, where each request's pages are among them.
        bias: [R, P] float32, added to scores: inf for pages that are kept whatever their score,
            -inf past the context and for the last page, which has its place in `table`.
        blocks: [Hkv, R, P] int32, page * Hkv + head.
        table: [R, Hkv, keep] int32, `blocks` of the selected pages, filled by each layer in turn;
            the last page stays in the last column, because only it can be incomplete.
    """

    held: slice | Tensor
    columns: Tensor
    bias: Tensor
    blocks: Tensor
    table: Tensor


def plan_pages(
    block_table: Tensor,
    seq_lens: Tensor,
    *,
    page_size: int,
    num_kv_heads: int,
    keep: int,
    sink_pages: int,
    local_pages: int,
) -> PagePlan:
    """Plan the selection of a step.

    Args:
        block_table: [R, max_pages] int32, physical pages; past the context anything.
        seq_lens: [R] int32, context tokens, this step's included; at least `keep` pages each.
        page_size: N.
        num_kv_heads: Hkv.
        keep: Pages to select per request and KV head, sink and local ones included.
        sink_pages: Pages kept at the start of the context.
        local_pages: Pages kept at its end.
    """
    counts = -(-seq_lens.long() // page_size)[:, None]
    column = torch.arange(int(counts.max()))
    pages = block_table[:, : len(column)].long()
    pages = torch.where(column < counts, pages, pages[:, :1])
    is_forced = (column < sink_pages) | (column >= counts - local_pages)
    bias = torch.zeros(pages.shape).masked_fill_(is_forced, torch.inf)
    bias.masked_fill_(column >= counts - 1, -torch.inf)
    held, columns = _held_pages(pages)
    heads = torch.arange(num_kv_heads)
    last = pages.gather(1, counts - 1) * num_kv_heads + heads
    table = torch.empty(len(pages), num_kv_heads, keep, dtype=torch.int32)
    table[:, :, -1] = last
    blocks = (pages * num_kv_heads + heads[:, None, None]).int()
    return PagePlan(held, columns[None], bias, blocks, table)


def _held_pages(pages: Tensor) -> tuple[slice | Tensor, Tensor]:
    """Return which rows hold these pages, and where among them each page is.

    A range that is at most half foreign is taken whole: a slice copies nothing.
    """
    low, high = (int(end) for end in pages.aminmax())
    if high - low < 2 * pages.numel():
        return slice(low, high + 1), pages - low
    unique: Any = torch.unique  # torch leaves it untyped
    rows, columns = unique(pages, return_inverse=True)
    return rows, columns


def select_table(q: Tensor, means: Tensor, plan: PagePlan) -> Tensor:
    """Return the block table of the selected pages, one row per request and KV head.

    Scores are q . mean(k), summed over the group, which ranks as their average does; see
    `tts.kernels.page_select`. Pages come in no order, but the last page of the context last.

    Args:
        q: [R, Hkv, G, D].
        means: [num_pages, Hkv * D], in any precision; scores are fp32.
        plan: Of these R requests; its table is overwritten.

    Returns:
        [R * Hkv, keep] int32, a view of the plan's table.
    """
    _, heads, _, size = q.shape
    keys = means[plan.held].float().view(-1, heads, size)
    queries = q.sum(dim=2, dtype=torch.float32).transpose(0, 1)
    scores = torch.bmm(queries, keys.permute(1, 2, 0))
    scores = scores.gather(2, plan.columns.expand(heads, -1, -1)).add_(plan.bias)
    chosen = scores.topk(plan.table.shape[2] - 1, dim=2, sorted=False).indices
    plan.table[:, :, :-1] = plan.blocks.gather(2, chosen).transpose(0, 1)
    return plan.table.flatten(0, 1)
