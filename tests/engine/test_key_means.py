"""The mean keys that a CPU engine keeps beside its cache: exact, and as small as is said."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch: Any = pytest.importorskip("torch")

from tts.engine.key_means import KeyMeans, OpenPages  # noqa: E402
from tts.kernels import reference  # noqa: E402

PAGE, HEADS, SIZE = 32, 2, 16


def cache(num_pages: int, dtype: Any = torch.float32) -> Any:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(num_pages, HEADS, PAGE, 2 * SIZE, generator=generator).to(dtype)


def keys_at(kv: Any, slots: Sequence[int]) -> Any:
    """Return the keys [T, Hkv, D] of these slots; of padding, something else."""
    rows = [kv[slot // PAGE, :, slot % PAGE, :SIZE] for slot in slots]
    return torch.stack(rows) if rows else kv.new_zeros(0, HEADS, SIZE)


def feed(means: KeyMeans, pages: OpenPages, kv: Any, *steps: Sequence[int]) -> None:
    for slots in steps:
        means.add(keys_at(kv, slots), pages.plan(torch.tensor(slots, dtype=torch.int64)))


def expected_means(kv: Any, full: Sequence[int]) -> Any:
    summary = torch.zeros(len(kv), HEADS, SIZE, dtype=kv.dtype)
    ends = torch.tensor([page * PAGE + PAGE - 1 for page in full], dtype=torch.int64)
    reference.page_summary_update(kv, ends, summary)
    return summary.flatten(1)


def test_a_page_filled_in_three_steps_by_two_requests_at_once() -> None:
    kv = cache(4)
    means, pages = KeyMeans(kv, num_open=2), OpenPages(page_size=PAGE, num_rows=2)
    first, second = range(PAGE), range(2 * PAGE, 3 * PAGE)  # pages 0 and 2
    feed(means, pages, kv, [*first[:7], -1, *second[:30]], [*second[30:31], *first[7:8], -1])
    assert not means.means.any()  # both incomplete: nothing is known of them yet
    feed(means, pages, kv, [*first[8:], *second[31:], *range(PAGE, PAGE + 3)], [-1, -1])
    torch.testing.assert_close(means.means, expected_means(kv, [0, 2]), rtol=1e-6, atol=1e-6)


def test_a_page_of_an_ended_request_starts_anew() -> None:
    kv = cache(2)
    means, pages = KeyMeans(kv, num_open=2), OpenPages(page_size=PAGE, num_rows=2)
    feed(means, pages, kv, range(20), range(5), range(5, PAGE))
    torch.testing.assert_close(means.means, expected_means(kv, [0]), rtol=1e-6, atol=1e-6)


def test_the_oldest_page_is_forgotten_when_rows_run_out() -> None:
    kv = cache(5)
    means, pages = KeyMeans(kv, num_open=2), OpenPages(page_size=PAGE, num_rows=2)
    starts = [[page * PAGE] for page in range(4)]
    # Page 1 goes on in every step, so it stays, though pages 0, 2 and 3 are begun and left.
    rest = range(PAGE + 1, 2 * PAGE)
    feed(means, pages, kv, *starts[:2], [*starts[2], rest[0]], [*starts[3], rest[1]], rest[2:])
    torch.testing.assert_close(means.means, expected_means(kv, [1]), rtol=1e-6, atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 40)] * 3), max_size=8))
def test_means_do_not_depend_on_the_steps(taken: list[tuple[int, ...]]) -> None:
    # Three requests on pages (0, 5), (3,) and (4, 1, 2), fed in steps of any sizes.
    kv = cache(6)
    streams = [
        [page * PAGE + i for page in held for i in range(PAGE)][:length]
        for held, length in (((0, 5), 50), ((3,), 32), ((4, 1, 2), 70))
    ]
    means, pages = KeyMeans(kv, num_open=6), OpenPages(page_size=PAGE, num_rows=6)
    for sizes in [*taken, (70, 70, 70)]:
        step = [slot for stream, n in zip(streams, sizes, strict=True) for slot in stream[:n]]
        feed(means, pages, kv, step)
        streams = [stream[n:] for stream, n in zip(streams, sizes, strict=True)]
    torch.testing.assert_close(means.means, expected_means(kv, [0, 3, 4, 1]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_keys_one_by_one_are_rounded_once(dtype: Any) -> None:
    kv = cache(3, dtype)
    means, pages = KeyMeans(kv, num_open=2), OpenPages(page_size=PAGE, num_rows=2)
    feed(means, pages, kv, *([slot] for slot in range(2 * PAGE)))
    expected = expected_means(kv, [0, 1])
    assert means.means.dtype == dtype
    # The fp32 sum may fall on the other side of a rounding from the reference's fp64 one.
    unit = torch.finfo(dtype).eps
    torch.testing.assert_close(means.means, expected, rtol=unit, atol=0)
    assert float((means.means != expected).float().mean()) < 0.02


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_means_are_one_in_twice_the_page_of_the_cache(dtype: Any) -> None:
    kv = cache(64, dtype)
    means = KeyMeans(kv, num_open=2)
    # D values of N * 2 * D, in the same precision.
    assert means.means.nbytes * 2 * PAGE == kv.nbytes
