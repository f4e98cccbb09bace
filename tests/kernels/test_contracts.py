import pytest
import torch

from tts.kernels.budget import select_budget_pages
from tts.kernels.contracts import (
    check_cache,
    check_decode,
    check_same_device,
    next_power_of_two,
)


def kv(
    heads: int = 2, page: int = 16, size: int = 64, dtype: torch.dtype = torch.float16
) -> torch.Tensor:
    return torch.empty(3, heads, page, 2 * size, dtype=dtype)


@pytest.mark.parametrize(
    ("cache", "heads", "message"),
    [
        (kv(size=96), 4, "head size 96 is not supported"),
        (kv(dtype=torch.float64), 4, "keep it in float16 or bfloat16"),
        (kv(page=24), 4, "page size 24 is not a multiple of 16: choose block_size"),
        (kv(heads=3), 4, "4 query heads do not divide into 3 KV heads"),
        (kv(heads=1), 17, "17 query heads per KV head; supported are 1 to 16"),
        (kv()[0], 4, r"not \[num_pages, Hkv, N, 2 \* D\]"),
        (kv().transpose(2, 3), 4, "the last stride of kv is 128"),
    ],
)
def test_an_unsupported_cache_says_what_to_change(
    cache: torch.Tensor, heads: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        check_cache(cache, num_q_heads=heads)


def test_any_order_of_dimensions_in_memory_is_a_cache() -> None:
    shape = check_cache(torch.empty(3, 16, 2, 128).transpose(1, 2), num_q_heads=6)
    assert (shape.num_kv_heads, shape.group, shape.head_size, shape.page_size) == (2, 3, 64, 16)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"q": torch.empty(2, 4, 64)}, "they must agree"),
        ({"q": torch.empty(2, 4, 32, dtype=torch.float16)}, "they must agree"),
        ({"block_table": torch.zeros(3, 5, dtype=torch.int32)}, r"not \[2, pages\]"),
        ({"block_table": torch.zeros(2, 5)}, "block_table is torch.float32, not int32"),
        ({"seq_lens": torch.zeros(2)}, "seq_lens is torch.float32, not int32"),
        ({"seq_lens": torch.zeros(3, dtype=torch.int32)}, r"not \[2\]"),
    ],
)
def test_decode_arguments_are_checked(change: dict[str, torch.Tensor], message: str) -> None:
    arguments = {
        "q": torch.empty(2, 4, 64, dtype=torch.float16),
        "kv": kv(),
        "block_table": torch.zeros(2, 5, dtype=torch.int32),
        "seq_lens": torch.zeros(2, dtype=torch.int32),
    }
    check_decode(**arguments)
    with pytest.raises(ValueError, match=message):
        check_decode(**{**arguments, **change})


def test_one_device() -> None:
    with pytest.raises(ValueError, match="different devices: cpu, meta"):
        check_same_device(torch.empty(1), torch.empty(1, device="meta"))


def test_a_budget_counts_sink_and_local_pages() -> None:
    assert select_budget_pages(1_024, 16) == 64
    assert select_budget_pages(64, 16) == 4  # one sink, two local, one to choose


@pytest.mark.parametrize(
    ("budget", "options", "message"),
    [
        (48, {}, "used up by 1 sink and 2 local pages of 16 tokens: use at least 64"),
        (1_000, {}, "not whole pages of 16: use 1008"),
        (64, {"local_pages": 0}, "local_pages starts at 1"),
        (64, {"sink_pages": -1}, "sink_pages at 0"),
    ],
)
def test_a_budget_too_small_says_what_fits(
    budget: int, options: dict[str, int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        select_budget_pages(budget, 16, **options)


def test_next_power_of_two() -> None:
    assert [next_power_of_two(n) for n in (0, 1, 2, 3, 8, 9)] == [1, 1, 2, 4, 8, 16]
