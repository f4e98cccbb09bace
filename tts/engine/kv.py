"""KV blocks as the embedded engine's block manager counts them.

Call these in the thread that steps the engine, or while it is idle; `usage` alone is safe from
anywhere.
"""

from collections.abc import Callable
from typing import Any

from tts.errors import EngineError


def usage(engine: Any) -> float:
    """Return the fraction of KV blocks that running requests hold."""
    return float(_manager(engine).usage)


def num_blocks(engine: Any) -> int:
    """Return the number of KV blocks of the cache, one of them vLLM's own null block."""
    return int(_manager(engine).block_pool.num_gpu_blocks)


def drop_prefixes(engine: Any) -> None:
    """Empty the prefix cache.

    Raises:
        EngineError: Requests hold blocks of it.
    """
    if not engine.reset_prefix_cache():
        raise EngineError("requests are running, so their KV blocks cannot be dropped")


def resident_blocks(engine: Any) -> frozenset[int]:
    """Return the ids of the KV blocks of all running requests; shared blocks count once."""
    manager = _manager(engine)
    running = engine.engine_core.engine_core.scheduler.running
    return frozenset(
        block
        for request in running
        for group in manager.get_block_ids(request.request_id)
        for block in group
    )


def watch_preemptions(engine: Any) -> Callable[[], int]:
    """Count from now on how often a running request loses its blocks to others; returns the count.

    vLLM counts them only with its statistics on, which cost time at every step.
    """
    scheduler = engine.engine_core.engine_core.scheduler
    preempt, count = scheduler._preempt_request, 0

    def counted(*arguments: Any, **options: Any) -> None:
        nonlocal count
        count += 1
        preempt(*arguments, **options)

    scheduler._preempt_request = counted
    return lambda: count


def _manager(engine: Any) -> Any:
    return engine.engine_core.engine_core.scheduler.kv_cache_manager
