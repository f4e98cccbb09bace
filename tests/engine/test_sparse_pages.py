"""The selected block table, against the kernels' references."""

from typing import Any

import pytest

torch: Any = pytest.importorskip("torch")

from tts.engine.sparse_pages import plan_pages, select_table  # noqa: E402
from tts.kernels import reference  # noqa: E402

PAGE, HEADS, SIZE = 32, 2, 16
OPTIONS: dict[str, int] = {
    "page_size": PAGE,
    "num_kv_heads": HEADS,
    "sink_pages": 1,
    "local_pages": 2,
}


def random(*shape: int, seed: int = 0) -> Any:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("spread", [1, 50])  # pages in one range, and far apart
def test_selection_is_that_of_the_kernels(spread: int, dtype: Any) -> None:
    means = random(20 * spread, HEADS * SIZE).to(dtype)
    q = random(2, HEADS, 3, SIZE, seed=1)
    table = torch.randperm(20, generator=torch.Generator().manual_seed(2)).view(2, 10) * spread
    lens = torch.tensor([300, 131])  # 10 and 5 pages
    plan = plan_pages(table.int(), lens, keep=4, **OPTIONS)
    assert isinstance(plan.held, slice) == (spread == 1)
    actual = select_table(q, means, plan).view(2, HEADS, 4)

    scores = reference.page_scores(
        q.flatten(1, 2),
        means.float().view(-1, HEADS, SIZE),
        table.int(),
        lens.int(),
        page_size=PAGE,
        scale=1.0,
    )
    chosen = reference.select_pages(scores, lens.int(), max_selected=4, page_size=PAGE).pages
    expected = table[:, None].expand(2, HEADS, 10).gather(2, chosen.long()) * HEADS
    expected = expected + torch.arange(HEADS)[:, None]
    assert torch.equal(actual[..., -1], expected[..., -1].int())  # the last page last
    assert torch.equal(actual.sort(dim=2).values, expected.int().sort(dim=2).values)


def test_all_pages_are_kept_where_there_are_no_more() -> None:
    table = torch.tensor([[4, 0, 3, 7, 9]])  # 9 is past the context
    plan = plan_pages(table.int(), torch.tensor([4 * PAGE]), keep=4, **OPTIONS)
    rows = select_table(random(1, HEADS, 1, SIZE), random(8, HEADS * SIZE), plan).tolist()
    for head, row in enumerate(rows):
        assert sorted(row) == [page * HEADS + head for page in (0, 3, 4, 7)]
        assert row[-1] == 7 * HEADS + head


def test_shared_pages_are_scored_once() -> None:
    table = torch.arange(100).expand(8, 100).clone()
    table[:, 99] = torch.arange(1_000, 1_008)
    plan = plan_pages(table.int(), torch.full((8,), 3_200), keep=4, **OPTIONS)
    assert plan.held == slice(0, 1_008)  # within twice the 800 entries of the table
    far = plan_pages((table * 2).int(), torch.full((8,), 3_200), keep=4, **OPTIONS)
    assert len(far.held) == 99 + 8  # type: ignore[arg-type]
