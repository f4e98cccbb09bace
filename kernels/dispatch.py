"""Which kernel a decode step takes, and why: from shapes and the card, never from device memory.

Prices in bytes, because decode is bound by memory. With t = 2 * D * s bytes of K and V per token
and KV head:

    dense:  t * Hkv * B * L
    sparse: t * Hkv * B * (K + L / (2 * N)) + 8 * Hkv * B * L / N     ("minmax": L / N)
    shared: t * Hkv * (P + B * S)                                     against  B * (P + S)

and every launch costs its latency. Sparse must promise twice the speed before it is taken: it also
costs accuracy, and below that the model's other work hides the gain.
"""

from dataclasses import dataclass
from typing import Literal

import torch

from tts.kernels.budget import select_budget_pages
from tts.kernels.contracts import (
    DTYPES,
    HEAD_SIZES,
    MAX_GROUP,
    MAX_SELECT_PAGES,
    PAGE_MULTIPLE,
    SummaryKind,
)

KernelName = Literal["reference", "dense", "sparse", "tree"]


@dataclass(frozen=True, slots=True)
class Card:
    """What a card moves and starts.

    Attributes:
        bytes_per_second: Measured copy rate, read plus write.
        efficiency: Part of it that a good decode kernel reaches.
        launch_seconds: Latency of one kernel inside a CUDA graph.
    """

    bytes_per_second: float = 4.3e12
    efficiency: float = 0.85
    launch_seconds: float = 2.5e-6


@dataclass(frozen=True, slots=True)
class DecodeStep:
    """Shapes of a decode step, as launched.

    Attributes:
        batch: B.
        max_context: L, most tokens that a request may have.
        num_q_heads: Hq.
        num_kv_heads: Hkv.
        head_size: D.
        page_size: N.
        dtype: Of queries and cache.
        shared_prefix: P, tokens that all requests of one tree are known to share; 0 for none.
    """

    batch: int
    max_context: int
    num_q_heads: int
    num_kv_heads: int
    head_size: int
    page_size: int
    dtype: torch.dtype = torch.bfloat16
    shared_prefix: int = 0


@dataclass(frozen=True, slots=True)
class SparsePolicy:
    """What to keep in sparse decode.

    Attributes:
        budget: K, tokens per KV head, sink and local pages included.
        summary: How pages are scored.
        sink_pages: Pages kept at the start.
        local_pages: Pages kept at the end.
        min_speedup: Sparse is taken only if it promises this much.
    """

    budget: int
    summary: SummaryKind = "mean"
    sink_pages: int = 1
    local_pages: int = 2
    min_speedup: float = 2.0


@dataclass(frozen=True, slots=True)
class Choice:
    """The kernel to use.

    Attributes:
        kernel: "reference" (plain torch), "dense", "sparse" or "tree".
        reason: Why, in one line for people.
        dense_seconds: Predicted time of dense attention, one layer.
        seconds: Predicted time of the chosen kernel; the same as dense where nothing is gained.
    """

    kernel: KernelName
    reason: str
    dense_seconds: float
    seconds: float


def unsupported_reason(step: DecodeStep) -> str | None:
    """Return why no kernel can run this step and what to change, or None if one can."""
    if step.dtype not in DTYPES:
        return f"dtype {step.dtype}: use float16 or bfloat16, and an unquantised KV cache"
    if step.head_size not in HEAD_SIZES:
        return f"head size {step.head_size}: supported are {', '.join(map(str, HEAD_SIZES))}"
    if step.num_q_heads % step.num_kv_heads or step.num_q_heads > MAX_GROUP * step.num_kv_heads:
        return (
            f"{step.num_q_heads} query heads on {step.num_kv_heads} KV heads: groups of 1 to "
            f"{MAX_GROUP} are supported"
        )
    if step.page_size % PAGE_MULTIPLE:
        return f"page size {step.page_size}: set block_size to a multiple of {PAGE_MULTIPLE}"
    return None


def choose_decode(
    step: DecodeStep,
    *,
    policy: SparsePolicy | None = None,
    has_kernels: bool = True,
    card: Card | None = None,
) -> Choice:
    """Return the kernel for a decode step.

    Args:
        step: Its shapes.
        policy: What sparse decode may drop; None forbids it.
        has_kernels: Whether Triton kernels can run where the tensors are.
        card: What it runs on; None is an H200.

    Raises:
        ValueError: The policy's budget does not fit the page size or its own forced pages.
    """
    card = card or Card()
    if policy is not None:
        select_budget_pages(
            policy.budget,
            step.page_size,
            sink_pages=policy.sink_pages,
            local_pages=policy.local_pages,
        )
    dense = _seconds(dense_bytes(step), 2, card)
    reason = unsupported_reason(step)
    if reason is not None or not has_kernels:
        why = reason or "Triton kernels need a CUDA device"
        return Choice("reference", why, dense, dense)
    if step.shared_prefix and step.batch > 1:
        tree = _seconds(tree_bytes(step), 3, card)
        if tree < dense:
            why = (
                f"{step.batch} branches read {step.shared_prefix} shared tokens once: "
                f"{dense / tree:.1f}x"
            )
            return Choice("tree", why, dense, tree)
    if policy is None:
        return Choice("dense", "no KV budget was set", dense, dense)
    return _dense_or_sparse(step, policy, card, dense)


def _dense_or_sparse(step: DecodeStep, policy: SparsePolicy, card: Card, dense: float) -> Choice:
    if step.max_context <= 2 * policy.budget:
        why = f"{step.max_context} tokens are at most twice the budget of {policy.budget}"
        return Choice("dense", why, dense, dense)
    pages = -(-step.max_context // step.page_size)
    if pages > MAX_SELECT_PAGES:
        why = f"{pages} pages are more than {MAX_SELECT_PAGES}: set a larger block_size"
        return Choice("dense", why, dense, dense)
    sparse = _seconds(sparse_bytes(step, policy), 5, card)
    if dense < policy.min_speedup * sparse:
        why = f"sparse promises {dense / sparse:.1f}x, less than {policy.min_speedup:g}x"
        return Choice("dense", why, dense, dense)
    why = f"{policy.budget} of {step.max_context} tokens: {dense / sparse:.1f}x"
    return Choice("sparse", why, dense, sparse)


def dense_bytes(step: DecodeStep) -> int:
    """Return the bytes that dense attention of one layer reads."""
    return _token_bytes(step) * step.batch * step.max_context


def sparse_bytes(step: DecodeStep, policy: SparsePolicy) -> int:
    """Return the bytes that selection and sparse attention of one layer move."""
    pages = step.batch * -(-step.max_context // step.page_size)
    vectors = 1 if policy.summary == "mean" else 2
    summaries = _token_bytes(step) // 2 * vectors * pages
    scores = 8 * step.num_kv_heads * pages
    return _token_bytes(step) * step.batch * policy.budget + summaries + scores


def tree_bytes(step: DecodeStep) -> int:
    """Return the bytes that shared-prefix attention of one layer moves, the merge included."""
    own = step.max_context - step.shared_prefix
    parts = 8 * step.batch * step.num_q_heads * (step.head_size + 1)
    return _token_bytes(step) * (step.shared_prefix + step.batch * own) + parts


def _token_bytes(step: DecodeStep) -> int:
    return 2 * step.head_size * step.dtype.itemsize * step.num_kv_heads


def _seconds(num_bytes: int, num_launches: int, card: Card) -> float:
    return (
        num_bytes / (card.efficiency * card.bytes_per_second) + num_launches * card.launch_seconds
    )
