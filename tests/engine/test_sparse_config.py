"""The option of sparse decode: how it is spelled, and what is refused before a model is loaded."""

from types import SimpleNamespace
from typing import Any

import pytest

from tts.engine.build import choose_block_size
from tts.engine.sparse_config import SparseConfig, to_additional_config, wants_shared_prefix
from tts.engine.sparse_limits import check_groups, check_layer
from tts.engine.translate import build_meter
from tts.errors import CapabilityError, InputError
from tts.types import ModelInfo


@pytest.mark.parametrize(
    ("text", "config"),
    [
        ("budget=1024", SparseConfig(1_024)),
        ("budget=2048, page=64", SparseConfig(2_048, page_size=64)),
        (
            "budget=512,sink=2,local=3,dense_layers=0,min_context=0",
            SparseConfig(512, 2, 3, dense_layers=0, min_context=0),
        ),
    ],
)
def test_a_spelling_goes_there_and_back(text: str, config: SparseConfig) -> None:
    assert SparseConfig.parse(text) == config
    assert SparseConfig.parse(str(config)) == config
    assert str(config) == text.replace(" ", "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no setting ''; there are budget, page"),
        ("1024", "no setting '1024'"),
        ("budget", "budget needs a whole number: budget=1024,"),
        ("budget=1k", "budget needs a whole number"),
        ("budget=-64", "budget needs a whole number"),
        ("page=32", "budget is missing"),
        ("budget=64,budget=128", "budget is given twice"),
        ("budget=1024,blocks=3", "no setting 'blocks'"),
        ("budget=0", "budget=0, but the least is 1"),
        ("budget=1024,local=0", "local_pages=0, but the least is 1"),
        ("budget=1024,page=0", "page=0, but the least is 1"),
        ("budget=1000,page=32", "not whole pages of 32: use 1024"),
        ("budget=96,page=32", "used up by 1 sink and 2 local pages of 32 tokens: use at least 128"),
    ],
)
def test_a_wrong_spelling_says_what_to_write(text: str, message: str) -> None:
    with pytest.raises(InputError, match="sparse") as caught:
        SparseConfig.parse(text)
    assert message in str(caught.value)


def test_the_engines_block_size_is_checked_like_a_page_size() -> None:
    assert SparseConfig(1_024).num_pages(32) == 32
    with pytest.raises(InputError, match="used up by"):
        SparseConfig(96).num_pages(32)


def test_a_page_is_a_kv_block() -> None:
    assert choose_block_size(None, None) is None
    assert choose_block_size(16, SparseConfig(1_024)) == 16
    assert choose_block_size(None, SparseConfig(1_024, page_size=64)) == 64
    assert choose_block_size(64, SparseConfig(1_024, page_size=64)) == 64
    with pytest.raises(InputError, match="block_size=16 and page=64 differ"):
        choose_block_size(16, SparseConfig(1_024, page_size=64))


def test_the_configuration_travels_through_vllm() -> None:
    config = SparseConfig(1_024, dense_layers=2)
    entries = {"other": 1, **to_additional_config(config, shared_prefix=True)}
    assert SparseConfig.from_vllm(entries) == config
    assert wants_shared_prefix(entries)
    assert to_additional_config(None, shared_prefix=False) == {}
    for nothing in ({"other": 1}, None):
        assert SparseConfig.from_vllm(nothing) is None
        assert not wants_shared_prefix(nothing)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (SparseConfig(1_024), 4_096),  # the break-even of selection on a CPU
        (SparseConfig(4_096), 8_192),  # twice the budget
        (SparseConfig(4_096, min_context=0), 0),
    ],
)
def test_short_requests_stay_dense(config: SparseConfig, expected: int) -> None:
    assert config.sparse_above == expected


def test_an_engines_usage_says_what_sparse_and_dense_decode_read() -> None:
    # One KV head of 4 in bf16: a layer's token is 16 bytes, a page's mean key 8.
    shape: dict[str, Any] = {
        "parameters": 9,
        "layers": 2,
        "query_heads": 2,
        "kv_heads": 1,
        "head_size": 4,
    }
    info = ModelInfo("m", "f", **shape, dtype="bfloat16")
    entries = to_additional_config(SparseConfig(128, min_context=0), shared_prefix=False)
    config = SimpleNamespace(additional_config=entries, cache_config=SimpleNamespace(block_size=32))
    meter = build_meter(SimpleNamespace(vllm_config=config), info)
    usage = meter.usage(200, cached=0, generated=3, seconds=1.0)
    # The second and third token attend to 201 and 202: the first layer to all of them, the other
    # to 128 each, chosen from 403 / 32 pages.
    assert usage.dense_kv_bytes == 2 * 16 * 403
    assert usage.kv_bytes == round(16 * 403 + 16 * 2 * 128 + 8 * 403 / 32)
    config.additional_config = {}
    dense = build_meter(SimpleNamespace(vllm_config=config), info)
    usage = dense.usage(200, cached=0, generated=3, seconds=1.0)
    assert usage.kv_bytes == usage.dense_kv_bytes == 2 * 16 * 403


LAYER = {
    "sliding_window": -1,
    "alibi_slopes": None,
    "logits_soft_cap": 0,
    "sinks": None,
    "kv_cache_dtype": "auto",
    "kv_sharing_target_layer_name": None,
}
CONFIG = {"speculative_config": None, "kv_transfer_config": None}


def check(**changes: Any) -> None:
    layer = SimpleNamespace(**{k: changes.get(k, v) for k, v in LAYER.items()})
    config = SimpleNamespace(**{k: changes.get(k, v) for k, v in CONFIG.items()})
    check_layer(layer, config)


def test_ordinary_layers_are_served() -> None:
    check()
    check(sliding_window=(-1, -1), kv_cache_dtype="bfloat16")  # as FlashAttention says it
    check_groups(["a", "b"], ["a", "b"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sliding_window": 4_096}, "a sliding window"),
        ({"sliding_window": (4_095, 0)}, "a sliding window"),
        ({"alibi_slopes": [0.5]}, "ALiBi"),
        ({"logits_soft_cap": 30.0}, "a soft cap"),
        ({"sinks": [1.0]}, "attention sinks"),
        ({"kv_cache_dtype": "fp8_e4m3"}, "KV cache in fp8_e4m3 (set kv_cache_dtype='auto')"),
        ({"kv_sharing_target_layer_name": "layers.0"}, "share a KV cache"),
        ({"speculative_config": object()}, "leave speculative_config out"),
        ({"kv_transfer_config": object()}, "leave kv_transfer_config out"),
    ],
)
def test_what_selected_pages_cannot_give_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(CapabilityError) as caught:
        check(**change)
    assert message in str(caught.value)


def test_several_kv_groups_are_refused() -> None:
    with pytest.raises(CapabilityError, match="one of them has 1 of 2 attention layers"):
        check_groups(["a"], ["a", "b"])
