"""Which layers decode sparsely, and what is refused at the start, with what to change."""

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from tts.engine.sparse_config import SparseConfig
from tts.errors import CapabilityError

_PLAIN_CACHE = ("auto", "float16", "bfloat16", "float32")


def check_layer(layer: Any, config: Any) -> None:
    """Check an attention layer of vLLM.

    Args:
        layer: Its `AttentionImpl`, of the CPU or of FlashAttention.
        config: The engine's `VllmConfig`.

    Raises:
        CapabilityError: The model or an option asks for what selected pages cannot give.
    """
    window = layer.sliding_window
    reasons = {
        "a sliding window (its layers are short already)": window not in (None, -1, (-1, -1)),
        "ALiBi (positions within the selected pages are not those of the context)": (
            layer.alibi_slopes is not None
        ),
        "a soft cap on logits": bool(layer.logits_soft_cap),
        "attention sinks": layer.sinks is not None,
        f"a KV cache in {layer.kv_cache_dtype} (set kv_cache_dtype='auto')": (
            layer.kv_cache_dtype not in _PLAIN_CACHE
        ),
        "layers that share a KV cache": layer.kv_sharing_target_layer_name is not None,
        "speculative decoding (leave speculative_config out: rejected keys would count)": (
            config.speculative_config is not None
        ),
        "KV transfer (leave kv_transfer_config out: it does not move page summaries)": (
            config.kv_transfer_config is not None
        ),
    }
    found = [name for name, is_there in reasons.items() if is_there]
    if found:
        _refuse("; ".join(found))


def check_groups(served: Sequence[str], present: Sequence[str]) -> None:
    """Check that all attention layers share one block table.

    Args:
        served: Names of the layers of one KV cache group.
        present: Names of all attention layers of the model.

    Raises:
        CapabilityError: There are other groups.
    """
    if len(served) < len(present):
        _refuse(
            f"models with several KV cache groups (one of them has {len(served)} of "
            f"{len(present)} attention layers)"
        )


def selects_pages(sparse: SparseConfig | None, layer_name: str) -> bool:
    """Return whether sparse steps of this layer select pages: it is none of the dense ones.

    Args:
        sparse: What the engine keeps; None is everything.
        layer_name: As vLLM names it, such as "model.layers.3.self_attn.attn".
    """
    if sparse is None:
        return False
    index: int = import_module("vllm.model_executor.models.utils").extract_layer_index(layer_name)
    return index >= sparse.dense_layers


def _refuse(what: str) -> None:
    raise CapabilityError(f"sparse decode does not support {what}: change that, or leave it out")
