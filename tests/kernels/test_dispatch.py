import dataclasses
from typing import Any

import pytest
import torch

from tts.kernels.dispatch import (
    Card,
    DecodeStep,
    SparsePolicy,
    choose_decode,
    dense_bytes,
    sparse_bytes,
    tree_bytes,
    unsupported_reason,
)
from tts.kernels.occupancy import choose_splits

# Qwen3-8B's heads: 4096 bytes of K and V per token and layer.
STEP = DecodeStep(16, 32_768, 32, 8, 128, 16)
POLICY = SparsePolicy(2_048)


def test_bytes_of_the_roofline() -> None:
    assert dense_bytes(STEP) == 4_096 * 16 * 32_768
    # 4096 B K + 2048 B L / N (mean) + 64 B L / N (scores written and read)
    pages = 16 * 32_768 // 16
    assert sparse_bytes(STEP, POLICY) == 4_096 * 16 * 2_048 + (2_048 + 64) * pages
    minmax = dataclasses.replace(POLICY, summary="minmax")
    assert sparse_bytes(STEP, minmax) == 4_096 * 16 * 2_048 + (4_096 + 64) * pages
    shared = dataclasses.replace(STEP, max_context=5_120, shared_prefix=4_096)
    parts = 8 * 16 * 32 * 129  # written and read: 4 bytes of D + 1 values per head
    assert tree_bytes(shared) == 4_096 * (4_096 + 16 * 1_024) + parts


def test_a_long_context_is_sparse_and_says_why() -> None:
    choice = choose_decode(STEP, policy=POLICY)
    assert choice.kernel == "sparse"
    assert choice.reason.startswith("2048 of 32768 tokens: ")
    # The roofline's 10.6 for this shape, less five launches of 2.5 us.
    assert 8.0 < choice.dense_seconds / choice.seconds < 10.6


@pytest.mark.parametrize(
    ("change", "policy", "kernel", "reason"),
    [
        ({}, None, "dense", "no KV budget was set"),
        ({"max_context": 4_096}, POLICY, "dense", "at most twice the budget"),
        ({"batch": 1, "max_context": 8_192}, POLICY, "dense", "less than 2x"),
        ({"max_context": 200_000}, POLICY, "dense", "set a larger block_size"),
        ({"shared_prefix": 16_384}, POLICY, "tree", "16 branches read 16384 shared tokens once"),
        ({"shared_prefix": 0}, POLICY, "sparse", "2048 of 32768"),
        ({"head_size": 80}, POLICY, "reference", "head size 80: supported are"),
        ({"dtype": torch.float8_e4m3fn}, POLICY, "reference", "unquantised KV cache"),
        ({"num_q_heads": 36}, POLICY, "reference", "groups of 1 to 16"),
        ({"page_size": 8}, None, "reference", "set block_size to a multiple of 16"),
    ],
)
def test_choices(
    change: dict[str, Any], policy: SparsePolicy | None, kernel: str, reason: str
) -> None:
    choice = choose_decode(dataclasses.replace(STEP, **change), policy=policy)
    assert choice.kernel == kernel
    assert reason in choice.reason


def test_without_kernels_plain_torch() -> None:
    choice = choose_decode(STEP, policy=POLICY, has_kernels=False)
    assert (choice.kernel, choice.reason) == ("reference", "Triton kernels need a CUDA device")


def test_a_slow_start_keeps_short_steps_dense() -> None:
    step = dataclasses.replace(STEP, batch=2)
    assert choose_decode(step, policy=POLICY).kernel == "sparse"
    slow = Card(launch_seconds=1e-4)
    assert choose_decode(step, policy=POLICY, card=slow).kernel == "dense"


def test_a_bad_budget_is_refused() -> None:
    with pytest.raises(ValueError, match="use at least 64"):
        choose_decode(STEP, policy=SparsePolicy(48))
    assert unsupported_reason(STEP) is None


@pytest.mark.parametrize(
    ("batch", "tokens", "max_splits", "expected"),
    [
        (1, 2_048, 16, 16),  # 264 / 8 = 33 programs wanted each, 16 allowed
        (4, 32_768, 32, 16),  # ceil(264 / 32) = 9, rounded up to 16
        (16, 2_048, 16, 4),  # ceil(264 / 128) = 3, rounded up to 4
        (33, 32_768, 32, 1),  # 264 programs already
        (1, 600, 16, 4),  # 600 / 128 = 4 splits worth having
        (1, 50, 16, 1),
        (0, 2_048, 16, 16),
    ],
)
def test_splits(batch: int, tokens: int, max_splits: int, expected: int) -> None:
    assert choose_splits(batch, 8, tokens, num_sms=132, max_splits=max_splits) == expected
