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

from tts.engine import nucleus
from tts.engine.batch_rows import follow
from tts.engine.translate import SEED_KEY


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
            return (params.extra_args or {}).get(SEED_KEY, 0), output_ids

        follow(self._rows, batch_update, begin)
        order = [self._rows.get(index, (0, [])) for index in range(batch_update.batch_size)]
        self._bases = nucleus.mix(np.array([seed for seed, _ in order], np.uint64))
        self._outputs = [output_ids for _, output_ids in order]

    def sample(self, logits: Any, _generators: Any, k: Any, p: Any) -> tuple[Any, None]:
        """Draw one token per row by the Gumbel-max trick; in place of vLLM's `forward_cpu`."""
        drawn = np.fromiter(map(len, self._outputs), np.uint64, len(self._outputs))
        seeds = self._bases + drawn * nucleus.GAMMA
        logits = logits.float()
        rows, vocabulary = logits.shape
        k = torch.full((rows,), vocabulary) if k is None else k
        p = torch.ones(rows) if p is None else p
        is_cut = (k < vocabulary) | (p < 1.0)
        if is_cut.all():
            return nucleus.draw(logits, k, p, seeds), None
        tokens = torch.ops._C.fused_gumbel_argmax(logits, torch.from_numpy(seeds.view(np.int64)))
        if is_cut.any():
            tokens[is_cut] = nucleus.draw(
                logits[is_cut], k[is_cut], p[is_cut], seeds[is_cut.numpy()]
            )
        return tokens, None


def install(engine: Any) -> None:
    """Let a vLLM engine, built with this logits processor, sample with it."""
    runner = engine.model_executor.driver_worker.worker.model_runner
    processors = runner.input_batch.logitsprocs.argmax_invariant
    (ours,) = [p for p in processors if isinstance(p, SeededSampler)]
    runner.sampler.topk_topp_sampler.forward = ours.sample
