"""What is known of a model: its shape, its size, its price."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Price:
    """Dollars per million tokens."""

    prompt: float
    generated: float
    cached: float | None = None


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What is known of a model; None where an engine cannot tell.

    Attributes:
        name: As the user named it.
        fingerprint: Changes when the model's outputs may change; part of every generation's key.
        parameters: Weights, embeddings included.
        active_parameters: Those that one token uses, fewer in a mixture of experts; None is all.
        expert_share: Part of a layer's experts that one token uses; None without experts.
        weight_bits: Bits per weight in memory, scales included; None is those of `dtype`.
        layers: Decoder layers.
        query_heads: Attention heads.
        kv_heads: Key-value heads.
        head_size: Elements per head.
        dtype: Of the KV cache, and of weights that are not quantised.
        context_tokens: Longest prompt plus completion.
        kv_block_size: Tokens per KV block.
        kv_blocks: KV blocks of the whole cache.
        price: For hosted models.
        settings: What an embedded engine runs with, by vLLM's names, and `cpu_threads`.
        weights: Hash of the model's files, the same in any dtype and on any machine.
        replicas: Copies of it that answer side by side; `kv_blocks` are those of all.
    """

    name: str
    fingerprint: str
    parameters: int | None = None
    layers: int | None = None
    query_heads: int | None = None
    kv_heads: int | None = None
    head_size: int | None = None
    dtype: str | None = None
    context_tokens: int | None = None
    kv_block_size: int | None = None
    kv_blocks: int | None = None
    price: Price | None = None
    active_parameters: int | None = None
    expert_share: float | None = None
    weight_bits: float | None = None
    settings: Mapping[str, Any] = field(default_factory=dict, compare=False)
    weights: str | None = None
    replicas: int = 1

    @property
    def shape(self) -> dict[str, Any]:
        """What its cost is predicted from, by field; empty where nothing is known."""
        values = {name: getattr(self, name) for name in _SHAPE}
        known = {name: value for name, value in values.items() if value is not None}
        return known if self.parameters is not None else {}


_SHAPE = (
    "parameters",
    "active_parameters",
    "expert_share",
    "weight_bits",
    "layers",
    "query_heads",
    "kv_heads",
    "head_size",
    "dtype",
)
