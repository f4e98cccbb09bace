import pytest
import torch

from tests.kernels.helpers import Guarded, assert_attention_close, seeded
from tts.kernels import reference
from tts.kernels.contracts import Attention, Selection
from tts.kernels.decode import DecodeBuffers, build_decode_buffers, paged_decode, sparse_decode
from tts.kernels.workloads import DecodeInputs, DecodeWorkload, Layout, build_inputs

FP32, FP16, BF16 = torch.float32, torch.float16, torch.bfloat16
# 0, 1, N - 1, N, N + 1 tokens and a few pages, for N = 16.
EDGES = (0, 1, 15, 16, 17, 83)


def every_page(x: DecodeInputs, num_kv_heads: int) -> Selection:
    batch, max_pages = x.block_table.shape
    pages = torch.arange(max_pages, dtype=torch.int32).expand(batch, num_kv_heads, -1).clone()
    page_size = x.kv.shape[2]
    counts = ((x.seq_lens + page_size - 1) // page_size)[:, None].expand(-1, num_kv_heads)
    for b in range(batch):
        pages[b, :, int(counts[b, 0]) :] = -1
    return Selection(pages, counts.int().contiguous())


def some_pages(x: DecodeInputs, num_kv_heads: int, keep: int) -> Selection:
    """Other pages for each head, the last one always; what is past the count is garbage."""
    pages = torch.full((len(x.seq_lens), num_kv_heads, keep), 10_000, dtype=torch.int32)
    counts = torch.zeros(len(x.seq_lens), num_kv_heads, dtype=torch.int32)
    generator = seeded(3)
    for b, seq_len in enumerate(x.seq_lens.tolist()):
        last = -(-seq_len // x.kv.shape[2]) - 1
        for h in range(num_kv_heads):
            early = torch.randperm(max(last, 0), generator=generator)[: keep - 1].sort().values
            chosen = [*early.tolist(), last] if last >= 0 else []
            pages[b, h, : len(chosen)] = torch.tensor(chosen, dtype=torch.int32)
            counts[b, h] = len(chosen)
    return Selection(pages, counts)


@pytest.mark.parametrize(
    ("group", "head_size", "page_size", "dtype", "layout", "splits"),
    [
        (1, 64, 16, FP32, "LBHNC", 1),
        (2, 64, 16, FP16, "LBNHC", 2),
        (4, 128, 16, BF16, "LBHNC", 2),
        (3, 64, 32, FP32, "LBNHC", 4),
        (8, 64, 64, BF16, "LBHNC", 1),
        (16, 16, 128, FP16, "LBHNC", 2),
        (4, 32, 48, FP32, "LBNHC", 1),
    ],
)
def test_decode_is_the_reference(
    group: int, head_size: int, page_size: int, dtype: torch.dtype, layout: Layout, splits: int
) -> None:
    lens = tuple(n + (page_size - 16 if n > 1 else 0) for n in EDGES)
    workload = DecodeWorkload(lens, 2 * group, 2, head_size, page_size, dtype, layout)
    x = build_inputs(workload, max_pages=9)
    arguments = (x.q, x.kv, x.block_table, x.seq_lens)
    dense = paged_decode(
        *arguments, scale=workload.scale, buffers=build_decode_buffers(x.q, splits)
    )
    assert_attention_close(dense, reference.paged_decode(*arguments, scale=workload.scale))
    chosen = some_pages(x, 2, keep=2)
    sparse = sparse_decode(
        *arguments, chosen, scale=workload.scale, buffers=build_decode_buffers(x.q, splits)
    )
    expected = reference.sparse_decode(*arguments, chosen, scale=workload.scale)
    assert_attention_close(sparse, expected)


@pytest.mark.parametrize("group", range(1, 17))
def test_every_group_of_query_heads(group: int) -> None:
    workload = DecodeWorkload((19,), 2 * group, 2, 16, 16, FP32)
    x = build_inputs(workload)
    arguments = (x.q, x.kv, x.block_table, x.seq_lens)
    result = paged_decode(*arguments, scale=0.25, buffers=build_decode_buffers(x.q, 1))
    assert_attention_close(result, reference.paged_decode(*arguments, scale=0.25))


@pytest.fixture(scope="module")
def workload() -> DecodeWorkload:
    return DecodeWorkload((150, 33), 4, 2, 32, 16, FP32)


def test_all_pages_selected_is_dense(workload: DecodeWorkload) -> None:
    x = build_inputs(workload)
    arguments = (x.q, x.kv, x.block_table, x.seq_lens)
    buffers = build_decode_buffers(x.q, 1), build_decode_buffers(x.q, 1)
    dense = paged_decode(*arguments, scale=workload.scale, buffers=buffers[0])
    sparse = sparse_decode(*arguments, every_page(x, 2), scale=workload.scale, buffers=buffers[1])
    # The same tiles in the same order: the same bits.
    assert torch.equal(dense.out, sparse.out)
    assert torch.equal(dense.lse, sparse.lse)


def test_order_of_pages_does_not_matter(workload: DecodeWorkload) -> None:
    x = build_inputs(workload)
    arguments = (x.q, x.kv, x.block_table, x.seq_lens)
    chosen = some_pages(x, 2, keep=3)
    backwards = chosen.pages.clone()
    for b in range(2):
        count = int(chosen.counts[b, 0])
        backwards[b, :, :count] = chosen.pages[b, :, :count].flip(1)
    one = sparse_decode(*arguments, chosen, scale=0.2)
    two = sparse_decode(*arguments, Selection(backwards, chosen.counts), scale=0.2)
    assert_attention_close(one, two)


def test_physical_pages_do_not_matter(workload: DecodeWorkload) -> None:
    x = build_inputs(workload)
    moved = torch.randperm(x.kv.shape[0], generator=seeded(5))
    kv = torch.empty_like(x.kv)
    kv[moved] = x.kv
    one = paged_decode(x.q, x.kv, x.block_table, x.seq_lens, scale=0.2)
    two = paged_decode(x.q, kv, moved[x.block_table.long()].int(), x.seq_lens, scale=0.2)
    assert torch.equal(one.out, two.out)


def test_splits_agree(workload: DecodeWorkload) -> None:
    x = build_inputs(workload)
    arguments = (x.q, x.kv, x.block_table, x.seq_lens)
    results = [
        paged_decode(*arguments, scale=0.2, buffers=build_decode_buffers(x.q, splits))
        for splits in (1, 2, 4, 8)  # three tiles: with 8 splits some have nothing to read
    ]
    for result in results[1:]:
        assert_attention_close(result, results[0])


def test_query_cut_from_a_wider_tensor(workload: DecodeWorkload) -> None:
    x = build_inputs(workload)
    qkv = torch.full((2, 4 + 2 + 2, 32), float("nan"))
    qkv[:, :4] = x.q
    result = paged_decode(qkv[:, :4], x.kv, x.block_table, x.seq_lens, scale=0.2)
    expected = reference.paged_decode(x.q, x.kv, x.block_table, x.seq_lens, scale=0.2)
    assert_attention_close(result, expected)


@pytest.mark.parametrize("splits", [1, 2])
def test_nothing_is_written_elsewhere(workload: DecodeWorkload, splits: int) -> None:
    x = build_inputs(workload)
    guarded = Guarded()
    buffers = DecodeBuffers(
        Attention(guarded.empty(2, 4, 32, dtype=FP32), guarded.empty(2, 4, dtype=FP32)),
        Attention(
            guarded.empty(splits, 2, 4, 32, dtype=FP32), guarded.empty(splits, 2, 4, dtype=FP32)
        ),
        splits,
    )
    result = sparse_decode(
        x.q,
        x.kv,
        x.block_table,
        x.seq_lens,
        some_pages(x, 2, keep=3),
        scale=0.2,
        buffers=buffers,
    )
    guarded.check()
    assert result.out is buffers.result.out
    assert result.out.isfinite().all()


def test_no_requests() -> None:
    x = build_inputs(DecodeWorkload((5,), 4, 2, 32, 16, FP32))
    result = paged_decode(x.q[:0], x.kv, x.block_table[:0], x.seq_lens[:0], scale=0.2)
    assert result.out.shape == (0, 4, 32)
