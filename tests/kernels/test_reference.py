"""The references against numbers worked out by hand, and against torch's own attention."""

import math
from typing import Any

import pytest
import torch

from tts.kernels import reference
from tts.kernels.contracts import Attention, Selection
from tts.kernels.workloads import DecodeWorkload, Layout, build_inputs

LOG3 = math.log(3.0)


def test_attention_over_two_keys() -> None:
    # Logits log 3 and 0: weights 3/4 and 1/4, so 3/4 * 8 + 1/4 * 4 = 7; lse = log(3 + 1).
    result = reference.attend(
        torch.tensor([[1.0]]),
        torch.tensor([[LOG3], [0.0], [50.0]]).double(),
        torch.tensor([[8.0], [4.0], [float("nan")]]).double().nan_to_num(0.0),
        torch.tensor([True, True, False]),
        1.0,
    )
    assert result.out.item() == pytest.approx(7.0)
    assert result.lse.item() == pytest.approx(math.log(4.0))


def test_attention_over_nothing() -> None:
    nothing = torch.zeros(0, 1, dtype=torch.float64)
    result = reference.attend(torch.ones(2, 1), nothing, nothing, torch.zeros(0).bool(), 1.0)
    assert result.out.tolist() == [[0.0], [0.0]]
    assert result.lse.tolist() == [-math.inf, -math.inf]


@pytest.mark.parametrize("layout", ["LBHNC", "LBNHC"])
def test_paged_decode_is_torch_attention_on_gathered_pages(layout: Layout) -> None:
    workload = DecodeWorkload((40, 1, 0), 6, 2, 32, 16, torch.float32, layout)
    x = build_inputs(workload, max_pages=4)
    result = reference.paged_decode(x.q, x.kv, x.block_table, x.seq_lens, scale=workload.scale)
    for b, seq_len in enumerate(x.seq_lens.tolist()):
        keys, values = reference.gather_context(x.kv, x.block_table[b], seq_len)
        expected = torch.nn.functional.scaled_dot_product_attention(
            x.q[b][None, :, None].double(), keys[None], values[None], enable_gqa=True
        )[0, :, 0]
        torch.testing.assert_close(result.out[b], expected.nan_to_num(0.0).float())


def test_sparse_decode_sees_only_its_pages() -> None:
    workload = DecodeWorkload((40,), 1, 1, 32, 16, torch.float32)
    x = build_inputs(workload)
    chosen = Selection(torch.tensor([[[0, 2, -1]]]).int(), torch.tensor([[2]]).int())
    kv = x.kv.clone()
    kv[x.block_table[0, 1].long()] = 1e9  # page 1 was not chosen
    arguments = (x.block_table, x.seq_lens, chosen)
    one = reference.sparse_decode(x.q, x.kv, *arguments, scale=0.2)
    two = reference.sparse_decode(x.q, kv, *arguments, scale=0.2)
    assert torch.equal(one.out, two.out)


def test_page_scores_by_hand() -> None:
    q = torch.tensor([[[1.0, -2.0], [3.0, 0.0]]])  # two query heads share one KV head
    table = torch.arange(4, dtype=torch.int32)[None]
    lens = torch.tensor([4 * 16], dtype=torch.int32)
    options: dict[str, Any] = {"page_size": 16, "scale": 0.5, "sink_pages": 1, "local_pages": 1}
    mean = torch.tensor([[9.0, 9.0], [2.0, 1.0], [0.0, -1.0], [9.0, 9.0]])[:, None]
    scores = reference.page_scores(q, mean, table, lens, **options)
    # Page 1: (1*2 - 2*1 + 3*2) / 2 * 0.5 = 1.5; page 2: (0 + 2 + 0) / 2 * 0.5 = 0.5.
    assert scores[0, 0].tolist() == [math.inf, 1.5, 0.5, math.inf]
    # min (-1, -2), max (2, 1). Head 0: max(-1, 2) + max(4, -2) = 6; head 1: max(-3, 6) + 0 = 6.
    bounds = torch.tensor([[-1.0, -2.0, 2.0, 1.0]]).repeat(4, 1)[:, None]
    scores = reference.page_scores(q, bounds, table, lens, kind="minmax", **options)
    assert scores[0, 0].tolist() == [math.inf, 3.0, 3.0, math.inf]  # (6 + 6) / 2 * 0.5


def test_the_mean_score_is_the_mean_logit_of_the_page() -> None:
    workload = DecodeWorkload((48,), 4, 2, 32, 16, torch.float32)
    x = build_inputs(workload)
    summary = torch.zeros(x.kv.shape[0], 2, 32)
    reference.page_summary_update(x.kv, torch.arange(4 * 16), summary)
    options: dict[str, Any] = {"page_size": 16, "scale": 0.2, "sink_pages": 0, "local_pages": 1}
    scores = reference.page_scores(x.q, summary, x.block_table, x.seq_lens, **options)
    keys, _ = reference.gather_context(x.kv, x.block_table[0], 48)
    logits = torch.einsum("hgd,hld->hgl", x.q[0].double().view(2, 2, 32), keys) * 0.2
    expected = logits.mean(1).view(2, 3, 16).mean(2)
    torch.testing.assert_close(scores[0, :, :2].double(), expected[:, :2])


def test_merging_parts_is_attention_over_all() -> None:
    workload = DecodeWorkload((48,), 2, 1, 32, 16, torch.float32)
    x = build_inputs(workload)
    arguments = (x.q, x.kv, x.block_table, x.seq_lens)
    parts = [
        reference.sparse_decode(
            *arguments,
            Selection(torch.tensor([[pages]]).int(), torch.tensor([[len(pages)]]).int()),
            scale=0.2,
        )
        for pages in ([0, 2], [1])
    ]
    merged = reference.merge_states(
        Attention(torch.stack([p.out for p in parts]), torch.stack([p.lse for p in parts]))
    )
    expected = reference.paged_decode(*arguments, scale=0.2)
    torch.testing.assert_close(merged.out, expected.out)
    torch.testing.assert_close(merged.lse, expected.lse)


def test_selected_attention_with_every_block_is_causal_attention() -> None:
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(37, 4, 16, generator=generator)
    k, v = torch.randn(2, 37, 2, 16, generator=generator)
    blocks = torch.arange(3, dtype=torch.int32).expand(2, 37, 3)
    bounds = torch.tensor([0, 37], dtype=torch.int32)
    result = reference.selected_attention(q, k, v, blocks, bounds, block_size=16, scale=0.25)
    by_head = [tensor.transpose(0, 1)[None] for tensor in (q, k, v)]
    expected = torch.nn.functional.scaled_dot_product_attention(
        by_head[0], by_head[1], by_head[2], is_causal=True, enable_gqa=True
    )[0].transpose(0, 1)
    torch.testing.assert_close(result.out, expected)


def test_block_scores_count_overlaps() -> None:
    # Windows of 32 every 16 tokens, blocks of 32. Equal logits, lse = 0: each visible window has
    # mass 1 per stride it shares. Token 63 sees windows 0 (tokens 0-31), 1 (16-47), 2 (32-63).
    # Block 0: window 0 twice, window 1 once = 3; block 1: window 1 once, window 2 twice = 3.
    q = torch.zeros(64, 1, 16)
    bounds = torch.tensor([0, 64], dtype=torch.int32)
    bounds_c = torch.tensor([0, 3], dtype=torch.int32)
    scores = reference.block_scores(
        q,
        torch.zeros(3, 1, 16),
        torch.zeros(64, 1),
        bounds,
        bounds_c,
        window=32,
        stride=16,
        block_size=32,
        scale=1.0,
    )
    assert scores[0, 63].tolist() == [3.0, 3.0]
    assert scores[0, 31].tolist() == [2.0, 0.0]  # window 0 only
    assert scores[0, 30].tolist() == [0.0, 0.0]
