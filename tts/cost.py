"""Predicted floating-point operations of generation.

Dense decoder: 2 FLOPs per weight and token, plus attention, 4 FLOPs per query head, element and
context token (2 for q.k, 2 for p.v). Sadhukhan et al. 2025, "Kinetics", arXiv:2506.05333, adds
memory traffic to this; the count here is of operations only.
"""

from tts.types import ModelInfo, Price, Usage


def predicted_flops(info: ModelInfo, usage: Usage) -> float | None:
    """Return the operations behind `usage`; None when the model's shape or the counts are unknown.

    Cached prompt tokens cost nothing but their keys are attended to.
    """
    if info.parameters is None or usage.generated_tokens is None or usage.prompt_tokens is None:
        return None
    cached = usage.cached_tokens or 0
    total = usage.prompt_tokens + usage.generated_tokens
    linear = 2.0 * info.parameters * (total - cached)
    if info.layers is None or info.query_heads is None or info.head_size is None:
        return linear
    # Token t attends to t others: the sum over the computed tokens is a difference of triangles.
    attended = (total * (total + 1) - cached * (cached + 1)) / 2
    return linear + 4.0 * info.layers * info.query_heads * info.head_size * attended


def flops_per_token(info: ModelInfo, context_tokens: int) -> float | None:
    """Return the operations of one decoded token at a context length; None when unknown."""
    before = Usage(prompt_tokens=context_tokens, cached_tokens=context_tokens, generated_tokens=1)
    return predicted_flops(info, before)


def price_usd(price: Price | None, usage: Usage) -> float | None:
    """Return the dollars of `usage`; 0 for a model without a price, None for unknown counts."""
    if price is None:
        return 0.0
    if usage.prompt_tokens is None or usage.generated_tokens is None:
        return None
    cached = usage.cached_tokens or 0
    cached_price = price.prompt if price.cached is None else price.cached
    fresh = usage.prompt_tokens - cached
    dollars = (
        fresh * price.prompt + cached * cached_price + usage.generated_tokens * price.generated
    )
    return dollars / 1e6
