"""Block top-k decode for vLLM's CPU attention: page selection plus the stock operator.

The stock operator reads a block table; it never asks whether the table is complete. So a sparse
step hands it, per KV head, a table of the selected blocks only: the cache [blocks, Hkv, N, 2 * D]
viewed as [blocks * Hkv, 1, N, 2 * D] makes each KV head of a request a request of its own, with
table entries block * Hkv + head. Every sparse request keeps equally many blocks, and its last block
is in the last column, so only the last table entry is incomplete, as the operator wants it; keys
carry their positions (RoPE), so their places in the shortened context do not matter.

Which pages matter is told by their mean keys (`key_means`).
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from vllm import _custom_ops as ops
from vllm import envs
from vllm.config import get_current_vllm_config, get_layers_from_vllm_config
from vllm.model_executor.layers.attention import Attention
from vllm.v1.attention.backend import MultipleOf
from vllm.v1.attention.backends.cpu_attn import (
    CPUAttentionBackend,
    CPUAttentionBackendImpl,
    CPUAttentionMetadata,
    CPUAttentionMetadataBuilder,
)

from tts.engine.key_means import KeyMeans, KeySlots, OpenPages
from tts.engine.sparse_config import SparseConfig
from tts.engine.sparse_limits import check_groups, check_layer, selects_pages
from tts.engine.sparse_pages import PagePlan, plan_pages, select_table
from tts.engine.vllm_plugin import CPU_BLOCK_MULTIPLE


@dataclass(frozen=True, slots=True)
class SparseStep:
    """What all layers share in one step in which R requests decode sparsely.

    Attributes:
        tokens: [R] int64, where their queries are.
        plan: How their pages are selected.
        lens: [R * Hkv] int32, selected tokens.
        starts: [R * Hkv + 1] int32, 0, 1, 2, ...
        schedule: The operator's plan for these lengths.
        rest: Metadata for the other requests, in which the sparse ones have one token; None if
            there are no others.
    """

    tokens: Tensor
    plan: PagePlan
    lens: Tensor
    starts: Tensor
    schedule: Tensor
    rest: CPUAttentionMetadata | None


@dataclass
class SparseMetadata(CPUAttentionMetadata):  # type: ignore[misc]
    """The stock metadata, where the step's keys go, and the sparse step if one is due."""

    slots: KeySlots | None = None
    step: SparseStep | None = None


class SparseBackend(CPUAttentionBackend):  # type: ignore[misc]
    """The stock backend with our builder and implementation, and with smaller KV blocks."""

    @staticmethod
    def get_supported_kernel_block_sizes(kv_cache_spec: object = None) -> list[int | MultipleOf]:
        """Return what the operator takes; its variant for 16 tokens is chosen by their number."""
        return [MultipleOf(CPU_BLOCK_MULTIPLE)]

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
        if self.sparse is not None:
            present = get_layers_from_vllm_config(self.vllm_config, Attention)
            check_groups(self.layer_names, list(present))
        self.open_pages = OpenPages(page_size=self.block_size, num_rows=_num_open(self.vllm_config))

    def build(
        self, common_prefix_len: int, common_attn_metadata: Any, fast_build: bool = False
    ) -> Any:
        """Return the stock metadata, with a sparse step if any request is long enough."""
        dense = super().build(common_prefix_len, common_attn_metadata, fast_build)
        if self.sparse is None:
            return dense
        slots = self.open_pages.plan(dense.slot_mapping[: dense.num_actual_tokens])
        keep = self.sparse.num_pages(self.block_size)
        # A context of no more pages than are kept is dense anyway.
        above = max(self.sparse.sparse_above, (keep - 1) * self.block_size)
        is_sparse = (dense.query_start_loc.diff() == 1) & (dense.seq_lens > above)
        step = None
        if dense.causal is True and bool(is_sparse.any()):
            step = self._plan(dense, is_sparse, self.sparse, keep)
        return SparseMetadata(**vars(dense), slots=slots, step=step)

    def _plan(self, dense: Any, is_sparse: Tensor, sparse: SparseConfig, keep: int) -> SparseStep:
        heads, size = self.num_kv_heads, self.block_size
        rows = is_sparse.nonzero().flatten()
        seq_lens = dense.seq_lens[rows]
        lens = ((keep - 1) * size + (seq_lens - 1) % size + 1).int().repeat_interleave(heads)
        starts = torch.arange(len(lens) + 1, dtype=torch.int32)
        rest = None
        if len(rows) < len(is_sparse):
            short = torch.where(is_sparse, torch.ones_like(dense.seq_lens), dense.seq_lens)
            schedule = self._schedule(short, dense.query_start_loc, self.num_heads, heads)
            rest = replace(dense, seq_lens=short, scheduler_metadata=schedule)
        return SparseStep(
            tokens=dense.query_start_loc[:-1][rows].long(),
            plan=plan_pages(
                dense.block_table[rows],
                seq_lens,
                page_size=size,
                num_kv_heads=heads,
                keep=keep,
                sink_pages=sparse.sink_pages,
                local_pages=sparse.local_pages,
            ),
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
        self.num_open = _num_open(config)
        self.key_means: KeyMeans | None = None
        if self.sparse is not None:
            self.sparse.num_pages(config.cache_config.block_size)
            check_layer(self, config)

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
        metadata, scales = attn_metadata, (output_scale, output_block_scale)
        if isinstance(metadata, SparseMetadata) and selects_pages(self.sparse, layer.layer_name):
            assert metadata.slots is not None
            self._means_of(kv_cache).add(key[: metadata.num_actual_tokens], metadata.slots)
            step = metadata.step
            if step is not None:
                if step.rest is not None:
                    super().forward(layer, query, key, value, kv_cache, step.rest, output, *scales)
                self._attend(layer, query, kv_cache, step, output)
                return output
        super().forward(layer, query, key, value, kv_cache, metadata, output, *scales)
        return output

    def _means_of(self, kv_cache: Tensor) -> KeyMeans:
        """Return what this layer keeps beside its cache, made for this size of it."""
        if self.key_means is None or len(self.key_means.means) != len(kv_cache):
            self.key_means = KeyMeans(kv_cache, num_open=self.num_open)
        return self.key_means

    def _attend(
        self, layer: Any, query: Tensor, kv_cache: Tensor, step: SparseStep, output: Tensor
    ) -> None:
        num_pages, heads, size, _ = kv_cache.shape
        q = query[step.tokens].view(len(step.tokens), heads, -1, self.head_size)
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
            block_table=select_table(q, self._means_of(kv_cache).means, step.plan),
            softcap=0,
            scheduler_metadata=step.schedule,
            s_aux=None,
            dynamic_causal=None,
            k_scale=layer._k_scale_float,
            v_scale=layer._v_scale_float,
            kv_cache_dtype=self.kv_cache_dtype,
        )
        output[step.tokens] = result.view(len(step.tokens), *output.shape[1:])


def _num_open(config: Any) -> int:
    """Return how many pages can be incomplete at once, and as many of requests that ended."""
    return 2 * int(config.scheduler_config.max_num_seqs)
