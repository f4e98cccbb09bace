import pytest
import torch

from tests.kernels.helpers import Guarded, seeded
from tts.kernels import reference
from tts.kernels.contracts import SummaryKind
from tts.kernels.page_summary import page_summary_update, summary_width
from tts.kernels.workloads import DecodeWorkload, Layout, build_cache


@pytest.mark.parametrize("kind", ["mean", "minmax"])
@pytest.mark.parametrize(
    ("page_size", "size", "dtype", "layout"),
    [
        (16, 32, torch.float32, "LBHNC"),
        (48, 64, torch.float16, "LBNHC"),
        (16, 128, torch.bfloat16, "LBNHC"),
    ],
)
def test_update_is_the_reference(
    kind: SummaryKind, page_size: int, size: int, dtype: torch.dtype, layout: Layout
) -> None:
    workload = DecodeWorkload((), 2, 2, size, page_size, dtype, layout)
    kv = build_cache(4, workload)
    generator = seeded(0)
    kv[1:] = torch.randn(3, 2, page_size, 2 * size, generator=generator).to(dtype)
    # Padding, a page half written, a page completed, another completed by its last token alone.
    slots = torch.tensor(
        [-1, *range(page_size, page_size + 8), *range(2 * page_size - 2, 3 * page_size)]
    )
    slots = torch.cat([slots, torch.tensor([4 * page_size - 1])])
    guarded = Guarded()
    summary = guarded.empty(4, 2, summary_width(size, kind), dtype=dtype)
    expected = summary.clone()
    page_summary_update(kv, slots, summary, kind=kind)
    reference.page_summary_update(kv, slots, expected, kind=kind)
    guarded.check()
    assert (summary[0] == 77).all()  # page 0 was not completed
    # One unit in the last place: the interpreter truncates.
    relative = {torch.float32: 1e-6, torch.float16: 2**-10, torch.bfloat16: 2**-7}[dtype]
    torch.testing.assert_close(summary, expected, rtol=relative, atol=relative / 8)


def test_mean_of_known_keys() -> None:
    kv = torch.zeros(1, 1, 16, 32)
    kv[0, 0, :, 0] = torch.arange(16.0)
    summary = torch.zeros(1, 1, 16)
    page_summary_update(kv, torch.tensor([15]), summary)
    assert summary[0, 0, 0] == 7.5  # (0 + ... + 15) / 16 = 120 / 16
    assert (summary[0, 0, 1:] == 0).all()


def test_writing_again_replaces() -> None:
    kv = torch.full((1, 1, 16, 32), 2.0)
    summary = torch.zeros(1, 1, 32)
    page_summary_update(kv, torch.arange(16), summary, kind="minmax")
    kv[0, 0, 3, :16] = -5.0  # a rejected speculative token is overwritten, then the last one again
    page_summary_update(kv, torch.tensor([3, 15]), summary, kind="minmax")
    assert (summary[0, 0, :16] == -5.0).all()
    assert (summary[0, 0, 16:] == 2.0).all()
    kv.fill_(1.0)  # the page goes to another request
    page_summary_update(kv, torch.tensor([15]), summary, kind="minmax")
    assert (summary == 1.0).all()
