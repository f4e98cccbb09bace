"""What was spent."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Usage:
    """What was spent. None means unknown, and a sum with an unknown part is unknown.

    Attributes:
        prompt_tokens: Tokens sent, cache hits included.
        scored_tokens: The part of `prompt_tokens` that reward models ran over: no cached ones.
        checking_tokens: The part of `generated_tokens` that judged others' work, or recalled facts
            for it; never wasted.
        cached_tokens: The part of `prompt_tokens` whose KV blocks were already resident.
        generated_tokens: Tokens sampled, those of pruned and cancelled trajectories included.
        wasted_tokens: The part of `generated_tokens` whose trajectory reached no sink.
        calls: Sequences asked for; one request for n completions counts n.
        reused_tokens: The part of `generated_tokens` that came from the run's log, not the engine.
        kv_block_seconds: KV blocks held, integrated over time.
        peak_kv_blocks: Most KV blocks held at once; sums take the larger.
        flops: Predicted floating-point operations.
        seconds: Wall time of one call, summed over calls; of a result, its whole wall time.
        usd: Dollars.
        kv_bytes: KV cache that decoding read, page summaries included, predicted from the lengths.
        dense_kv_bytes: What it would have read if attention had left nothing out.
        estimated_tokens: The part of `generated_tokens` that nobody counted: estimated from what
            came of a call before it was cut, or taken to be all that the call might generate.
        estimated_calls: The part of `calls` for which `generated_tokens` holds an estimate.
        sequential_tokens: Of a result: generated tokens on the longest chain of samples of which
            each was drawn in view of the one before it.
        latency_tokens: Of a result: generated tokens one after the other, each call after all that
            had come when it was asked for; so decisions to draw again count too.
    """

    prompt_tokens: int | None = 0
    cached_tokens: int | None = 0
    generated_tokens: int | None = 0
    wasted_tokens: int | None = 0
    calls: int = 0
    reused_tokens: int = 0
    kv_block_seconds: float | None = 0.0
    peak_kv_blocks: int | None = 0
    flops: float | None = 0.0
    seconds: float | None = 0.0
    usd: float | None = 0.0
    scored_tokens: int | None = 0
    checking_tokens: int | None = 0
    kv_bytes: int | None = 0
    dense_kv_bytes: int | None = 0
    estimated_tokens: int = 0
    estimated_calls: int = 0
    sequential_tokens: int | None = 0
    latency_tokens: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        """Add field by field; as `sum_usage`."""
        return sum_usage((self, other))

    @classmethod
    def unknown(cls, calls: int = 1) -> Self:
        """Return the usage of calls of which only their number is known; no calls cost nothing."""
        if not calls:
            return cls()
        return cls.elsewhere(
            prompt_tokens=None,
            cached_tokens=None,
            generated_tokens=None,
            calls=calls,
            seconds=None,
            usd=None,
        )

    @classmethod
    def elsewhere(cls, **known: Any) -> Self:
        """Return the usage of calls whose KV cache and operations nobody sees from here.

        Args:
            known: The other fields.
        """
        return cls(
            kv_block_seconds=None,
            peak_kv_blocks=None,
            flops=None,
            kv_bytes=None,
            dense_kv_bytes=None,
            **known,
        )


_LARGEST = ("peak_kv_blocks", "sequential_tokens", "latency_tokens")  # of parts, not their sum
_FIELDS = tuple(field.name for field in fields(Usage))
_values = attrgetter(*_FIELDS)


def sum_usage(parts: Iterable[Usage]) -> Usage:
    """Add usages field by field; none add to zero.

    Of `peak_kv_blocks`, `sequential_tokens` and `latency_tokens` the largest is taken.
    """
    columns = list(zip(*map(_values, parts), strict=True))
    if not columns:
        return Usage()
    return Usage(*map(_total, _FIELDS, columns))


def _total(name: str, values: tuple[Any, ...]) -> Any:
    if None in values:
        return None
    return max(values) if name in _LARGEST else sum(values)
