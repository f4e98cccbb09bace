"""Figures of a server, as Prometheus reads them at `/metrics`."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from tts.types import Result, Usage

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


class Meters:
    """Counts requests and what they cost; in a registry of its own.

    Args:
        kv_usage: Part of the KV cache that running requests hold; None where nobody can tell.
    """

    def __init__(self, kv_usage: Callable[[], float | None]) -> None:
        registry = self._registry = CollectorRegistry()
        self.requests = Counter(
            "tts_requests", "Requests by model and status.", ["model", "status"], registry=registry
        )
        self.in_flight = Gauge("tts_requests_in_flight", "Requests under way.", registry=registry)
        self._tokens = Counter(
            "tts_generated_tokens",
            "Generated tokens: of what was returned or led to it, or wasted.",
            ["kind"],
            registry=registry,
        )
        self._prompt = Counter("tts_prompt_tokens", "Prompt tokens.", ["kind"], registry=registry)
        self._stopped = Counter(
            "tts_stopped_early", "Requests whose sampling a rule ended.", registry=registry
        )
        self._aborted = Counter(
            "tts_aborted_samples", "Samples ended before they had finished.", registry=registry
        )
        self.hung_up = Counter(
            "tts_hung_up", "Requests whose client left before the answer.", registry=registry
        )
        self.seconds = Histogram(
            "tts_request_seconds",
            "Seconds from a request to its answer.",
            ["model"],
            buckets=_SECONDS,
            registry=registry,
        )
        kv = Gauge("tts_kv_usage", "Part of the KV cache that requests hold.", registry=registry)
        kv.set_function(lambda: kv_usage() or 0.0)

    def count(self, result: Result) -> None:
        """Add what one answer cost."""
        usage = result.usage
        wasted = usage.wasted_tokens or 0
        self._tokens.labels("useful").inc(max(0, (usage.generated_tokens or 0) - wasted))
        self._tokens.labels("wasted").inc(max(0, wasted))
        cached = usage.cached_tokens or 0
        self._prompt.labels("cached").inc(cached)
        self._prompt.labels("computed").inc(max(0, (usage.prompt_tokens or 0) - cached))
        self._stopped.inc(bool(result.facts.stopped_by))
        self._aborted.inc(result.facts.aborted)

    def count_lost(self, usage: Usage) -> None:
        """Add what a request had cost whose client has left."""
        self.hung_up.inc()
        self._tokens.labels("wasted").inc(max(0, usage.generated_tokens or 0))

    def page(self) -> bytes:
        """Return all figures in Prometheus' text format."""
        return generate_latest(self._registry)
