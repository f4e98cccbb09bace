"""How many programs a decode step is cut into: from shapes only, never from lengths on the device.

A captured CUDA graph replays its grids, so these must hold for every step of one shape.
"""

import functools

import torch

from tts.kernels.contracts import next_power_of_two

# The H200's; used where there is no card to ask.
DEFAULT_NUM_SMS = 132
# Each split writes and reads back 4 * D bytes per head in fp32: below 128 tokens that is a fair
# part of what it read, and above 32 splits the merge shows.
MIN_SPLIT_TOKENS = 128
MAX_SPARSE_SPLITS = 16
MAX_DENSE_SPLITS = 32


def num_sms(device: torch.device) -> int:
    """Return the multiprocessors of a CUDA device; the H200's for any other."""
    return _num_sms(device.index or 0) if device.type == "cuda" else DEFAULT_NUM_SMS


@functools.cache
def _num_sms(index: int) -> int:
    return int(torch.cuda.get_device_properties(index).multi_processor_count)


def choose_splits(
    batch: int, num_kv_heads: int, num_tokens: int, *, num_sms: int, max_splits: int
) -> int:
    """Return S, the programs that share one request and KV head: a power of two.

    S = clamp(next_pow2(ceil(2 * SMs / (B * Hkv))), 1, min(max_splits, tokens // 128))

    Two programs per multiprocessor hide the latency of the page look-ups. Depends on shapes only,
    never on lengths in device memory, so a captured CUDA graph stays right.

    Args:
        batch: B as launched, padding included.
        num_kv_heads: Hkv.
        num_tokens: Most tokens that one request attends to: the budget, or the model's context.
        num_sms: Multiprocessors of the card.
        max_splits: Cap of S.
    """
    wanted = next_power_of_two(-(-2 * num_sms // max(1, batch * num_kv_heads)))
    useful = max(1, min(max_splits, num_tokens // MIN_SPLIT_TOKENS))
    return min(wanted, 1 << useful.bit_length() - 1)
