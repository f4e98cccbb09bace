"""How vLLM learns of block-sparse and shared-prefix decode, and of small KV blocks on a CPU.

`install` registers an attention backend that stays the stock one for every engine without our
entries in its `additional_config`: on a CPU it takes the place of the only backend there, and
allows KV blocks of 16 tokens besides; on CUDA it is the one named CUSTOM. vLLM's worker processes
load `register` through the entry point group `vllm.general_plugins`; it does nothing unless
TTS_SPARSE_ATTENTION=1, and importing this module loads neither torch nor vLLM.
"""

import os
from importlib import import_module
from typing import Any

from tts.errors import CapabilityError

SWITCH = "TTS_SPARSE_ATTENTION"
CPU_BLOCK_MULTIPLE = 16  # the operator takes it, though vLLM's own backend asks for 32
_CPU_BACKEND = "tts.engine.sparse_cpu.SparseBackend"
_CUDA_BACKEND = "tts.engine.sparse_cuda.SparseBackend"


def install() -> str | None:
    """Let engines of this process be sparse or share prefixes, if their configuration asks for it.

    Call before the engine is built. Calling again changes nothing.

    Returns:
        The `attention_backend` that the engine must ask for; None where there is no choice.

    Raises:
        CapabilityError: vLLM runs on neither a CPU nor CUDA.
    """
    platform: Any = import_module("vllm.platforms").current_platform
    registry: Any = import_module("vllm.v1.attention.backends.registry")
    backends = registry.AttentionBackendEnum
    if platform.is_cpu():
        registry.register_backend(backends.CPU_ATTN, _CPU_BACKEND)
    elif platform.is_cuda():
        registry.register_backend(backends.CUSTOM, _CUDA_BACKEND)
    else:
        raise CapabilityError(
            "sparse and shared-prefix decode need a CPU or an NVIDIA GPU: leave `sparse` and "
            "`shared_prefix` out"
        )
    # vLLM remembers the class that it chose for an earlier engine of this process.
    import_module("vllm.v1.attention.selector")._cached_get_attn_backend.cache_clear()
    return None if platform.is_cpu() else backends.CUSTOM.name


def check_shared_prefix() -> None:
    """Check that attention can read a shared prefix once here.

    Raises:
        CapabilityError: vLLM runs on a CPU.
    """
    if import_module("vllm.platforms").current_platform.is_cpu():
        raise CapabilityError(
            "shared_prefix=True needs an NVIDIA GPU: vLLM's CPU operator returns no log-sum-exp, "
            "without which attention over a prefix cannot be joined with the rest. Leave it out; "
            "branches share the memory of their prefix anyway"
        )


def register() -> None:
    """Entry point of vLLM's plug-ins: `install` where TTS_SPARSE_ATTENTION=1, else nothing."""
    if os.environ.get(SWITCH) == "1":
        install()
