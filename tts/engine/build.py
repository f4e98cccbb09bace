"""Making vLLM's engine: find the model, choose what the machine wants, explain what fails."""

import logging
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from tts.engine import certainty, host, reflection, vllm_plugin
from tts.engine.choices import (
    KV_TOKENS,
    check_memory,
    default_threads,
    describe,
    fill_in,
    settings_of,
)
from tts.engine.hub import check_hub_model
from tts.engine.machine import Machine
from tts.engine.model_files import ModelFiles, read_model_files, refuse_path
from tts.engine.reward_format import register_models
from tts.engine.sparse_config import SparseConfig, wants_shared_prefix
from tts.errors import EngineError, InputError, ModelError, TTSError

_BUNDLED = "bundled:"
_CPU_BLOCK_SIZE = 32  # what vLLM's CPU attention takes by itself, or a multiple
_SAMPLER = "tts.engine.sampler:SeededSampler"
# Its lines are for people who wait for an engine; the command line shows them.
starting = logging.getLogger("tts.starting")


def resolve_model(model: str) -> Path | None:
    """Return the folder of a model, or None for a Hugging Face id.

    Raises:
        ModelError: A path that is no folder, or an unknown bundled name.
    """
    if model.startswith(_BUNDLED):
        folder: Path = import_module("tts.bundled").resolve(model.removeprefix(_BUNDLED))
        return folder
    path = Path(model).expanduser()
    if path.is_dir():
        return path
    is_path = model.startswith(("/", ".", "~")) or model.count("/") > 1 or path.suffix == ".gguf"
    if path.exists() or is_path:
        raise refuse_path(model)
    return None


def find_model(model: str, options: Mapping[str, Any]) -> ModelFiles | None:
    """Look at a model before anything is loaded; returns None for a Hugging Face id.

    Args:
        model: "bundled:NAME", a folder, or an id.
        options: Of its engine.

    Raises:
        ModelError: There is no whole model; the message says what is missing, and what to do.
    """
    folder = resolve_model(model)
    return None if folder is None else read_model_files(folder, options)


def build_engine(
    arguments: Mapping[str, Any],
    files: ModelFiles | None,
    *,
    kv_cache_memory_bytes: int | None,
    cpu_threads: int | None,
) -> Any:
    """Build vLLM's engine in the calling thread, which must also step it.

    Args:
        arguments: Of vLLM; what is None is chosen by model and machine.
        files: Of the model; None for a Hugging Face id.
        kv_cache_memory_bytes: Size of the KV cache; None chooses it.
        cpu_threads: Of the CPU kernels; None chooses them.

    Raises:
        ModelError: The model cannot be found or loaded, or its weights are larger than memory.
        EngineError: The engine cannot start, with what to change.
        CapabilityError: Sparse or shared-prefix decode cannot serve this model or machine.
        InputError: The block size does not suit the machine or the KV budget.
        MissingExtraError: vLLM is not installed.
    """
    machine = Machine.this()
    chosen = {**arguments, "kv_cache_memory_bytes": kv_cache_memory_bytes}
    if files is None:
        check_hub_model(str(chosen["model"]), chosen.get("revision"))
    else:
        check_memory(files, machine, chosen)
    host.load_vllm()
    register_models()
    on_cpu = bool(import_module("vllm.platforms").current_platform.is_cpu())
    if on_cpu:
        host.set_threads(cpu_threads or default_threads(files, machine))
        _choose_for_cpu(chosen, machine)
    fill_in(chosen, files, on_cpu=on_cpu)
    if _takes_processors(chosen):
        # In this order: the first reads what the second changes.
        ours = certainty.PROCESSOR, reflection.PROCESSOR
        chosen["logits_processors"] = [*chosen.get("logits_processors", ()), *ours]
    if chosen["runner"] == "pooling":
        _choose_pooler(chosen)
    _choose_attention(chosen, on_cpu=on_cpu)
    try:
        with host.building(compiles=not (on_cpu and chosen["enforce_eager"])):
            return _build(chosen, files, on_cpu=on_cpu)
    except TTSError:
        raise
    except Exception as error:
        raise _explain(error, str(chosen["model"])) from error


def _build(arguments: dict[str, Any], files: ModelFiles | None, *, on_cpu: bool) -> Any:
    config = import_module("vllm.engine.arg_utils").EngineArgs(**arguments).create_engine_config()
    if on_cpu and arguments["kv_cache_memory_bytes"] is None:
        # vLLM's own default takes nearly all the memory of the machine.
        config.cache_config.kv_cache_memory_bytes = _default_kv_bytes(config)
    model = config.model_config.model
    starting.info("loading %s: %s", model, describe(settings_of(config), files))
    executor = import_module("vllm.v1.executor").Executor.get_class(config)
    engine = import_module("vllm.v1.engine.llm_engine").LLMEngine(
        vllm_config=config, executor_class=executor, log_stats=False, multiprocess_mode=False
    )
    if has_own_sampler(engine):
        import_module("tts.engine.sampler").install(engine)
    return engine


def _choose_for_cpu(arguments: dict[str, Any], machine: Machine) -> None:
    arguments.setdefault("enforce_eager", True)
    if arguments["block_size"] is None:
        arguments["block_size"] = _CPU_BLOCK_SIZE
    if arguments["block_size"] % vllm_plugin.CPU_BLOCK_MULTIPLE:
        raise InputError(
            f"KV blocks of {arguments['block_size']} tokens: CPU attention takes multiples of "
            f"{vllm_plugin.CPU_BLOCK_MULTIPLE}"
        )
    if arguments["dtype"] == "auto" and not machine.has_bfloat16:
        arguments["dtype"] = "float32"
    if _takes_processors(arguments):
        arguments["logits_processors"] = [*arguments.get("logits_processors", ()), _SAMPLER]


def _choose_pooler(arguments: dict[str, Any]) -> None:
    """Say how rows of tokens become what is asked for.

    Every token's row may be asked for, so that prefixes may stay cached: step pooling forbids it.
    Of a model that generates, a text's vector is the mean of its hidden states, where vLLM would
    take the last one, which says what comes next; embedding models say themselves what theirs is.
    """
    if "pooler_config" in arguments:
        return
    chosen = {"tok_pooling_type": "ALL"}
    config = import_module("vllm.engine.arg_utils").EngineArgs(**arguments).create_model_config()
    says_itself = import_module("vllm.transformers_utils.config").get_pooling_config(
        config.model, config.revision
    )
    if config.registry.is_text_generation_model(config.architectures, config) and not says_itself:
        chosen["seq_pooling_type"] = "MEAN"
    arguments["pooler_config"] = import_module("vllm.config.pooler").PoolerConfig(**chosen)


def choose_block_size(block_size: int | None, sparse: SparseConfig | None) -> int | None:
    """Return the KV block size: as asked for, else the page size of sparse decode.

    Raises:
        InputError: Both are given and differ.
    """
    page_size = None if sparse is None else sparse.page_size
    if None not in (block_size, page_size) and block_size != page_size:
        raise InputError(
            f"block_size={block_size} and page={page_size} differ: a page is a KV block, so give "
            "one of them"
        )
    return block_size or page_size


def _choose_attention(arguments: dict[str, Any], *, on_cpu: bool) -> None:
    """Register our attention where the engine needs it, and check what needs no model."""
    config, block_size = arguments["additional_config"], arguments["block_size"]
    sparse = SparseConfig.from_vllm(config)
    has_small_blocks = on_cpu and block_size % _CPU_BLOCK_SIZE != 0
    if wants_shared_prefix(config):
        vllm_plugin.check_shared_prefix()
    elif sparse is None and not has_small_blocks:
        return
    if sparse is not None and block_size is not None:
        sparse.num_pages(block_size)
    backend = vllm_plugin.install()
    if backend is not None:
        arguments["attention_backend"] = backend


def _takes_processors(arguments: Mapping[str, Any]) -> bool:
    """Whether vLLM lets us change logits: not of pooling models, nor with speculative decoding."""
    return arguments["runner"] == "generate" and not arguments.get("speculative_config")


def reads_logits(arguments: Mapping[str, Any]) -> bool:
    """Whether our logits processors run, and in this process: not in workers of their own."""
    return _takes_processors(arguments) and _runs_here(arguments)


def reads_states(arguments: Mapping[str, Any]) -> bool:
    """Whether hidden states can be had: of steps in this process, one token a row."""
    return not arguments.get("speculative_config") and _runs_here(arguments)


def _runs_here(arguments: Mapping[str, Any]) -> bool:
    sizes = ("tensor_parallel_size", "pipeline_parallel_size")
    is_whole = all(arguments.get(size, 1) == 1 for size in sizes)
    return is_whole and arguments.get("distributed_executor_backend") in (None, "uni")


def has_own_sampler(engine: Any) -> bool:
    """Whether seeds go to our sampler, and not to vLLM's generators."""
    return _SAMPLER in (engine.vllm_config.model_config.logits_processors or ())


def _default_kv_bytes(config: Any) -> int:
    model = config.model_config
    heads = model.get_num_kv_heads(config.parallel_config) * model.get_head_size()
    token_bytes = 2 * heads * model.get_total_num_hidden_layers() * model.dtype.itemsize
    is_fitted = model.original_max_model_len == -1  # to whatever the cache holds
    tokens = KV_TOKENS if is_fitted else max(KV_TOKENS, 2 * model.max_model_len)
    return int(min(tokens * token_bytes, Machine.this().free_bytes // 4))


def _explain(error: Exception, model: str) -> TTSError:
    text = str(error).strip().splitlines()[0] if str(error).strip() else ""
    what = f"{type(error).__name__}: {text}"
    if isinstance(error, MemoryError) or "memory" in text.lower() or "KV cache" in text:
        return EngineError(
            f"not enough memory for {model}: {what}; lower max_model_len, max_num_seqs or "
            f"kv_cache_memory_bytes, or choose a smaller model"
        )
    return ModelError(f"cannot load {model}: {what}")
