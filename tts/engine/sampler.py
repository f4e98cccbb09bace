"""Seeded sampling for vLLM on a CPU. Imported by vLLM, by name, when an engine is built.

vLLM gives every seeded request a torch generator. On a CPU that costs several calls per sequence
and step, and a prompt that is prefilled in two steps kills the engine ("CPU Generator does not use
offset", vLLM 0.32). Here token t of a sequence draws its noise from a hash of (seed, t): nothing to
keep, nothing to roll back, and the same after a preemption.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from vllm.v1.sample.logits_processor import LogitsProcessor
from vllm.v1.sample.ops.topk_topp_sampler import apply_top_k_top_p

from tts.engine.batch_rows import follow
from tts.engine.translate import SEED_KEY

# SplitMix64 (Steele, Lea, Flood 2014, doi:10.1145/2660193.2660195).
_GAMMA = 0x9E3779B97F4A7C15
_MIX_1, _MIX_2 = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_MASK = 2**64 - 1


class SeededSampler(LogitsProcessor):  # type: ignore[misc]  # vLLM is untyped here
    """Follows which sequence is in which row of the batch, and draws with their seeds."""

    def __init__(self, vllm_config: Any, device: Any, is_pin_memory: bool) -> None:
        """As vLLM calls it."""
        self._rows: dict[int, tuple[int, list[int]]] = {}
        self._bases: NDArray[np.uint64] = np.empty(0, np.uint64)
        self._outputs: list[list[int]] = []

    def is_argmax_invariant(self) -> bool:
        """It never changes logits."""
        return True

    def apply(self, logits: Any) -> Any:
        """Return the logits as they are."""
        return logits

    def update_state(self, batch_update: Any) -> None:
        """Follow vLLM's changes to the rows."""
        if batch_update is None:
            return

        def begin(params: Any, output_ids: list[int]) -> tuple[int, list[int]]:
            return mix((params.extra_args or {}).get(SEED_KEY, 0)), output_ids

        follow(self._rows, batch_update, begin)
        order = [self._rows.get(index, (0, [])) for index in range(batch_update.batch_size)]
        self._bases = np.array([base for base, _ in order], np.uint64)
        self._outputs = [output_ids for _, output_ids in order]

    def sample(self, logits: Any, _generators: Any, k: Any, p: Any) -> tuple[Any, None]:
        """Draw one token per row by the Gumbel-max trick; in place of vLLM's `forward_cpu`."""
        logits = apply_top_k_top_p(logits, k, p)
        drawn = np.fromiter(map(len, self._outputs), np.uint64, len(self._outputs))
        seeds = (self._bases + drawn * np.uint64(_GAMMA)).view(np.int64)
        return torch.ops._C.fused_gumbel_argmax(logits.float(), torch.from_numpy(seeds)), None


def mix(seed: int) -> int:
    """Return 64 well-mixed bits of a seed, so that seeds in a row share nothing."""
    z = (seed + _GAMMA) & _MASK
    z = ((z ^ (z >> 30)) * _MIX_1) & _MASK
    z = ((z ^ (z >> 27)) * _MIX_2) & _MASK
    return z ^ (z >> 31)


def install(engine: Any) -> None:
    """Let a vLLM engine, built with this logits processor, sample with it."""
    runner = engine.model_executor.driver_worker.worker.model_runner
    processors = runner.input_batch.logitsprocs.argmax_invariant
    (ours,) = [p for p in processors if isinstance(p, SeededSampler)]
    runner.sampler.topk_topp_sampler.forward = ours.sample
