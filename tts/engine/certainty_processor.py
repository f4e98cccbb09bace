"""Reads every token's distribution inside vLLM. Imported by vLLM, by name."""

import math
from typing import Any

import torch
from vllm.v1.sample.logits_processor import LogitsProcessor

from tts.engine.batch_rows import follow
from tts.engine.certainty import CERTAINTY_KEY, Readings

_NO_CHANCE = -200.0  # e to it is 0 in fp32


class CertaintyProcessor(LogitsProcessor):  # type: ignore[misc]  # vLLM is untyped here
    """Leaves the logits as they are, and notes how certain those of the rows that ask for it are.

    It sees the model's own distribution, before temperature and truncation.
    """

    def __init__(self, vllm_config: Any, device: Any, is_pin_memory: bool) -> None:
        """As vLLM calls it."""
        self._rows: dict[int, tuple[Readings, list[int]]] = {}

    def is_argmax_invariant(self) -> bool:
        """It changes nothing, but those that say so see the logits divided by the temperature."""
        return False

    def update_state(self, batch_update: Any) -> None:
        """Follow vLLM's changes to the rows."""

        def begin(params: Any, output_ids: list[int]) -> tuple[Readings, list[int]] | None:
            readings = (params.extra_args or {}).get(CERTAINTY_KEY)
            return None if readings is None else (readings, output_ids)

        follow(self._rows, batch_update, begin)

    def apply(self, logits: Any) -> Any:
        """Return the logits, [rows, vocabulary] in fp32, as they are."""
        if self._rows:
            rows = sorted(self._rows)
            asked = logits if len(rows) == len(logits) else logits[rows]
            for row, (entropy, certainty) in zip(rows, measure(asked).tolist(), strict=True):
                readings, output_ids = self._rows[row]
                readings.put(len(output_ids), entropy, certainty)
        return logits


def measure(logits: torch.Tensor) -> torch.Tensor:
    """Return the entropy and the self-certainty of distributions, in nats.

    With p the softmax of a row and V its length, H = -sum p log p, and the self-certainty is
    -(1/V) sum log(V p), the divergence of the uniform distribution from p (Kang et al. 2025,
    arXiv:2502.18581).

    Args:
        logits: [R, V] fp32.

    Returns:
        [R, 2] fp32.
    """
    size = 1 if logits.is_cpu else len(logits)
    # A row of a large vocabulary fills a CPU's cache: five passes over one row at a time cost a
    # sixth of the same passes over all rows.
    starts = range(0, len(logits), size)
    return torch.cat([_measure(logits[start : start + size]) for start in starts])


def _measure(logits: torch.Tensor) -> torch.Tensor:
    shifted = logits - logits.amax(dim=-1, keepdim=True)
    mean = shifted.mean(dim=-1)
    chances = shifted.clamp_(min=_NO_CHANCE).exp()  # 0 times a forbidden token's -inf is no number
    total = chances.sum(dim=-1)
    entropies = total.log() - torch.linalg.vecdot(chances, shifted) / total
    certainties = total.log() - mean - math.log(logits.shape[-1])
    return torch.stack((entropies, certainties), dim=-1).clamp(min=0.0)  # rounding goes below 0
