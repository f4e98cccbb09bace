"""The reflection schedule inside vLLM. Imported by vLLM, by name, when an engine is built."""

from typing import Any

from vllm.v1.sample.logits_processor import LogitsProcessor

from tts.engine.batch_rows import follow
from tts.engine.reflection import EXTRA_KEY, Bias


class ReflectionProcessor(LogitsProcessor):  # type: ignore[misc]  # vLLM is untyped here
    """Adds each sequence's bias to the logits of its reflection tokens; others are left alone."""

    def __init__(self, vllm_config: Any, device: Any, is_pin_memory: bool) -> None:
        """As vLLM calls it."""
        self._rows: dict[int, Bias] = {}

    def is_argmax_invariant(self) -> bool:
        """It can change the likeliest token."""
        return False

    def update_state(self, batch_update: Any) -> None:
        """Follow vLLM's changes to the rows."""

        def begin(params: Any, output_ids: list[int]) -> Bias | None:
            schedule = (params.extra_args or {}).get(EXTRA_KEY)
            return None if schedule is None else Bias(schedule, output_ids)

        follow(self._rows, batch_update, begin)

    def apply(self, logits: Any) -> Any:
        """Return the logits, [rows, vocabulary], changed in place."""
        for row, bias in self._rows.items():
            if added := bias.next():
                logits[row, bias.token_ids] += added
        return logits
