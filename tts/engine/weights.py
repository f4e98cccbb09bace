"""What a model's weights come to: how many there are, how many a token uses, how wide they are.

Counted in the model's files and read from its configuration, as published models write them. Files
hold packed weights (eight of four bits in an int32), scales, and layers that only speculative
decoding uses; none of these is taken for a weight.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_BITS = {"F64": 64, "F32": 32, "F16": 16, "BF16": 16, "I64": 64, "I32": 32, "I16": 16}
_PACKED = re.compile(r"\.(?:qweight|weight_packed)$|_blocks$")
_ADDED = re.compile(
    r"[._](?:scales?|weight_scale(?:_inv|_2)?|(?:input|k|v)_scale|qzeros|weight_zero_point"
    r"|weight_shape|g_idx|absmax|nested_absmax|quant_map|nested_quant_map|bitsandbytes__\w+)$"
)
_LAYER = re.compile(r"(?:^|\.)layers\.(\d+)\.")
_NUM_EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts")
_NUM_ACTIVE = ("num_experts_per_tok", "experts_per_token", "moe_topk", "moe_k", "top_k_experts")


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor in a file.

    Attributes:
        name: As the file calls it.
        dtype: As safetensors calls it, such as "BF16".
        shape: Of what is stored.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Weights:
    """Of a model; None where it cannot be told.

    Attributes:
        parameters: All weights.
        active: Those that one token uses.
        expert_share: Part of a layer's experts that one token uses; None without experts.
        bits: Per weight, scales included; None for the bits of the model's dtype.
    """

    parameters: int | None
    active: int | None = None
    expert_share: float | None = None
    bits: float | None = None


def weights_of(config: Mapping[str, Any], tensors: Iterable[Tensor]) -> Weights:
    """Count a model's weights.

    Args:
        config: The model's config.json.
        tensors: In its files; without any the number of weights is unknown.
    """
    packing = _packing(config.get("quantization_config") or {})
    is_tied = bool(config.get("tie_word_embeddings") or _text(config).get("tie_word_embeddings"))
    layers = _text(config).get("num_hidden_layers", math.inf)
    count = num_bits = 0
    for tensor in tensors:
        layer = _LAYER.search(tensor.name)
        if layer and int(layer[1]) >= layers:
            continue  # predicts further tokens; no part of the model itself
        if is_tied and tensor.name.endswith("lm_head.weight"):
            continue  # the embeddings once more
        stored = math.prod(tensor.shape)
        width = _BITS.get(tensor.dtype, 8)
        num_bits += stored * width
        if not _ADDED.search(tensor.name):
            is_packed = _PACKED.search(tensor.name) or (packing == 4 and tensor.dtype == "U8")
            count += stored * (width // packing if packing and is_packed else 1)
    bits = weight_bits(config)
    if not count:
        return Weights(None, None, _share(config), bits)
    if bits is not None:
        bits = num_bits / count
    return Weights(count, active_parameters(config, count), _share(config), bits)


def active_parameters(config: Mapping[str, Any], parameters: int) -> int:
    """Return how many weights a token uses: all but those of the experts that it is not sent to.

    In each layer with experts a token goes to k of E, each of three matrices of hidden times inner
    size (and their biases); shared experts, attention and embeddings are used by every token.

    Args:
        config: As published for Mixtral, Qwen3-MoE, DeepSeek-V3, gpt-oss, GLM-4.5, Llama 4, ...
        parameters: All weights.
    """
    text = _text(config)
    experts, used = _first(text, _NUM_EXPERTS), _first(text, _NUM_ACTIVE)
    if not experts or not used:
        return parameters
    hidden: int = text["hidden_size"]
    sizes = text.get("moe_intermediate_size") or text["intermediate_size"]
    inner: int = sizes[0] if isinstance(sizes, list) else sizes
    biases = 2 * inner + hidden if text.get("model_type") == "gpt_oss" else 0
    return parameters - (experts - used) * (3 * hidden * inner + biases) * _num_sparse(text)


def weight_bits(config: Mapping[str, Any]) -> float | None:
    """Return the bits per quantised weight, with a scale for each group; None if not quantised."""
    quantised = config.get("quantization_config") or {}
    bits = _packing(quantised)
    if not quantised or bits is None:
        return None
    group = _group_size(quantised)
    scale = 8 if _method(quantised) in ("mxfp4", "nvfp4") else 16
    return bits + (scale / group if group > 0 else 0.0)


def tensors_in(folder: Path) -> Iterable[Tensor]:
    """Yield the tensors of a folder's safetensors files; their headers alone are read."""
    for file in sorted(folder.glob("*.safetensors")):
        with file.open("rb") as stream:
            header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
        for name, about in header.items():
            if name != "__metadata__":
                yield Tensor(name, about["dtype"], tuple(about["shape"]))


def _num_sparse(text: Mapping[str, Any]) -> int:
    """Return how many layers have experts."""
    layers: int = text["num_hidden_layers"]
    if isinstance(chosen := text.get("moe_layers"), list):
        return len(chosen)
    first = text.get("first_k_dense_replace") or 0
    dense = set(text.get("mlp_only_layers") or ())
    every = text.get("decoder_sparse_step") or text.get("interleave_moe_layer_step")
    every = every or text.get("moe_layer_freq") or 1
    if isinstance(every, list):
        return sum(map(bool, every))
    return sum((i + 1) % every == 0 for i in range(first, layers) if i not in dense)


def _share(config: Mapping[str, Any]) -> float | None:
    text = _text(config)
    experts, used = _first(text, _NUM_EXPERTS), _first(text, _NUM_ACTIVE)
    return used / experts if experts and used else None


def _method(quantised: Mapping[str, Any]) -> str:
    return str(quantised.get("quant_algo") or quantised.get("quant_method") or "").lower()


def _packing(quantised: Mapping[str, Any]) -> int | None:
    """Return the bits of a quantised weight."""
    method = _method(quantised)
    if isinstance(bits := quantised.get("bits") or quantised.get("w_bit"), int):
        return bits
    for group in (quantised.get("config_groups") or {}).values():
        return int(group["weights"]["num_bits"])
    if quantised.get("load_in_4bit") or "fp4" in method or "w4a" in method:
        return 4
    if quantised.get("load_in_8bit") or "fp8" in method or "int8" in method:
        return 8
    return None


def _group_size(quantised: Mapping[str, Any]) -> int:
    if _method(quantised) == "mxfp4":
        return 32
    for group in (quantised.get("config_groups") or {}).values():
        return int(group["weights"].get("group_size") or 0)
    return int(quantised.get("group_size") or quantised.get("q_group_size") or 0)


def _text(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the part that describes the language model of one that also sees or hears."""
    nested = config.get("text_config")
    return nested if isinstance(nested, Mapping) else config


def _first(config: Mapping[str, Any], names: Iterable[str]) -> int:
    return next((int(config[name]) for name in names if config.get(name)), 0)
