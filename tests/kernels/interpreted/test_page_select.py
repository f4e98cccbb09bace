from typing import Any

import pytest
import torch

from tests.kernels.helpers import Guarded, seeded
from tts.kernels import reference
from tts.kernels.contracts import Selection, SummaryKind
from tts.kernels.page_select import page_scores, select_pages
from tts.kernels.page_summary import summary_width

INF = float("inf")


@pytest.mark.parametrize("kind", ["mean", "minmax"])
@pytest.mark.parametrize(
    ("group", "size", "dtype"),
    [(1, 32, torch.float32), (3, 64, torch.float16), (4, 128, torch.bfloat16)],
)
def test_scores_are_the_reference(
    kind: SummaryKind, group: int, size: int, dtype: torch.dtype
) -> None:
    generator = seeded(1)
    q = torch.randn(3, 2 * group, size, generator=generator).to(dtype)
    width = summary_width(size, kind)
    summary = torch.randn(50, 2, width, generator=generator).to(dtype)
    if kind == "minmax":
        halves = summary.view(50, 2, 2, size).sort(dim=2).values  # min below max
        summary = halves.view(50, 2, width).contiguous()
    summary[0] = float("nan")  # never completed: must be forced, or must not matter
    table = torch.zeros(3, 45, dtype=torch.int32)
    table[0, :40] = torch.randperm(49, generator=generator)[:40].int() + 1
    table[0, 39] = 0  # the incomplete last page of 40
    table[1, :2] = torch.tensor([7, 0])
    lens = torch.tensor([39 * 16 + 5, 17, 0], dtype=torch.int32)
    guarded = Guarded()
    out = guarded.empty(3, 2, 45, dtype=torch.float32)
    options: dict[str, Any] = {
        "page_size": 16,
        "scale": 0.3,
        "kind": kind,
        "sink_pages": 1,
        "local_pages": 2,
    }
    page_scores(q, summary, table, lens, out=out, **options)
    guarded.check()
    expected = reference.page_scores(q, summary, table, lens, **options)
    for b, num_pages in enumerate((40, 2, 0)):
        torch.testing.assert_close(
            out[b, :, :num_pages], expected[b, :, :num_pages], rtol=1e-5, atol=2e-5
        )
    assert (out[0, :, [0, 38, 39]] == INF).all()
    assert out[0, :, 1:38].isfinite().all()


def test_a_nan_score_is_the_worst() -> None:
    summary = torch.ones(4, 1, 16)
    summary[1] = float("nan")
    table = torch.arange(4, dtype=torch.int32)[None]
    q = torch.ones(1, 1, 16)
    lens = torch.tensor([64], dtype=torch.int32)
    scores = page_scores(
        q, summary, table, lens, page_size=16, scale=0.5, sink_pages=0, local_pages=1
    )
    assert scores[0, 0].tolist() == [8.0, -INF, 8.0, INF]  # 16 channels x 1 x 1 x 0.5


@pytest.mark.parametrize(
    ("scores", "keep", "expected"),
    [
        ([1.0, 3.0, 2.0, 4.0], 2, [1, 3]),
        ([2.0, 1.0, 2.0, 2.0], 2, [0, 2]),  # ties keep the earlier page
        ([0.0, -0.0, 0.0, -1.0], 2, [0, 1]),  # both zeros are one value
        ([INF, -5.0, -4.0, INF], 3, [0, 2, 3]),
        ([-INF, -INF, -1e38, 1e-45], 2, [2, 3]),  # a denormal counts
        ([5.0, 6.0], 4, [0, 1, -1, -1]),  # fewer pages than the budget
        ([], 2, [-1, -1]),
    ],
)
def test_selection_by_hand(scores: list[float], keep: int, expected: list[int]) -> None:
    row = torch.full((1, 1, 5), 99.0)  # past the context: must not be chosen
    row[0, 0, : len(scores)] = torch.tensor(scores)
    lens = torch.tensor([16 * len(scores)], dtype=torch.int32)
    result = select_pages(row, lens, max_selected=keep, page_size=16)
    assert result.pages[0, 0].tolist() == expected
    assert result.counts.tolist() == [[min(keep, len(scores))]]


def test_selection_is_the_reference_and_stays_in_bounds() -> None:
    generator = seeded(2)
    scores = torch.randn(3, 2, 300, generator=generator)
    scores[1] = scores[1].round()  # many ties
    scores[:, :, 0] = INF
    lens = torch.tensor([300 * 16, 290 * 16 - 3, 5 * 16], dtype=torch.int32)
    guarded = Guarded()
    pages = guarded.empty(3, 2, 37, dtype=torch.int32)
    out = Selection(pages, guarded.empty(3, 2, dtype=torch.int32))
    select_pages(scores, lens, max_selected=37, page_size=16, out=out)
    guarded.check()
    expected = reference.select_pages(scores, lens, max_selected=37, page_size=16)
    assert torch.equal(out.pages, expected.pages)
    assert torch.equal(out.counts, expected.counts)


def test_as_many_pages_as_one_program_takes() -> None:
    scores = torch.randn(1, 1, 8_192, generator=seeded(4))
    lens = torch.tensor([8_192 * 16], dtype=torch.int32)
    result = select_pages(scores, lens, max_selected=128, page_size=16)
    expected = scores[0, 0].topk(128).indices.sort().values
    assert result.pages[0, 0].tolist() == expected.tolist()
