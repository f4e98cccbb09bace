"""Predicted cost, worked by hand."""

from dataclasses import replace

import pytest

from tests.support.values import INFO
from tts.costs.flops import predicted_flops, price_usd, sequence_eflops, usage_eflops
from tts.types import ModelInfo, Price, Usage

SHAPED = ModelInfo("m", "f", parameters=1_000, layers=2, query_heads=3, head_size=4)


def test_linear_part_counts_computed_tokens_only() -> None:
    usage = Usage(prompt_tokens=10, cached_tokens=4, generated_tokens=5)
    assert predicted_flops(INFO, usage) == 2 * 1_000 * (15 - 4)


def test_attention_part_is_a_triangle() -> None:
    # Tokens 1, 2, 3 attend to 1, 2, 3 tokens: 6 pairs of 4 * 2 layers * 3 heads * 4 elements.
    usage = Usage(prompt_tokens=2, generated_tokens=1)
    assert predicted_flops(SHAPED, usage) == 2 * 1_000 * 3 + 96 * 6


def test_eflops_add_the_traffic_of_the_kv_cache() -> None:
    # KV of a token: 2 * 2 layers * 1 head * 4 elements * 2 bytes = 32. After a prompt of 3, the
    # second and third token read 4 and 5: 9 * 32 bytes, a byte as 562.5 operations.
    shape = replace(SHAPED, kv_heads=1, dtype="bfloat16")
    flops = 2 * 1_000 * 6 + 96 * 21
    assert sequence_eflops(shape, 3, 3) == flops + 562.5 * 9 * 32
    assert sequence_eflops(SHAPED, 3, 3) is None  # without KV heads nobody knows
    assert usage_eflops(Usage(flops=10.0, kv_bytes=2)) == 10 + 562.5 * 2
    assert usage_eflops(Usage(flops=10.0, kv_bytes=None)) is None


def test_unknown_stays_unknown() -> None:
    assert predicted_flops(ModelInfo("m", "f"), Usage(generated_tokens=5)) is None
    assert predicted_flops(INFO, Usage(generated_tokens=None)) is None


def test_price_counts_cached_tokens_at_their_own_rate() -> None:
    usage = Usage(prompt_tokens=1_000_000, cached_tokens=400_000, generated_tokens=100_000)
    # 0.6 * 2 + 0.4 * 1 + 0.1 * 10
    assert price_usd(Price(prompt=2.0, generated=10.0, cached=1.0), usage) == pytest.approx(2.6)
    # Without a cached price: 1.0 * 2 + 0.1 * 10
    assert price_usd(Price(prompt=2.0, generated=10.0), usage) == pytest.approx(3.0)
    assert price_usd(None, usage) == 0.0
