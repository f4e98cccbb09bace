"""What an embedded engine runs with where nothing was said: chosen by its model and its machine."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from tts.engine.machine import Machine
from tts.engine.model_files import ModelFiles
from tts.errors import ModelError

# Tokens that the KV cache holds on a CPU, memory permitting; vLLM writes it once at the start, at
# 200 to 600 MB/s.
KV_TOKENS = 65_536
_CPU_CONTEXT = KV_TOKENS // 2  # at most, unless asked for: longer ones would need a larger cache
_SMALL_MODEL_BYTES = 256 * 2**20
# Completions in one step. On 2 busy cores a model of 0.5 B weights makes 57 tokens a second with 8
# of them, and between 87 and 125 with 32 to 256: what counts then is room in the cache for each.
_SEQUENCES, _CPU_SEQUENCES = 256, 128
_GIB = 2**30


def default_threads(files: ModelFiles | None, machine: Machine) -> int:
    """Take one thread for a small model, every core for a large one.

    Of 1.1 M weights a second thread gains 10 to 45 % on an idle machine, and loses as much, with
    one stream three quarters, when anything else wants the core.
    """
    return 1 if _is_small(files) else machine.cores


def fill_in(arguments: dict[str, Any], files: ModelFiles | None, *, on_cpu: bool) -> None:
    """Choose context and completions at once where they are None.

    A context of -1 is the model's own, or as much of it as the KV cache holds; vLLM fits it so for
    models that generate.

    Args:
        arguments: Of vLLM; they are changed.
        files: Of the model; None where nothing is known before it is loaded.
        on_cpu: The engine runs on the CPU.
    """
    if arguments["max_num_seqs"] is None:
        is_slow = on_cpu and not _is_small(files)
        arguments["max_num_seqs"] = _CPU_SEQUENCES if is_slow else _SEQUENCES
    if arguments["max_model_len"] is None:
        own = None if files is None else files.context_tokens
        if on_cpu and own is not None and own > _CPU_CONTEXT:
            arguments["max_model_len"] = _CPU_CONTEXT
        elif arguments["runner"] == "generate":
            arguments["max_model_len"] = -1


def check_memory(files: ModelFiles, machine: Machine, arguments: Mapping[str, Any]) -> None:
    """Refuse weights that the machine cannot hold.

    Args:
        files: Of the model.
        machine: This one.
        arguments: Of vLLM.

    Raises:
        ModelError: They are larger than memory; the message says by how much.
    """
    needed, dtype = _memory_of(files, machine, arguments)
    ways = int(arguments.get("tensor_parallel_size", 1))
    ways *= int(arguments.get("pipeline_parallel_size", 1))
    if machine.gpu_bytes:
        there, where = sum(sorted(machine.gpu_bytes)[-ways:]), f"{ways} GPU" + "s" * (ways > 1)
    else:
        there, where = machine.free_bytes, "free memory"
    offloaded = int(arguments.get("cpu_offload_gb", 0) or 0) * _GIB
    if needed > there + offloaded:
        raise ModelError(
            f"{files.folder} has {needed / _GIB:.1f} GiB of weights ({dtype}), more than the "
            f"{there / _GIB:.1f} GiB of {where} here: choose a smaller or a quantised model, or "
            "one on a server (MODEL@URL)"
        )


def settings_of(config: Any) -> dict[str, Any]:
    """Return what an engine runs with, given or chosen, by the names of its options.

    Call it in the engine's thread, which has the threads of the CPU kernels.

    Args:
        config: Of vLLM.
    """
    model, cache = config.model_config, config.cache_config
    settings = {
        "dtype": str(model.dtype).removeprefix("torch."),
        "max_model_len": model.max_model_len,
        "max_num_seqs": config.scheduler_config.max_num_seqs,
    }
    if cache.kv_cache_memory_bytes is not None:
        settings["kv_cache_memory_bytes"] = cache.kv_cache_memory_bytes
    else:
        settings["gpu_memory_utilization"] = cache.gpu_memory_utilization
    if config.device_config.device_type == "cpu":
        settings["cpu_threads"] = import_module("torch").get_num_threads()
    return settings


def describe(settings: Mapping[str, Any], files: ModelFiles | None) -> str:
    """Return in words what an engine runs with.

    Args:
        settings: As `settings_of` returns them.
        files: Of the model; None for a Hugging Face id.
    """
    parts = [settings["dtype"]]
    if files is not None and files.weight_bytes >= _GIB // 100:
        parts.append(f"{files.weight_bytes / _GIB:.2g} GiB of weights")
    if threads := settings.get("cpu_threads"):
        parts.append(f"{threads} thread" + "s" * (threads > 1))
    parts.append(f"context {settings['max_model_len']:,}")
    parts.append(f"{settings['max_num_seqs']} completions at once")
    if size := settings.get("kv_cache_memory_bytes"):
        parts.append(f"KV cache {size / _GIB:.2g} GiB")
    else:
        parts.append(f"{settings['gpu_memory_utilization']:.0%} of the GPU's memory")
    return ", ".join(parts)


def _memory_of(
    files: ModelFiles, machine: Machine, arguments: Mapping[str, Any]
) -> tuple[int, str]:
    """Return the bytes of the weights as they will be in memory, and their type."""
    stored = files.dtype or "bfloat16"
    asked = str(arguments.get("dtype") or "auto")
    if asked == "auto" and not machine.gpu_bytes and not machine.has_bfloat16:
        asked = "float32"
    used = stored if asked == "auto" else asked
    if files.is_quantized or arguments.get("quantization"):
        return files.weight_bytes, "quantised"
    return files.weight_bytes * _element_bytes(used) // _element_bytes(stored), used


def _element_bytes(dtype: str) -> int:
    return 4 if dtype in ("float32", "float") else 2


def _is_small(files: ModelFiles | None) -> bool:
    return files is not None and 0 < files.weight_bytes < _SMALL_MODEL_BYTES
