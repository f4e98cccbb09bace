"""Predicted cost, worked by hand."""

import pytest

from tests.support.values import INFO
from tts.costs.flops import flops_per_token, predicted_flops, price_usd
from tts.types import ModelInfo, Price, Usage

SHAPED = ModelInfo("m", "f", parameters=1_000, layers=2, query_heads=3, head_size=4)


def test_linear_part_counts_computed_tokens_only() -> None:
    usage = Usage(prompt_tokens=10, cached_tokens=4, generated_tokens=5)
    assert predicted_flops(INFO, usage) == 2 * 1_000 * (15 - 4)


def test_attention_part_is_a_triangle() -> None:
    # Tokens 1, 2, 3 attend to 1, 2, 3 tokens: 6 pairs of 4 * 2 layers * 3 heads * 4 elements.
    usage = Usage(prompt_tokens=2, generated_tokens=1)
    assert predicted_flops(SHAPED, usage) == 2 * 1_000 * 3 + 96 * 6


def test_one_token_at_a_context() -> None:
    assert flops_per_token(SHAPED, 10) == 2 * 1_000 + 96 * 11


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
