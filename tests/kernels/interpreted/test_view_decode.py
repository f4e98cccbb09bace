import pytest
import torch

from tests.kernels.helpers import assert_attention_close
from tests.kernels.segments import build_segments, plan_of, view
from tts.kernels import reference
from tts.kernels.contracts import Attention
from tts.kernels.view_decode import view_decode
from tts.kernels.views import Part
from tts.kernels.workloads import DecodeWorkload, Layout

LENGTHS = (70, 5, 18, 21)
VIEWS = [
    view({0: 70, 1: 5, 3: 21, 2: 18}, own_end=18),
    view({0: 70, 1: 5, 2: 18, 3: 21}, own_end=21),
    view({0: 70, 1: 5, 2: 18, 3: 21}, own_end=7),
    [Part(0, 70, 0)],
    [],
]


@pytest.mark.parametrize("chunk", [16, 512])
@pytest.mark.parametrize(
    ("group", "head_size", "dtype", "layout"),
    [
        (1, 64, torch.float32, "LBHNC"),
        (3, 16, torch.float16, "LBNHC"),
        (4, 128, torch.float32, "LBNHC"),
        (16, 16, torch.float32, "LBHNC"),
    ],
)
def test_equal_to_the_layout_written_out(
    group: int, head_size: int, dtype: torch.dtype, layout: Layout, chunk: int
) -> None:
    workload = DecodeWorkload((), 2 * group, 2, head_size, 16, dtype, layout)
    x = build_segments(LENGTHS, workload, len(VIEWS))
    arguments = (x.q, x.kv, x.block_table, plan_of(VIEWS, head_size, chunk=chunk))
    result = view_decode(*arguments, scale=workload.scale)
    assert_attention_close(result, reference.view_attention(*arguments, scale=workload.scale))


def test_bfloat16_is_within_one_more_rounding_of_the_queries() -> None:
    workload = DecodeWorkload((), 8, 2, 64, 16, torch.bfloat16)
    x = build_segments(LENGTHS, workload, len(VIEWS))
    arguments = (x.q, x.kv, x.block_table, plan_of(VIEWS, 64, chunk=512))
    result = view_decode(*arguments, scale=workload.scale)
    expected = reference.view_attention(*arguments, scale=workload.scale)
    torch.testing.assert_close(result.out, expected.out, rtol=2e-2, atol=2e-2)
    torch.testing.assert_close(result.lse, expected.lse, rtol=2e-2, atol=2e-2)


def test_no_queries_are_no_work() -> None:
    workload = DecodeWorkload((), 2, 1, 16, 16, torch.float32)
    x = build_segments((4,), workload, 0)
    result = view_decode(x.q, x.kv, x.block_table, plan_of([], 16, chunk=512), scale=1.0)
    assert isinstance(result, Attention) and result.out.shape == (0, 2, 16)
