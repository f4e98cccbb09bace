from typing import Any, Literal

import pytest
import torch
from torch import Tensor

from tests.kernels.helpers import Guarded, assert_attention_close, seeded
from tts.kernels import reference
from tts.kernels.contracts import Attention
from tts.kernels.nsa import selected_attention
from tts.kernels.nsa_blocks import block_scores, compress_keys

FP32, FP16, BF16 = torch.float32, torch.float16, torch.bfloat16


def inputs(lens: tuple[int, ...], heads: int, size: int, dtype: torch.dtype) -> tuple[Tensor, ...]:
    """Return q, k, v, bounds: two KV heads, `heads` query heads."""
    generator = seeded(8)
    total = sum(lens)
    q = torch.randn(total, heads, size, generator=generator).to(dtype)
    k, v = (torch.randn(total, 2, size, generator=generator).to(dtype) for _ in range(2))
    bounds = torch.tensor([0, *lens]).cumsum(0).int()
    return q, k, v, bounds


def choose_blocks(bounds: Tensor, block_size: int, keep: int) -> Tensor:
    """Distinct random blocks per KV head and token, some in its future, some missing."""
    generator = seeded(9)
    rows = []
    for start, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        num_blocks = -(-(end - start) // block_size)
        for _ in range(2 * (end - start)):
            row = torch.full((keep,), -1, dtype=torch.int32)
            some = torch.randperm(num_blocks, generator=generator)[: keep - 1]
            row[1 : 1 + len(some)] = some  # the first entry stays empty
            rows.append(row)
    return torch.stack(rows).view(-1, 2, keep).transpose(0, 1).contiguous()


@pytest.mark.parametrize("order", ["query", "kv"])
@pytest.mark.parametrize(
    ("lens", "group", "size", "block_size", "dtype"),
    [((20, 3), 2, 16, 16, FP32), ((37,), 1, 64, 32, BF16), ((5, 0, 19), 6, 16, 16, FP16)],
)
def test_both_orders_are_the_reference(
    order: Literal["query", "kv"],
    lens: tuple[int, ...],
    group: int,
    size: int,
    block_size: int,
    dtype: torch.dtype,
) -> None:
    q, k, v, bounds = inputs(lens, 2 * group, size, dtype)
    blocks = choose_blocks(bounds, block_size, 3)
    options: dict[str, Any] = {"block_size": block_size, "scale": size**-0.5}
    result = selected_attention(q, k, v, blocks, bounds, order=order, **options)
    expected = reference.selected_attention(q, k, v, blocks, bounds, **options)
    assert_attention_close(result, expected)


@pytest.mark.parametrize("order", ["query", "kv"])
def test_only_what_was_selected_is_read_and_only_results_are_written(
    order: Literal["query", "kv"],
) -> None:
    # Queries, keys and values cut from one tensor, as a model computes them; 4 + 2 + 2 heads.
    qkv = torch.randn(40, 8, 16, generator=seeded(10))
    q, k, v = qkv[:, :4], qkv[:, 4:6], qkv[:, 6:]
    bounds = torch.tensor([0, 40], dtype=torch.int32)
    blocks = torch.tensor([2, -1, 0], dtype=torch.int32).expand(2, 40, 3).contiguous()
    guarded = Guarded()
    out = Attention(guarded.empty(40, 4, 16, dtype=FP32), guarded.empty(40, 4, dtype=FP32))
    options: dict[str, Any] = {"block_size": 16, "scale": 0.25}
    expected = reference.selected_attention(q, k, v, blocks, bounds, **options)
    qkv[16:32, 4:] = float("nan")  # the second block, which nobody selects
    result = selected_attention(q, k, v, blocks, bounds, order=order, out=out, **options)
    guarded.check()
    assert result.out is out.out
    assert_attention_close(result, expected)


def test_little_workspace_takes_turns() -> None:
    q, k, v, bounds = inputs((20, 9), 4, 16, FP32)
    blocks = choose_blocks(bounds, 16, 3)
    options: dict[str, Any] = {"block_size": 16, "scale": 0.25, "order": "kv"}
    one = selected_attention(q, k, v, blocks, bounds, **options)
    # 4 * 3 slots * 4 heads * 17 values = 816 bytes per token: 13 tokens a turn, three turns.
    turns = selected_attention(q, k, v, blocks, bounds, max_workspace_bytes=13 * 816, **options)
    assert_attention_close(turns, one)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"block_size": 48}, "block size 48 is not supported"),
        ({"order": "both"}, "unknown order 'both'"),
    ],
)
def test_bad_options(change: dict[str, object], message: str) -> None:
    q, k, v, bounds = inputs((16,), 4, 16, FP32)
    blocks = choose_blocks(bounds, 16, 2)
    options: dict[str, Any] = {"block_size": 16, "scale": 0.25, **change}
    with pytest.raises(ValueError, match=message):
        selected_attention(q, k, v, blocks, bounds, **options)


def test_compression_by_hand() -> None:
    # One head, D = 16, windows of two tokens, stride one; weights add the window's tokens up.
    k = torch.arange(5.0)[:, None, None].expand(5, 1, 16).contiguous()
    weight = torch.eye(16).repeat(2, 1)[None]
    bounds = torch.tensor([0, 3, 4, 5], dtype=torch.int32)
    position = torch.tensor([10.0, 0.0])[None, :, None].expand(1, 2, 16).contiguous()
    keys, starts = compress_keys(k, weight, bounds, window=2, stride=1, position=position)
    assert starts.tolist() == [0, 2, 2, 2]  # three tokens make two windows, one makes none
    assert keys[:, 0, 0].tolist() == [11.0, 13.0]  # (0 + 10) + 1, (1 + 10) + 2


@pytest.mark.parametrize(
    ("lens", "group", "window", "stride", "block_size", "dtype"),
    [
        ((40, 70), 3, 32, 16, 32, FP32),
        ((9, 50), 1, 16, 16, 64, FP16),
        ((45,), 4, 16, 8, 16, BF16),
    ],
)
def test_block_scores_are_the_reference(
    lens: tuple[int, ...],
    group: int,
    window: int,
    stride: int,
    block_size: int,
    dtype: torch.dtype,
) -> None:
    q, k, _, bounds = inputs(lens, 2 * group, 16, dtype)
    weight = torch.full((2, window * 16, 16), 0.05, dtype=dtype)
    keys, starts = compress_keys(k, weight, bounds, window=window, stride=stride)
    lse = torch.full((len(q), 2 * group), 2.0)
    lse[0] = -torch.inf  # the first token sees no window
    options: dict[str, Any] = {
        "window": window,
        "stride": stride,
        "block_size": block_size,
        "scale": 0.25,
    }
    guarded = Guarded()
    out = guarded.empty(2, len(q), -(-len(q) // block_size), dtype=FP32)
    scores = block_scores(q, keys, lse, bounds, starts, out=out, **options)
    guarded.check()
    expected = reference.block_scores(q, keys, lse, bounds, starts, **options)
    torch.testing.assert_close(scores, expected, rtol=1e-5, atol=1e-5)
    assert scores.sum() > 0


def test_geometry_is_checked() -> None:
    k = torch.zeros(4, 1, 16)
    bounds = torch.tensor([0, 4], dtype=torch.int32)
    with pytest.raises(ValueError, match="must be multiples of stride 2"):
        compress_keys(k, torch.zeros(1, 48, 16), bounds, window=3, stride=2)
