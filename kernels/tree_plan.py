"""Who shares which pages, and how that becomes work: the planner of `tree_decode`.

Requests that share a prefix hold the same physical pages in the same columns of the block table.
The planner finds these runs level by level (all requests, then the branches of a shared run, ...),
cuts them into chunks that fill the card, and gives each chunk to a program. A run is folded into
its branches when it is too short to pay for another partial result.

Fixed-shape tensor operations only: no branch on device data, no copy to the host. It runs on CPU
and CUDA alike, inside a CUDA graph too, once per step for all layers.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from tts.kernels.contracts import MAX_GROUP, check_table
from tts.kernels.occupancy import DEFAULT_NUM_SMS

MIN_CHUNK_TOKENS = 128
SHARED_ROWS = 64


@dataclass(frozen=True, slots=True)
class TreeLimits:
    """What a plan may look like; fixed for the life of a captured graph.

    Attributes:
        max_rows: Partial results that fit the workspace, 4 * Hq * (D + 1) bytes each.
        depth: Levels of shared runs.
        min_shared_tokens: Shorter shared runs are read by each branch.
        target_programs: Programs that fill the card, KV heads counted: chunks are halved until
            there are as many.
    """

    max_rows: int
    depth: int = 3
    min_shared_tokens: int = 256
    target_programs: int = 4 * DEFAULT_NUM_SMS


@dataclass(frozen=True, slots=True)
class WorkList:
    """Chunks for one launch. Entry w is real if w < count.

    Attributes:
        leader: [max_rows] int32, the request whose row of the block table names the pages.
        start: [max_rows] int32, first token of the chunk.
        end: [max_rows] int32, token after its last.
        first: [max_rows] int32, where in `TreePlan.order` its requests start.
        members: [max_rows] int32, how many requests.
        ordinal: [max_rows] int32, which of its requests' partial results this is.
        count: [1] int32.
    """

    leader: Tensor
    start: Tensor
    end: Tensor
    first: Tensor
    members: Tensor
    ordinal: Tensor
    count: Tensor


@dataclass(frozen=True, slots=True)
class TreePlan:
    """Work for one decode step.

    Attributes:
        order: [B] int32, requests such that those of each shared run are neighbours.
        offsets: [B + 1] int32, where each request's partial results start.
        shared: Chunks that several requests attend to, at most `rows_per_tile` in each.
        private: Chunks of one request.
        max_rows: Partial results that the offsets may reach.
    """

    order: Tensor
    offsets: Tensor
    shared: WorkList
    private: WorkList
    max_rows: int


@dataclass(frozen=True, slots=True)
class _Nodes:
    """Tree nodes of all levels, [M] int64 each, and the requests' way through them.

    Attributes:
        leader: First request of the node.
        begin: First token.
        end: Token after the last; equal to `begin` where there is no node.
        first: Where in the order its requests start.
        members: How many.
        path: [levels, B], the node of each request at each level.
    """

    leader: Tensor
    begin: Tensor
    end: Tensor
    first: Tensor
    members: Tensor
    path: Tensor


def default_limits(batch: int, *, depth: int = 3, num_sms: int = DEFAULT_NUM_SMS) -> TreeLimits:
    """Return limits with room for 1024 partial results beyond the fewest possible."""
    return TreeLimits((depth + 1) * batch + 1_024, depth=depth, target_programs=4 * num_sms)


def rows_per_tile(group: int) -> int:
    """Return how many requests one program of the shared launch takes: 64 rows of G heads each."""
    return SHARED_ROWS // group


def build_tree_plan(
    block_table: Tensor,
    seq_lens: Tensor,
    *,
    page_size: int,
    group: int,
    num_kv_heads: int,
    limits: TreeLimits,
) -> TreePlan:
    """Plan a decode step over requests that may share pages.

    A run of n requests is shared if it is at least `min_shared_tokens` long; only full pages are.
    Any plan is exact: sharing decides how often a page is read, never whether.

    Args:
        block_table: [B, max_pages] int32; equal entries in one column are one page.
        seq_lens: [B] int32.
        page_size: N.
        group: G.
        num_kv_heads: Hkv.
        limits: Of the workspace and the card.

    Raises:
        ValueError: `limits` leaves no room for one partial result per request and level.
    """
    batch, max_pages = block_table.shape
    check_table(block_table, seq_lens, batch)
    if not 1 <= group <= MAX_GROUP:
        raise ValueError(f"{group} query heads per KV head; supported are 1 to {MAX_GROUP}")
    if limits.depth < 1 or limits.max_rows < (limits.depth + 1) * batch:
        raise ValueError(
            f"max_rows={limits.max_rows} is too small for {batch} requests and depth "
            f"{limits.depth}: use at least {(limits.depth + 1) * batch} (depth at least 1)"
        )
    lens = seq_lens.long().clamp(0, max_pages * page_size)
    levels, begin = _split_levels(block_table, lens, page_size, limits)
    nodes, order = _collect_nodes(levels, begin, lens, page_size)
    num_shared = limits.depth * batch
    is_private = torch.arange(nodes.leader.numel(), device=lens.device) >= num_shared
    width = torch.where(is_private, 1, rows_per_tile(group))
    tiles = -(-nodes.members // width)
    chunk = _choose_chunk(nodes, tiles, num_kv_heads, max_pages * page_size, limits)
    chunks = -(-(nodes.end - nodes.begin) // chunk)
    on_path = chunks[nodes.path]
    before = on_path.cumsum(0) - on_path
    ordinal = before.flatten()  # node i of level l is led by request i: entry l * B + i
    shared = slice(0, num_shared)
    private = slice(num_shared, None)
    work = [
        _expand(nodes, part, chunks, tiles, ordinal, chunk, width[part][:1], limits.max_rows)
        for part in (shared, private)
    ]
    offsets = torch.zeros(batch + 1, dtype=torch.int32, device=lens.device)
    offsets[1:] = on_path.sum(0).cumsum(0)
    return TreePlan(order.int(), offsets, work[0], work[1], limits.max_rows)


def _split_levels(
    block_table: Tensor, lens: Tensor, page_size: int, limits: TreeLimits
) -> tuple[list[tuple[Tensor, Tensor, Tensor]], Tensor]:
    """Return (leader, begin, end) in pages per level, each [B], and where private pages begin."""
    batch, max_pages = block_table.shape
    device = block_table.device
    min_pages = max(1, -(-limits.min_shared_tokens // page_size))
    full = lens // page_size
    itself = torch.eye(batch, dtype=torch.bool, device=device)
    columns = torch.arange(max_pages, device=device)
    leader = torch.zeros(batch, dtype=torch.long, device=device)
    column = torch.zeros_like(leader)
    begin = torch.zeros_like(leader)
    levels = []
    for _ in range(limits.depth):
        is_open = column < full
        page = block_table.gather(1, column.clamp(max=max_pages - 1)[:, None])[:, 0]
        same = (leader[:, None] == leader) & (page[:, None] == page)
        same = (same & is_open[:, None] & is_open) | itself
        leader = same.int().argmax(dim=1)  # the first request of each group
        both_full = torch.minimum(full, full[leader])
        equal = (block_table == block_table[leader]) & (columns < both_full[:, None])
        common = equal.int().cumprod(dim=1).sum(dim=1)
        least = torch.full_like(common, max_pages).scatter_reduce(0, leader, common, "amin")
        size = torch.zeros_like(leader).scatter_add(0, leader, torch.ones_like(leader))
        end, is_group = least[leader], size[leader] > 1
        is_kept = is_group & (end - begin >= min_pages)
        kept_end = torch.where(is_kept, end, begin)
        levels.append((leader, begin, kept_end))
        # A run that is not kept stays with the branches: they begin where it does.
        begin = kept_end
        column = torch.where(is_group, end, column)
    return levels, begin


def _collect_nodes(
    levels: list[tuple[Tensor, Tensor, Tensor]], begin: Tensor, lens: Tensor, page_size: int
) -> tuple[_Nodes, Tensor]:
    """Return the nodes of all levels, private ones last, and the order of the requests."""
    row = torch.arange(lens.numel(), device=lens.device)
    order = row
    for leader, _, _ in reversed(levels):
        order = order[leader[order].argsort(stable=True)]
    position = torch.zeros_like(row).scatter(0, order, row)
    parts = []
    for leader, start, end in levels:
        is_leader = leader == row
        first = torch.full_like(row, lens.numel()).scatter_reduce(0, leader, position, "amin")
        size = torch.zeros_like(row).scatter_add(0, leader, torch.ones_like(row))
        stop = torch.where(is_leader, end, start)
        parts.append((start * page_size, stop * page_size, first, size))
    parts.append((begin * page_size, lens, position, torch.ones_like(row)))
    path = torch.stack([leader for leader, _, _ in levels] + [row])
    path = path + torch.arange(len(parts), device=lens.device)[:, None] * lens.numel()
    starts, ends, firsts, sizes = (torch.cat(column) for column in zip(*parts, strict=True))
    return _Nodes(row.repeat(len(parts)), starts, ends, firsts, sizes, path), order


def _choose_chunk(
    nodes: _Nodes, tiles: Tensor, num_kv_heads: int, max_tokens: int, limits: TreeLimits
) -> Tensor:
    """Return the chunk length, a 0-d tensor: the longest that fills the card and fits the rows.

    Both the work and the rows shrink as chunks grow, so the candidates that fit are the last ones
    and those that fill the card the first ones; fitting goes first.
    """
    count = max(1, -(-max_tokens // MIN_CHUNK_TOKENS) - 1).bit_length() + 1
    candidates = MIN_CHUNK_TOKENS << torch.arange(count, device=tiles.device)
    chunks = -(-(nodes.end - nodes.begin) // candidates[:, None])
    does_not_fit = (chunks * nodes.members).sum(1) > limits.max_rows
    fills = (chunks * tiles).sum(1) * num_kv_heads >= limits.target_programs
    index = torch.maximum(does_not_fit.sum(), fills.sum() - 1).clamp(max=count - 1)
    return candidates.gather(0, index[None])[0]


def _expand(
    nodes: _Nodes,
    part: slice,
    chunks: Tensor,
    tiles: Tensor,
    ordinal: Tensor,
    chunk: Tensor,
    width: Tensor,
    max_items: int,
) -> WorkList:
    """Return one entry per chunk and tile of requests, the tiles of a chunk next to each other."""
    tiles, begin, end = tiles[part].clamp(min=1), nodes.begin[part], nodes.end[part]
    items = chunks[part] * tiles
    ends = items.cumsum(0)
    index = torch.arange(max_items, device=ends.device)
    node = torch.searchsorted(ends, index, right=True).clamp(max=ends.numel() - 1)
    inside = index - (ends - items)[node]
    chunk_index, tile_index = inside // tiles[node], inside % tiles[node]
    start = begin[node] + chunk_index * chunk
    members = torch.minimum(width, nodes.members[part][node] - tile_index * width)
    return WorkList(
        leader=nodes.leader[part][node].int(),
        start=start.int(),
        end=torch.minimum(start + chunk, end[node]).int(),
        first=(nodes.first[part][node] + tile_index * width).int(),
        members=members.int(),
        ordinal=(ordinal[part][node] + chunk_index).int(),
        count=ends[-1:].int(),
    )


def count_tokens_read(plan: TreePlan) -> int:
    """Return how many tokens of one KV head the plan reads; copies to the host."""
    total = 0
    for work in (plan.shared, plan.private):
        count = int(work.count)
        total += int((work.end[:count] - work.start[:count]).sum())
    return total
