"""Attention over views in plain torch: against the layout written out, and by hand."""

import math

import pytest
import torch

from tests.kernels.helpers import assert_attention_close
from tests.kernels.segments import build_segments, plan_of, view
from tts.kernels import reference
from tts.kernels.views import Part, turned, view_attention
from tts.kernels.workloads import DecodeWorkload

# A prompt, a header, two workers' steps; the queries are the workers' last tokens.
LENGTHS = (37, 5, 18, 21)
ALICE = view({0: 37, 1: 5, 3: 21, 2: 18}, own_end=18)
BOB = view({0: 37, 1: 5, 2: 18, 3: 21}, own_end=21)


def test_parts_of_a_view_are_turned_by_how_far_before_the_querys_own_segment_they_begin() -> None:
    assert [(part.segment, part.turn) for part in ALICE] == [(0, 63), (1, 26), (3, 21), (2, 0)]
    assert [(part.segment, part.turn) for part in BOB] == [(0, 60), (1, 23), (2, 18), (3, 0)]


@pytest.mark.parametrize("chunk", [16, 1_000])
@pytest.mark.parametrize(
    ("group", "head_size", "dtype"),
    [(1, 64, torch.float32), (3, 32, torch.float32), (2, 16, torch.bfloat16)],
)
def test_equal_to_the_layout_written_out(
    group: int, head_size: int, dtype: torch.dtype, chunk: int
) -> None:
    workload = DecodeWorkload((), 2 * group, 2, head_size, 16, dtype)
    x = build_segments(LENGTHS, workload, 3)
    early = view({0: 37, 1: 5, 2: 18, 3: 21}, own_end=7)  # an earlier token of Bob's own
    plan = plan_of([ALICE, BOB, early], head_size, chunk=chunk)
    arguments = (x.q, x.kv, x.block_table, plan)
    result = view_attention(*arguments, scale=workload.scale)
    assert_attention_close(result, reference.view_attention(*arguments, scale=workload.scale))


def test_a_single_segment_is_ordinary_decode() -> None:
    workload = DecodeWorkload((), 4, 2, 32, 16, torch.float32)
    x = build_segments((40, 23), workload, 2)
    plan = plan_of([[Part(0, 40, 0)], [Part(1, 23, 0)]], 32, chunk=512)
    result = view_attention(x.q, x.kv, x.block_table, plan, scale=0.3)
    expected = reference.paged_decode(x.q, x.kv, x.block_table, x.seq_lens, scale=0.3)
    assert_attention_close(result, expected)


def test_a_query_without_a_view_sees_nothing() -> None:
    x = build_segments((4, 5), DecodeWorkload((), 2, 1, 16, 16, torch.float32), 2)
    plan = plan_of([[], [Part(1, 5, 0)]], 16, chunk=512)
    result = view_attention(x.q, x.kv, x.block_table, plan, scale=1.0)
    assert result.out[0].abs().max() == 0 and bool((result.lse[0] == -torch.inf).all())
    assert bool(result.lse[1].isfinite().all())


def test_a_quarter_turn_takes_a_channel_to_its_partner() -> None:
    q = torch.tensor([[1.0, 2.0, 3.0, 4.0]])  # one head; pairs (1, 3) and (2, 4)
    quarter = torch.tensor([math.pi / 2, 0.0])
    expected = torch.tensor([[-3.0, 2.0, 1.0, 4.0]])
    torch.testing.assert_close(turned(q, quarter.cos(), quarter.sin()), expected)


def test_what_does_not_fit_is_refused_with_what_would() -> None:
    x = build_segments((4, 5), DecodeWorkload((), 2, 1, 16, 16, torch.float32), 1)
    plan = plan_of([[Part(1, 5, 0)]], 32, chunk=512)
    with pytest.raises(ValueError, match=r"cos is \[1, 16\].* not \[1, 8\]"):
        view_attention(x.q, x.kv, x.block_table, plan, scale=1.0)
    with pytest.raises(ValueError, match=r"block_table is .*int64, not int32"):
        view_attention(x.q, x.kv, x.block_table.long(), plan, scale=1.0)
