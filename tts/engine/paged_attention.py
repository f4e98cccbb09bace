"""Decode of one attention layer by our Triton kernels: block top-k, or shared prefixes read once.

Without vLLM, so that the same code runs under Triton's interpreter in tests; `sparse_cuda` joins it
to vLLM's FlashAttention backend.
"""

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from tts.engine.sparse_config import SparseConfig
from tts.kernels.contracts import MAX_SELECT_PAGES, Attention
from tts.kernels.decode import sparse_decode
from tts.kernels.dispatch import Card, Choice, DecodeStep, SparsePolicy, choose_decode
from tts.kernels.occupancy import num_sms
from tts.kernels.page_select import page_scores, select_pages
from tts.kernels.page_summary import page_summary_update, summary_width
from tts.kernels.tree_decode import tree_decode
from tts.kernels.tree_plan import TreePlan, WorkList, build_tree_plan, default_limits


def choose_kernel(
    step: DecodeStep,
    *,
    sparse: SparseConfig | None,
    shared_prefix: bool,
    card: Card | None = None,
) -> Choice:
    """Return the kernel for a decode step of the engine, from its shapes alone.

    Whether requests share anything is known on the device only; the tree kernel reads what they do
    not share as dense decode would, so it is taken wherever several requests decode.

    Args:
        step: Its shapes; `max_context` may be an upper bound.
        sparse: What sparse decode keeps; None forbids it.
        shared_prefix: Whether the engine may read shared prefixes once.
        card: What it runs on; None is an H200.
    """
    policy = None
    if sparse is not None and step.max_context > (sparse.min_context or 0):
        policy = SparsePolicy(
            sparse.budget, sink_pages=sparse.sink_pages, local_pages=sparse.local_pages
        )
    choice = choose_decode(step, policy=policy, card=card)
    if choice.kernel == "dense" and shared_prefix and step.batch > 1:
        why = f"{step.batch} requests read what they share once"
        return Choice("tree", why, choice.dense_seconds, choice.seconds)
    return choice


def check_table_width(max_model_len: int, page_size: int) -> None:
    """Check that selection can hold the scores of the longest context.

    Raises:
        ValueError: It cannot, with the page size that would do.
    """
    pages = -(-max_model_len // page_size)
    if pages > MAX_SELECT_PAGES:
        enough = page_size
        while -(-max_model_len // enough) > MAX_SELECT_PAGES:
            enough *= 2
        raise ValueError(
            f"{max_model_len} tokens are {pages} pages of {page_size}, more than "
            f"{MAX_SELECT_PAGES}: set page={enough} or lower max_model_len"
        )


class TreePlanner:
    """Plans shared prefixes once per step, into tensors that stay where they are.

    A captured CUDA graph reads the plan from the addresses of its capture; so each batch size has
    one plan, and a new one is copied into it.
    """

    def __init__(self, *, page_size: int, group: int, num_kv_heads: int) -> None:
        """Take the shapes that all plans share: N, G and Hkv."""
        self._page_size, self._group, self._num_kv_heads = page_size, group, num_kv_heads
        self._plans: dict[int, TreePlan] = {}

    def plan(self, block_table: Tensor, seq_lens: Tensor) -> TreePlan:
        """Return the plan of this step; the one before it of the same batch size is overwritten.

        Args:
            block_table: [B, max_pages] int32.
            seq_lens: [B] int32.
        """
        batch = len(seq_lens)
        fresh = build_tree_plan(
            block_table,
            seq_lens,
            page_size=self._page_size,
            group=self._group,
            num_kv_heads=self._num_kv_heads,
            limits=default_limits(batch, num_sms=num_sms(block_table.device)),
        )
        kept = self._plans.setdefault(batch, fresh)
        if kept is not fresh:
            _copy_plan(fresh, kept)
        return kept


@dataclass(frozen=True, slots=True)
class PagedStep:
    """What a decode step hands to every layer.

    Attributes:
        block_table: [B, max_pages] int32.
        seq_lens: [B] int32; 0 for padding.
        plan: Of shared prefixes; None selects pages.
    """

    block_table: Tensor
    seq_lens: Tensor
    plan: TreePlan | None = None


class PagedAttention:
    """One layer: its page summaries, and decode over its KV cache.

    Attributes:
        summary: [num_pages, Hkv, D], mean keys in the precision of the cache; None before the
            first `update`.
    """

    def __init__(self, *, scale: float, sparse: SparseConfig | None) -> None:
        """Take the scale of logits, and what sparse steps keep."""
        self._scale, self._sparse = scale, sparse
        self.summary: Tensor | None = None

    def update(self, kv: Tensor, slots: Tensor) -> None:
        """Summarise the pages that these tokens complete.

        Args:
            kv: [num_pages, Hkv, N, 2 * D], the tokens already in it.
            slots: [T] int64, page * N + offset; negative ones are padding.

        Raises:
            RuntimeError: The cache grew while a CUDA graph was being captured.
        """
        num_pages, heads, _, width = kv.shape
        if self.summary is None or len(self.summary) != num_pages:
            if kv.is_cuda and torch.cuda.is_current_stream_capturing():
                raise RuntimeError("the KV cache changed its size during a graph capture")
            sizes = (num_pages, heads, summary_width(width // 2, "mean"))
            self.summary = torch.zeros(sizes, dtype=kv.dtype, device=kv.device)
        page_summary_update(kv, slots, self.summary)

    def attend(self, q: Tensor, kv: Tensor, step: PagedStep) -> Attention:
        """Attend for one query token per request.

        Args:
            q: [B, Hq, D].
            kv: [num_pages, Hkv, N, 2 * D].
            step: Of these B requests.

        Raises:
            ValueError: Neither a plan nor what to select was given.
        """
        table, lens = step.block_table, step.seq_lens
        if step.plan is not None:
            return tree_decode(q, kv, table, lens, step.plan, scale=self._scale)
        if self._sparse is None or self.summary is None:
            raise ValueError("a step without a plan needs `sparse` and the summaries of `update`")
        page_size = kv.shape[2]
        scores = page_scores(
            q,
            self.summary,
            table,
            lens,
            page_size=page_size,
            scale=self._scale,
            sink_pages=self._sparse.sink_pages,
            local_pages=self._sparse.local_pages,
        )
        most = self._sparse.num_pages(page_size)
        chosen = select_pages(scores, lens, max_selected=most, page_size=page_size)
        return sparse_decode(q, kv, table, lens, chosen, scale=self._scale)


def _copy_plan(source: TreePlan, target: TreePlan) -> None:
    target.order.copy_(source.order)
    target.offsets.copy_(source.offsets)
    for here, there in ((source.shared, target.shared), (source.private, target.private)):
        for field in fields(WorkList):
            getattr(there, field.name).copy_(getattr(here, field.name))
