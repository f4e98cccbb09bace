"""Shapes of models that people use, for costs of samples that somebody else drew.

From the models' published configurations; parameters are all weights, embeddings included.
"""

from tts.errors import InputError
from tts.types import ModelInfo

# Name: parameters in millions, layers, query heads, KV heads, elements per head.
_SHAPES: dict[str, tuple[float, int, int, int, int]] = {
    "Llama-2-7B": (6_738, 32, 32, 32, 128),
    "Llama-2-13B": (13_016, 40, 40, 40, 128),
    "Llama-2-70B": (68_977, 80, 64, 8, 128),
    "Llama-3-8B": (8_030, 32, 32, 8, 128),
    "Llama-3-70B": (70_554, 80, 64, 8, 128),
    "Llama-3.1-8B": (8_030, 32, 32, 8, 128),
    "Llama-3.1-70B": (70_554, 80, 64, 8, 128),
    "Llama-3.1-405B": (405_853, 126, 128, 8, 128),
    "Llama-3.2-1B": (1_236, 16, 32, 8, 64),
    "Llama-3.2-3B": (3_213, 28, 24, 8, 128),
    "DeepSeek-R1-Distill-Llama-8B": (8_030, 32, 32, 8, 128),
    "DeepSeek-R1-Distill-Qwen-1.5B": (1_777, 28, 12, 2, 128),
    "DeepSeek-R1-Distill-Qwen-7B": (7_616, 28, 28, 4, 128),
    "Qwen2.5-0.5B": (494, 24, 14, 2, 64),
    "Qwen2.5-1.5B": (1_544, 28, 12, 2, 128),
    "Qwen2.5-3B": (3_086, 36, 16, 2, 128),
    "Qwen2.5-7B": (7_616, 28, 28, 4, 128),
    "Qwen2.5-14B": (14_770, 48, 40, 8, 128),
    "Qwen2.5-32B": (32_764, 64, 40, 8, 128),
    "Qwen2.5-72B": (72_706, 80, 64, 8, 128),
    "Qwen2.5-Coder-0.5B": (494, 24, 14, 2, 64),
    "Qwen2.5-Coder-1.5B": (1_544, 28, 12, 2, 128),
    "Qwen3-0.6B": (596, 28, 16, 8, 128),
    "Qwen3-1.7B": (1_721, 28, 16, 8, 128),
    "Qwen3-4B": (4_022, 36, 32, 8, 128),
    "Qwen3-8B": (8_191, 36, 32, 8, 128),
    "Qwen3-14B": (14_768, 40, 40, 8, 128),
    "Qwen3-32B": (32_762, 64, 64, 8, 128),
    "QwQ-32B": (32_764, 64, 40, 8, 128),
    "SmolLM2-135M": (135, 30, 9, 3, 64),
}


def known_shape(name: str) -> ModelInfo | None:
    """Return the shape of the longest known name that a model's name holds; None without one.

    Keys and values are taken to have two bytes, as bfloat16 has.
    """
    lower = name.lower()
    found = max((known for known in _SHAPES if known.lower() in lower), key=len, default=None)
    if found is None:
        return None
    millions, layers, query_heads, kv_heads, head_size = _SHAPES[found]
    return ModelInfo(
        name=found,
        fingerprint="",
        parameters=round(millions * 1e6),
        layers=layers,
        query_heads=query_heads,
        kv_heads=kv_heads,
        head_size=head_size,
        dtype="bfloat16",
    )


def shape_named(name: str) -> ModelInfo:
    """Return the shape of a model.

    Raises:
        InputError: The name holds no known one.
    """
    if (found := known_shape(name)) is None:
        raise InputError(f"no shape is known of {name!r}; there are {', '.join(sorted(_SHAPES))}")
    return found
