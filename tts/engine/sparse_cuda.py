"""Block top-k and shared-prefix decode for vLLM on CUDA: FlashAttention where our kernels do not.

A step in which every request decodes one token goes to `paged_attention`, if the dispatcher says
that this pays; everything else, prefill above all, is FlashAttention as it is. Page summaries are
written beside the cache, by physical page, so prefix-cache hits bring their own.

Under full CUDA graphs a batch size is sparse or dense for good: the choice is made at capture, for
the longest context. Sparse stays exact for contexts within the budget, all of whose pages are kept.
"""

from dataclasses import dataclass
from typing import Any

from torch import Tensor
from vllm.config import get_current_vllm_config, get_layers_from_vllm_config
from vllm.model_executor.layers.attention import Attention
from vllm.v1.attention.backend import AttentionCGSupport, AttentionType
from vllm.v1.attention.backends.flash_attn import (
    FlashAttentionBackend,
    FlashAttentionImpl,
    FlashAttentionMetadata,
    FlashAttentionMetadataBuilder,
)
from vllm.v1.kv_cache_interface import KVCacheLayout

from tts.engine.paged_attention import (
    PagedAttention,
    PagedStep,
    TreePlanner,
    check_table_width,
    choose_kernel,
)
from tts.engine.sparse_config import SparseConfig, wants_shared_prefix
from tts.engine.sparse_limits import check_groups, check_layer, selects_pages
from tts.kernels.contracts import HEAD_SIZES
from tts.kernels.dispatch import DecodeStep


@dataclass
class SparseMetadata(FlashAttentionMetadata):  # type: ignore[misc]
    """FlashAttention's metadata, and the step for our kernels if they take it."""

    step: PagedStep | None = None


class SparseBackend(FlashAttentionBackend):  # type: ignore[misc]
    """FlashAttention with our builder and implementation, for what our kernels support."""

    supported_kv_cache_dtypes = ("auto", "float16", "bfloat16")

    @staticmethod
    def get_name() -> str:
        """Return the name under which vLLM knows backends of others."""
        return "CUSTOM"

    @classmethod
    def supported_kv_cache_layouts(cls) -> tuple[KVCacheLayout, ...]:
        """Return layouts by preference: a page of one head in one run is read best."""
        return (KVCacheLayout.LBHNC, KVCacheLayout.LBNHC)

    @classmethod
    def supports_head_size(cls, head_size: int) -> bool:
        """Return whether our kernels support a head size."""
        return head_size in HEAD_SIZES

    @classmethod
    def supports_sliding_window(cls) -> bool:
        """Return False: selected pages have no window."""
        return False

    @classmethod
    def supports_attn_type(cls, attn_type: str) -> bool:
        """Return whether this is a decoder's attention."""
        return bool(attn_type == AttentionType.DECODER)

    @staticmethod
    def get_impl_cls() -> type["SparseImpl"]:
        """Return the class that attends."""
        return SparseImpl

    @staticmethod
    def get_builder_cls() -> type["SparseBuilder"]:
        """Return the class that plans a step."""
        return SparseBuilder


class SparseBuilder(FlashAttentionMetadataBuilder):  # type: ignore[misc]
    """Plans a step: which kernel takes it, and who shares which pages."""

    _cudagraph_support = AttentionCGSupport.UNIFORM_SINGLE_TOKEN_DECODE
    supports_update_block_table = False  # a plan belongs to its block table

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        config = self.vllm_config
        self.sparse = SparseConfig.from_vllm(config.additional_config)
        self.shared_prefix = wants_shared_prefix(config.additional_config)
        check_groups(self.layer_names, list(get_layers_from_vllm_config(config, Attention)))
        check_table_width(config.model_config.max_model_len, self.block_size)
        self.planner = TreePlanner(
            page_size=self.block_size,
            group=self.num_heads_q // self.num_heads_kv,
            num_kv_heads=self.num_heads_kv,
        )

    def build(
        self, common_prefix_len: int, common_attn_metadata: Any, fast_build: bool = False
    ) -> Any:
        """Return FlashAttention's metadata, with our step if our kernels take it."""
        base = super().build(common_prefix_len, common_attn_metadata, fast_build)
        return SparseMetadata(**vars(base), step=self._step(base))

    def _step(self, base: Any) -> PagedStep | None:
        if base.max_query_len != 1 or base.causal is not True:
            return None
        shapes = DecodeStep(
            batch=len(base.seq_lens),
            max_context=base.max_seq_len,
            num_q_heads=self.num_heads_q,
            num_kv_heads=self.num_heads_kv,
            head_size=self.headdim,
            page_size=self.block_size,
            dtype=self.kv_cache_dtype,
        )
        choice = choose_kernel(shapes, sparse=self.sparse, shared_prefix=self.shared_prefix)
        if choice.kernel == "sparse":
            return PagedStep(base.block_table, base.seq_lens)
        if choice.kernel == "tree":
            plan = self.planner.plan(base.block_table, base.seq_lens)
            return PagedStep(base.block_table, base.seq_lens, plan)
        return None


class SparseImpl(FlashAttentionImpl):  # type: ignore[misc]
    """Attends: by FlashAttention, or by our kernels."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        config = get_current_vllm_config()
        self.sparse = SparseConfig.from_vllm(config.additional_config)
        check_layer(self, config)
        self.paged = PagedAttention(scale=self.scale, sparse=self.sparse)

    def do_kv_cache_update(
        self, layer: Any, key: Tensor, value: Tensor, kv_cache: Tensor, slot_mapping: Tensor
    ) -> None:
        """Write keys and values to the cache, and summarise the pages that they complete."""
        super().do_kv_cache_update(layer, key, value, kv_cache, slot_mapping)
        if selects_pages(self.sparse, layer.layer_name):
            self.paged.update(kv_cache, slot_mapping)

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
        """Attend by our kernels in a step that they take, except in dense layers."""
        step = getattr(attn_metadata, "step", None)
        if step is None or (step.plan is None and not selects_pages(self.sparse, layer.layer_name)):
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
        rows = attn_metadata.num_actual_tokens
        result = self.paged.attend(query[:rows], kv_cache, step)
        output[:rows].view_as(result.out).copy_(result.out)
        return output
