"""Block-sparse decode inside vLLM: what to keep, and how vLLM learns of it.

`install` replaces the attention backend of this process by one that stays the stock one for every
engine without a `SparseConfig` in its `additional_config`. vLLM's worker processes load `register`
through the entry point group `vllm.general_plugins`; it does nothing unless TTS_SPARSE_ATTENTION=1,
and importing this module loads neither torch nor vLLM.
"""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import Any

from tts.errors import CapabilityError

_KEY = "tts_sparse"
_SWITCH = "TTS_SPARSE_ATTENTION"
_CPU_BACKEND = "tts.engine.sparse_cpu.SparseBackend"


@dataclass(frozen=True, slots=True)
class SparseConfig:
    """Which KV pages a decode step attends to; a page is one KV block of the engine.

    Attributes:
        budget: Tokens kept per KV head, sink and local pages included; whole pages.
        sink_pages: Pages kept at the start of the context.
        local_pages: Pages kept at its end, the incomplete one included; at least 1.
        dense_layers: First layers that attend to everything.
        min_context: Requests up to this many tokens stay dense; None is the larger of twice the
            budget and 4096, below which selection costs more than it saves on a CPU.
    """

    budget: int
    sink_pages: int = 1
    local_pages: int = 2
    dense_layers: int = 1
    min_context: int | None = None

    @property
    def sparse_above(self) -> int:
        """Context tokens above which a request is sparse."""
        return max(2 * self.budget, 4_096) if self.min_context is None else self.min_context

    def to_vllm(self) -> dict[str, Any]:
        """Return the entry of vLLM's `additional_config`."""
        return {_KEY: asdict(self)}

    @staticmethod
    def from_vllm(additional_config: object) -> "SparseConfig | None":
        """Return the configuration in vLLM's `additional_config`, if there is one."""
        if not isinstance(additional_config, Mapping) or _KEY not in additional_config:
            return None
        return SparseConfig(**additional_config[_KEY])


def install() -> None:
    """Let engines of this process be sparse, if their configuration asks for it.

    Call before the engine is built. Calling again changes nothing.

    Raises:
        CapabilityError: vLLM runs on something else than a CPU.
    """
    platform: Any = import_module("vllm.platforms").current_platform
    if not platform.is_cpu():
        raise CapabilityError(
            "sparse decode in vLLM is available on a CPU only: leave `sparse` out"
        )
    registry: Any = import_module("vllm.v1.attention.backends.registry")
    registry.register_backend(registry.AttentionBackendEnum.CPU_ATTN, _CPU_BACKEND)
    # vLLM remembers the class that it chose for an earlier engine of this process.
    import_module("vllm.v1.attention.selector")._cached_get_attn_backend.cache_clear()


def register() -> None:
    """Entry point of vLLM's plug-ins: `install` where TTS_SPARSE_ATTENTION=1, else nothing."""
    if os.environ.get(_SWITCH) == "1":
        install()
