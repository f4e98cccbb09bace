"""Block top-k decode for vLLM's CPU attention: page selection plus the stock operator.

The stock operator reads a block table; it never asks whether the table is complete. So a sparse
step hands it, per KV head, a table of the selected blocks only: the cache [blocks, Hkv, N, 2 * D]
viewed as [blocks * Hkv, 1, N, 2 * D] makes each KV head of a request a request of its own, with
table entries block * Hkv + head. Selected blocks ascend and the last block is always among them, so
only the last table entry is incomplete, as the operator wants it; keys carry their positions
(RoPE), so their places in the shortened context do not matter.

Page summaries are sums of the keys that pass by on their way into the cache, because the cache
stores keys transposed or packed. All complete pages hold N keys, so sums rank them as means do.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from vllm import _custom_ops as ops
from vllm import envs
from vllm.config import get_current_vllm_config
from vllm.model_executor.models.utils import extract_layer_index
from vllm.v1.attention.backends.cpu_attn import (
    CPUAttentionBackend,
    CPUAttentionBackendImpl,
    CPUAttentionMetadata,
    CPUAttentionMetadataBuilder,
)

from tts.engine.vllm_plugin import SparseConfig
from tts.kernels.contracts import select_budget_pages


@dataclass(frozen=True, slots=True)
class SparseStep:
    """What all layers share in one step; R requests decode sparsely, each over up to P pages.

    Attributes:
        tokens: [R] int64, where their queries are.
        pages: [R, P] int64, their rows of the block table.
        forced: [R, P] bool, sink and local pages.
        absent: [R, P] bool, past the context.
        keep: Pages to select, at most P.
        lens: [R * Hkv] int32, selected tokens.
        starts: [R * Hkv + 1] int32, 0, 1, 2, ...
        schedule: The operator's plan for these lengths.
        rest: Metadata for the other requests, in which the sparse ones have one token; None if
            there are no others.
    """

    tokens: Tensor
    pages: Tensor
    forced: Tensor
    absent: Tensor
    keep: int
    lens: Tensor
    starts: Tensor
    schedule: Tensor
    rest: CPUAttentionMetadata | None


@dataclass
class SparseMetadata(CPUAttentionMetadata):  # type: ignore[misc]
    """The stock metadata, and the sparse step if one is due."""

    step: SparseStep | None = None


class SparseBackend(CPUAttentionBackend):  # type: ignore[misc]
    """The stock backend with our builder and implementation."""

    @staticmethod
    def get_impl_cls() -> type["SparseImpl"]:
        """Return the class that attends."""
        return SparseImpl

    @staticmethod
    def get_builder_cls() -> type["SparseBuilder"]:
        """Return the class that plans a step."""
        return SparseBuilder


class SparseBuilder(CPUAttentionMetadataBuilder):  # type: ignore[misc]
    """Plans a step: which requests decode sparsely."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sparse = SparseConfig.from_vllm(self.vllm_config.additional_config)

    def build(
        self, common_prefix_len: int, common_attn_metadata: Any, fast_build: bool = False
    ) -> Any:
        """Return the stock metadata, with a sparse step if any request is long enough."""
        dense = super().build(common_prefix_len, common_attn_metadata, fast_build)
        if self.sparse is None or dense.causal is not True:
            return dense
        lengths = dense.query_start_loc.diff()
        is_sparse = (lengths == 1) & (dense.seq_lens > self.sparse.sparse_above)
        if not bool(is_sparse.any()):
            return dense
        return SparseMetadata(**vars(dense), step=self._plan(dense, is_sparse, self.sparse))

    def _plan(self, dense: Any, is_sparse: Tensor, sparse: SparseConfig) -> SparseStep:
        rows = is_sparse.nonzero().flatten()
        heads, size = self.num_kv_heads, self.block_size
        seq_lens = dense.seq_lens[rows].long()
        counts = -(-seq_lens // size)
        most = int(counts.max())
        keep = min(_pages_to_keep(sparse, size), most)
        column = torch.arange(most)
        last = counts[:, None]
        selected = counts.clamp(max=keep)
        lens = ((selected - 1) * size + (seq_lens - 1) % size + 1).int().repeat_interleave(heads)
        starts = torch.arange(len(lens) + 1, dtype=torch.int32)
        rest = None
        if len(rows) < len(is_sparse):
            short = torch.where(is_sparse, torch.ones_like(dense.seq_lens), dense.seq_lens)
            schedule = self._schedule(short, dense.query_start_loc, self.num_heads, heads)
            rest = replace(dense, seq_lens=short, scheduler_metadata=schedule)
        return SparseStep(
            tokens=dense.query_start_loc[:-1][rows].long(),
            pages=dense.block_table[rows, :most].long(),
            forced=(column < sparse.sink_pages) | (column >= last - sparse.local_pages),
            absent=column >= last,
            keep=keep,
            lens=lens,
            starts=starts,
            schedule=self._schedule(lens, starts, self.num_heads // heads, 1),
            rest=rest,
        )

    def _schedule(self, lens: Tensor, starts: Tensor, heads: int, kv_heads: int) -> Any:
        return ops.cpu_attn_get_scheduler_metadata(
            num_reqs=len(lens),
            num_heads=heads,
            num_kv_heads=kv_heads,
            head_dim=self.head_dim,
            seq_lens=lens,
            dtype=self.dtype,
            query_start_loc=starts,
            causal=True,
            sliding_window_size=self.window_size,
            isa=self.isa,
            enable_kv_split=envs.VLLM_CPU_ATTN_SPLIT_KV,
            dynamic_causal=None,
            kv_cache_dtype=self.kv_cache_dtype,
        )


class SparseImpl(CPUAttentionBackendImpl):  # type: ignore[misc]
    """Attends: densely as stock, or to the selected pages."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        config = get_current_vllm_config()
        self.sparse = SparseConfig.from_vllm(config.additional_config)
        self.key_sums: Tensor | None = None
        if self.sparse is not None:
            _pages_to_keep(self.sparse, config.cache_config.block_size)
            self._check_supported(config)

    def _check_supported(self, config: Any) -> None:
        reasons = {
            "a sliding window": self.sliding_window != -1,
            "ALiBi": self.alibi_slopes is not None,
            "a soft cap on logits": bool(self.logits_soft_cap),
            "attention sinks": self.sinks is not None,
            "a quantised KV cache (set kv_cache_dtype='auto')": self.is_fp8_kv_cache,
            "layers that share a KV cache": self.kv_sharing_target_layer_name is not None,
            "speculative decoding (its rejected keys would stay in the page sums)": (
                config.speculative_config is not None
            ),
            "KV transfer (it does not move the page sums)": config.kv_transfer_config is not None,
        }
        found = [name for name, is_there in reasons.items() if is_there]
        if found:
            raise ValueError(f"sparse decode does not support {', '.join(found)}: leave it out")

    def do_kv_cache_update(
        self, layer: Any, key: Tensor, value: Tensor, kv_cache: Tensor, slot_mapping: Tensor
    ) -> None:
        """Write keys and values to the cache, and add the keys to the sums of their pages."""
        super().do_kv_cache_update(layer, key, value, kv_cache, slot_mapping)
        if self.sparse is None:
            return
        num_pages, heads, size, _ = kv_cache.shape
        if self.key_sums is None or len(self.key_sums) != num_pages:
            self.key_sums = torch.zeros(num_pages, heads * self.head_size)
        add_keys(self.key_sums, key[: len(slot_mapping)], slot_mapping, size)

    def forward(
        self,
        layer: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        kv_cache: Tensor,
        attn_metadata: Any,
        output: Tensor,
        output_scale: Tensor | None = None,
        output_block_scale: Tensor | None = None,
    ) -> Tensor:
        """Attend as stock, except for requests of a sparse step in layers that are not dense."""
        step = getattr(attn_metadata, "step", None)
        if step is None or self._is_dense(layer):
            super().forward(
                layer,
                query,
                key,
                value,
                kv_cache,
                attn_metadata,
                output,
                output_scale,
                output_block_scale,
            )
            return output
        if step.rest is not None:
            super().forward(layer, query, key, value, kv_cache, step.rest, output)
        self._attend(layer, query, kv_cache, step, output)
        return output

    def _is_dense(self, layer: Any) -> bool:
        return (
            self.sparse is None
            or self.key_sums is None
            or extract_layer_index(layer.layer_name) < self.sparse.dense_layers
        )

    def _attend(
        self, layer: Any, query: Tensor, kv_cache: Tensor, step: SparseStep, output: Tensor
    ) -> None:
        num_pages, heads, size, _ = kv_cache.shape
        q = query[step.tokens].view(len(step.tokens), heads, -1, self.head_size)
        table = select_table(q, self.key_sums, step)
        by_head = kv_cache.view(num_pages * heads, 1, size * 2, self.head_size)
        keys, values = by_head.chunk(2, dim=2)
        flat = q.flatten(0, 1)
        result = torch.empty_like(flat)
        ops.cpu_attention_with_kv_cache(
            query=flat,
            key_cache=keys,
            value_cache=values,
            output=result,
            query_start_loc=step.starts,
            seq_lens=step.lens,
            scale=self.scale,
            causal=True,
            alibi_slopes=None,
            sliding_window=self.sliding_window,
            block_table=table,
            softcap=0,
            scheduler_metadata=step.schedule,
            s_aux=None,
            dynamic_causal=None,
            k_scale=layer._k_scale_float,
            v_scale=layer._v_scale_float,
            kv_cache_dtype=self.kv_cache_dtype,
        )
        output[step.tokens] = result.view(len(step.tokens), *output.shape[1:])


def add_keys(key_sums: Tensor, key: Tensor, slots: Tensor, page_size: int) -> None:
    """Add keys to the sums of their pages; a page's first slot starts its sum anew.

    Args:
        key_sums: [num_pages, Hkv * D] float32; changed.
        key: [T, Hkv, D].
        slots: [T] int64, page * N + offset; negative ones are padding.
        page_size: N.
    """
    real = slots >= 0
    if not bool(real.all()):
        key, slots = key[real], slots[real]
    pages = slots // page_size
    key_sums[pages[slots % page_size == 0]] = 0.0
    key_sums.index_add_(0, pages, key.flatten(1).float())


def select_table(q: Tensor, key_sums: Tensor | None, step: SparseStep) -> Tensor:
    """Return the block table of the selected pages, one row per request and KV head.

    Scores are q . sum(k), averaged over the group; see `tts.kernels.page_select`.

    Args:
        q: [R, Hkv, G, D].
        key_sums: [num_pages, Hkv * D] float32.
        step: Of these R requests.

    Returns:
        [R * Hkv, keep] int32: block * Hkv + head, in the order of the context.
    """
    assert key_sums is not None
    requests, heads, _, size = q.shape
    sums = key_sums.index_select(0, step.pages.flatten()).view(requests, -1, heads, size)
    scores = torch.einsum("rhd,rphd->rhp", q.float().mean(dim=2), sums)
    scores.masked_fill_(step.forced[:, None], torch.inf)
    scores.masked_fill_(step.absent[:, None], -torch.inf)
    chosen = scores.topk(step.keep, dim=2, sorted=False).indices.sort(dim=2).values
    pages = step.pages[:, None].expand(-1, heads, -1).gather(2, chosen)
    return (pages * heads + torch.arange(heads)[:, None]).flatten(0, 1).int()


def _pages_to_keep(sparse: SparseConfig, page_size: int) -> int:
    return select_budget_pages(
        sparse.budget, page_size, sink_pages=sparse.sink_pages, local_pages=sparse.local_pages
    )
