"""Which context tokens a decode step may see, by method: what the KV-budget curve compares.

Written for measuring quality: all logits are computed and then masked, so that methods that no
kernel could run fast, such as the oracle, are measured on the same footing. Sadhukhan et al. 2025,
"Kinetics", arXiv:2506.05333.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

Method = Literal["dense", "block", "oracle", "window"]
METHODS: tuple[Method, ...] = get_args(Method)


@dataclass(frozen=True, slots=True)
class KVBudget:
    """What decode steps see.

    Attributes:
        method: "dense": everything. "block": the pages of the best mean logit, sink and local
            pages always, as the engine does it. "oracle": the tokens of the best logits, an upper
            bound. "window": the last tokens.
        tokens: K; not read by "dense".
        page_size: N of "block".
        sink_pages: Pages that "block" keeps at the start.
        local_pages: Pages that "block" keeps at the end.
        dense_layers: First layers that see everything, whatever the method.
    """

    method: Method
    tokens: int = 0
    page_size: int = 32
    sink_pages: int = 1
    local_pages: int = 2
    dense_layers: int = 1


def visible_tokens(logits: Tensor, budget: KVBudget) -> Tensor:
    """Return [B, Hkv, L] bool: what the heads of each group see.

    Args:
        logits: [B, Hkv, G, L], of one query over its context.
        budget: What may be seen.
    """
    length = logits.shape[3]
    if budget.method == "dense" or length <= budget.tokens:
        return torch.ones_like(logits[:, :, 0], dtype=torch.bool)
    if budget.method == "window":
        is_recent = torch.arange(length, device=logits.device) >= length - budget.tokens
        return is_recent.expand_as(logits[:, :, 0])
    # One choice for the query heads of a group, by their mean, as in a cache that is read once.
    shared = logits.mean(dim=2)
    if budget.method == "oracle":
        return _best(shared, budget.tokens)
    return _best_pages(shared, budget)


def _best(scores: Tensor, number: int) -> Tensor:
    chosen = scores.topk(number, dim=2).indices
    return torch.zeros_like(scores, dtype=torch.bool).scatter_(2, chosen, True)


def _best_pages(logits: Tensor, budget: KVBudget) -> Tensor:
    size, length = budget.page_size, logits.shape[2]
    num_pages = -(-length // size)
    padded = torch.nn.functional.pad(logits, (0, num_pages * size - length))
    scores = padded.view(*logits.shape[:2], num_pages, size).mean(dim=3)
    scores[:, :, : budget.sink_pages] = torch.inf
    scores[:, :, num_pages - budget.local_pages :] = torch.inf
    pages = _best(scores, min(budget.tokens // size, num_pages))
    return pages.repeat_interleave(size, dim=2)[:, :, :length]


def attend(query: Tensor, key: Tensor, value: Tensor, scale: float, budget: KVBudget) -> Tensor:
    """Return attention of one query per request over what it may see, [B, Hq, 1, D].

    Args:
        query: [B, Hq, 1, D].
        key: [B, Hkv, L, D].
        value: [B, Hkv, L, D].
        scale: Of the logits.
        budget: What may be seen.
    """
    batch, heads, _, size = query.shape
    groups = query.view(batch, key.shape[1], -1, size)
    logits = (groups.float() @ key.float().transpose(2, 3)) * scale
    visible = visible_tokens(logits, budget)
    weights = logits.masked_fill(~visible[:, :, None], -torch.inf).softmax(dim=3)
    return (weights @ value.float()).view(batch, heads, 1, size).to(query.dtype)
