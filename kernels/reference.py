"""Plain torch, obviously right: what each kernel of this folder computes.

Loops over requests and heads, float64 inside, no tricks. Tests compare the kernels with these, and
the dispatcher falls back to them where no kernel can run. Letters and layouts: `contracts`.
"""

import itertools

import torch
from torch import Tensor

from tts.kernels.contracts import Attention, Selection, SummaryKind
from tts.kernels.views import ViewPlan


def gather_context(kv: Tensor, pages: Tensor, seq_len: int) -> tuple[Tensor, Tensor]:
    """Return keys and values of one request in token order, each [Hkv, L, D] float64.

    Args:
        kv: [num_pages, Hkv, N, 2 * D].
        pages: [max_pages] int32, its row of the block table; entries past the context are ignored.
        seq_len: L.
    """
    _, num_kv_heads, page_size, width = kv.shape
    num_pages = -(-seq_len // page_size)
    tokens = kv[pages[:num_pages].long()].transpose(0, 1).reshape(num_kv_heads, -1, width)
    tokens = tokens[:, :seq_len].double()
    return tokens[..., : width // 2], tokens[..., width // 2 :]


def attend(q: Tensor, keys: Tensor, values: Tensor, visible: Tensor, scale: float) -> Attention:
    """Return softmax(scale * q @ keys.T, over visible keys) @ values, in float64.

    Args:
        q: [M, D].
        keys: [L, D].
        values: [L, D].
        visible: [L] or [M, L] bool; a row without any gives zeros and -inf.
        scale: Of the logits.
    """
    logits = (q.double() @ keys.T) * scale
    logits = logits.masked_fill(~visible.expand_as(logits), -torch.inf)
    lse = logits.logsumexp(dim=1)
    weights = torch.where(lse[:, None] > -torch.inf, (logits - lse[:, None]).exp(), 0.0)
    return Attention(weights @ values, lse)


def page_summary_update(
    kv: Tensor, slots: Tensor, summary: Tensor, *, kind: SummaryKind = "mean"
) -> None:
    """Write the summary of each page that these tokens complete.

    mean = sum(k) / N, minmax = min(k) | max(k) per channel, over the N keys of the page. A page is
    complete when its last slot is written; others are left alone.

    Args:
        kv: [num_pages, Hkv, N, 2 * D], the tokens already in it.
        slots: [T] int64, page * N + offset of each new token; negative ones are padding.
        summary: [num_pages, Hkv, D] for "mean", [num_pages, Hkv, 2 * D] for "minmax"; changed.
        kind: Which summary.
    """
    _, _, page_size, width = kv.shape
    for slot in slots.tolist():
        if slot >= 0 and slot % page_size == page_size - 1:
            keys = kv[slot // page_size, :, :, : width // 2].double()
            parts = [keys.mean(1)] if kind == "mean" else [keys.amin(1), keys.amax(1)]
            summary[slot // page_size] = torch.cat(parts, dim=1).to(summary.dtype)


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
) -> Tensor:
    """Return [B, Hkv, max_pages] float32: how much each page of the context matters.

    mean:   score = scale / G * sum_g(q_g . mean), which is the mean logit of the page's keys.
    minmax: score = scale / G * sum_g(sum_d max(q_gd * min_d, q_gd * max_d)), an upper bound.

    The first `sink_pages` and last `local_pages` pages get +inf, pages past the context -inf.
    """
    batch, _, head_size = q.shape
    num_kv_heads, max_pages = summary.shape[1], block_table.shape[1]
    scores = torch.full((batch, num_kv_heads, max_pages), -torch.inf, dtype=torch.float32)
    for b, seq_len in enumerate(seq_lens.tolist()):
        num_pages = -(-seq_len // page_size)
        page = summary[block_table[b, :num_pages].long()].double().transpose(0, 1)[:, None]
        heads = q[b].double().view(num_kv_heads, -1, 1, head_size)
        if kind == "mean":
            logits = heads * page
        else:
            logits = torch.maximum(heads * page[..., :head_size], heads * page[..., head_size:])
        scores[b, :, :num_pages] = (logits.sum(3).mean(1) * scale).float()
        scores[b, :, : min(sink_pages, num_pages)] = torch.inf
        scores[b, :, max(0, num_pages - local_pages) : num_pages] = torch.inf
    return scores.to(q.device)


def select_pages(
    scores: Tensor, seq_lens: Tensor, *, max_selected: int, page_size: int
) -> Selection:
    """Return the pages of the `max_selected` best scores; of equal scores the earlier page.

    Args:
        scores: [B, Hkv, max_pages] float32.
        seq_lens: [B] int32.
        max_selected: K / N.
        page_size: N.
    """
    batch, num_kv_heads, _ = scores.shape
    pages = torch.full((batch, num_kv_heads, max_selected), -1, dtype=torch.int32)
    counts = torch.zeros(batch, num_kv_heads, dtype=torch.int32)
    for b, seq_len in enumerate(seq_lens.tolist()):
        num_pages = -(-seq_len // page_size)
        for h in range(num_kv_heads):
            row = scores[b, h, :num_pages].tolist()
            best = sorted((-score, page) for page, score in enumerate(row))[:max_selected]
            chosen = sorted(page for _, page in best)
            pages[b, h, : len(best)] = torch.tensor(chosen, dtype=torch.int32)
            counts[b, h] = len(best)
    return Selection(pages.to(scores.device), counts.to(scores.device))


def sparse_decode(
    q: Tensor,
    kv: Tensor,
    block_table: Tensor,
    seq_lens: Tensor,
    selection: Selection,
    *,
    scale: float,
) -> Attention:
    """Attend to the tokens of the selected pages only.

    Args:
        q: [B, Hq, D], one decode query per request.
        kv: [num_pages, Hkv, N, 2 * D].
        block_table: [B, max_pages] int32, physical page of each logical one.
        seq_lens: [B] int32, context tokens; 0 gives zeros and -inf.
        selection: Logical pages for each request and KV head.
        scale: Usually D ** -0.5.

    Returns:
        [B, Hq, D] in the dtype of `q`, and [B, Hq] float32.
    """
    batch, num_q_heads, _ = q.shape
    num_kv_heads, page_size = kv.shape[1], kv.shape[2]
    group = num_q_heads // num_kv_heads
    out = torch.zeros_like(q)
    lse = torch.full((batch, num_q_heads), -torch.inf, dtype=torch.float32, device=q.device)
    for b, seq_len in enumerate(seq_lens.tolist()):
        keys, values = gather_context(kv, block_table[b], seq_len)
        page_of_token = torch.arange(seq_len, device=q.device) // page_size
        for h in range(num_kv_heads):
            chosen = selection.pages[b, h, : int(selection.counts[b, h])]
            heads = slice(h * group, (h + 1) * group)
            visible = torch.isin(page_of_token, chosen)
            result = attend(q[b, heads], keys[h], values[h], visible, scale)
            out[b, heads], lse[b, heads] = result.out.to(q.dtype), result.lse.float()
    return Attention(out, lse)


def paged_decode(
    q: Tensor, kv: Tensor, block_table: Tensor, seq_lens: Tensor, *, scale: float
) -> Attention:
    """Attend to the whole context; arguments and result as in `sparse_decode`.

    Also what shared-prefix decode computes: sharing changes how often keys are read, not the sum.
    """
    max_pages = block_table.shape[1]
    every = torch.arange(max_pages, dtype=torch.int32, device=q.device)
    shape = (q.shape[0], kv.shape[1])
    counts = torch.full(shape, max_pages, dtype=torch.int32, device=q.device)
    selection = Selection(every.expand(*shape, max_pages), counts)
    return sparse_decode(q, kv, block_table, seq_lens, selection, scale=scale)


def merge_states(partial: Attention) -> Attention:
    """Return attention over the union of disjoint key sets from attention over each.

    lse = log sum_s exp(lse_s), out = sum_s exp(lse_s - lse) * out_s; a part with lse_s = -inf is
    ignored, whatever its `out` holds.

    Args:
        partial: [S, B, Hq, D] and [S, B, Hq].
    """
    lse = partial.lse.double().logsumexp(dim=0)
    weights = torch.where(partial.lse > -torch.inf, (partial.lse.double() - lse).exp(), 0.0)
    parts = torch.where(weights[..., None] > 0, partial.out.double(), 0.0)
    return Attention((weights[..., None] * parts).sum(0).float(), lse.float())


def selected_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    blocks: Tensor,
    cu_seqlens: Tensor,
    *,
    block_size: int,
    scale: float,
) -> Attention:
    """Causal attention in which each token sees only the blocks selected for it.

    Args:
        q: [T, Hq, D], tokens of all sequences one after another.
        k: [T, Hkv, D].
        v: [T, Hkv, D].
        blocks: [Hkv, T, max_selected] int32, distinct blocks of the token's own sequence, each
            `block_size` tokens from its start; -1 for none.
        cu_seqlens: [num_sequences + 1] int32, where each sequence starts, then T.
        block_size: Tokens per selection block.
        scale: Usually D ** -0.5.

    Returns:
        [T, Hq, D] in the dtype of `q`, and [T, Hq] float32.
    """
    num_tokens, num_q_heads, _ = q.shape
    num_kv_heads = k.shape[1]
    group = num_q_heads // num_kv_heads
    out = torch.zeros_like(q)
    lse = torch.full((num_tokens, num_q_heads), -torch.inf, dtype=torch.float32, device=q.device)
    bounds = cu_seqlens.tolist()
    for start, end in itertools.pairwise(bounds):
        position = torch.arange(end - start, device=q.device)
        for h in range(num_kv_heads):
            chosen = blocks[h, start:end, :, None] == position // block_size
            visible = chosen.any(1) & (position <= position[:, None])
            keys, values = k[start:end, h].double(), v[start:end, h].double()
            for head in range(h * group, (h + 1) * group):
                result = attend(q[start:end, head], keys, values, visible, scale)
                out[start:end, head] = result.out.to(q.dtype)
                lse[start:end, head] = result.lse.float()
    return Attention(out, lse)


def block_scores(
    q: Tensor,
    k_compressed: Tensor,
    lse: Tensor,
    cu_seqlens: Tensor,
    cu_compressed: Tensor,
    *,
    window: int,
    stride: int,
    block_size: int,
    scale: float,
) -> Tensor:
    """Return [Hkv, T, max_blocks] float32: attention mass of each selection block.

    Compressed key i stands for the tokens [i * stride, i * stride + window) of its sequence and is
    visible to a token at or after its last one. With p[i] the compressed attention probability
    summed over the group, and c = window / stride, r = block_size / stride:

        score[j] = sum over m < r, n < c of p[r * j + m - n]

    which counts p[i] once for every stride that window i and block j share. (The NSA paper,
    arXiv:2502.11089 eq. 9, prints -m; then block 0 would never count window 1, which overlaps it.)
    """
    num_tokens, num_q_heads, _ = q.shape
    num_kv_heads = k_compressed.shape[1]
    group = num_q_heads // num_kv_heads
    max_blocks = -(-num_tokens // block_size)
    scores = torch.zeros(num_kv_heads, num_tokens, max_blocks, dtype=torch.float64)
    bounds, bounds_c = cu_seqlens.tolist(), cu_compressed.tolist()
    for s in range(len(bounds) - 1):
        for t in range(bounds[s], bounds[s + 1]):
            for i in range(bounds_c[s + 1] - bounds_c[s]):
                if i * stride + window - 1 > t - bounds[s]:
                    continue
                key = k_compressed[bounds_c[s] + i].double()
                heads = q[t].double().view(num_kv_heads, group, -1)
                logits = (heads * key[:, None]).sum(2) * scale
                mass = (logits - lse[t].double().view(num_kv_heads, group)).exp().sum(1)
                for n in range(window // stride):
                    scores[:, t, (i + n) * stride // block_size] += mass
    return scores.float().to(q.device)


def view_attention(
    q: Tensor, kv: Tensor, block_table: Tensor, plan: ViewPlan, *, scale: float
) -> Attention:
    """Attend to views with the layout written out: keys are turned back, and laid side by side.

    Args:
        q: [B, Hq, D], each rotated for its place in its own segment.
        kv: [num_pages, Hkv, N, 2 * D], keys rotated for their places in their segments.
        block_table: [segments, max_pages] int32, physical pages of each segment.
        plan: Who sees what.
        scale: Usually D ** -0.5.

    Returns:
        [B, Hq, D] in the dtype of `q`, and [B, Hq] float32.
    """
    num_kv_heads = kv.shape[1]
    group = q.shape[1] // num_kv_heads
    out = torch.zeros_like(q)
    lse = torch.full(q.shape[:2], -torch.inf, dtype=torch.float32, device=q.device)
    for b, (first, last) in enumerate(itertools.pairwise(plan.offsets.tolist())):
        layout: list[Tensor] = []
        seen: list[Tensor] = []
        for part in range(first, last):
            start, end = int(plan.start[part]), int(plan.end[part])
            keys, values = gather_context(kv, block_table[plan.segment[part]], end)
            near, far = keys[:, start:].chunk(2, dim=-1)
            cos, sin = plan.cos[part].double(), plan.sin[part].double()
            layout.append(torch.cat((near * cos + far * sin, far * cos - near * sin), dim=-1))
            seen.append(values[:, start:])
        for h in range(num_kv_heads if layout else 0):
            heads = slice(h * group, (h + 1) * group)
            keys, values = torch.cat(layout, dim=1)[h], torch.cat(seen, dim=1)[h]
            visible = torch.ones(len(keys), dtype=torch.bool, device=q.device)
            result = attend(q[b, heads], keys, values, visible, scale)
            out[b, heads], lse[b, heads] = result.out.to(q.dtype), result.lse.float()
    return Attention(out, lse)
