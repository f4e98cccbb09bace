"""Making vLLM's engine: find the model, choose what the machine wants, explain what fails."""

import os
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from tts.engine import certainty, host, reflection, vllm_plugin
from tts.engine.reward_format import register_models
from tts.engine.sparse_config import SparseConfig, wants_shared_prefix
from tts.errors import EngineError, InputError, ModelError, TTSError

_BUNDLED = "bundled:"
_CPU_BLOCK_SIZE = 32  # what vLLM's CPU attention takes by itself, or a multiple
_SAMPLER = "tts.engine.sampler:SeededSampler"
_SMALL_MODEL_BYTES = 256 * 2**20
# Tokens that the default KV cache holds on a CPU, memory permitting; vLLM writes it once at the
# start, at about 200 MB/s.
_KV_TOKENS = 65_536


def resolve_model(model: str) -> Path | None:
    """Return the folder of a model, or None for a Hugging Face id.

    Raises:
        ModelError: A path that holds no model, or an unknown bundled name.
    """
    if model.startswith(_BUNDLED):
        folder: Path = import_module("tts.bundled").resolve(model.removeprefix(_BUNDLED))
        return folder
    path = Path(model).expanduser()
    if (path / "config.json").is_file():
        return path
    if path.exists() or model.startswith(("/", ".", "~")) or model.count("/") > 1:
        raise ModelError(
            f"no model at {model}: expected a folder with config.json, a Hugging Face id, "
            f"or {_BUNDLED}reasoner"
        )
    return None


def build_engine(
    arguments: Mapping[str, Any], *, kv_cache_memory_bytes: int | None, cpu_threads: int | None
) -> Any:
    """Build vLLM's engine in the calling thread, which must also step it.

    Raises:
        ModelError: The model cannot be found or loaded.
        EngineError: The engine cannot start, with what to change.
        CapabilityError: Sparse or shared-prefix decode cannot serve this model or machine.
        InputError: The block size does not suit the machine or the KV budget.
        MissingExtraError: vLLM is not installed.
    """
    host.load_vllm()
    register_models()
    on_cpu = bool(import_module("vllm.platforms").current_platform.is_cpu())
    chosen = {**arguments, "kv_cache_memory_bytes": kv_cache_memory_bytes}
    if on_cpu:
        host.set_threads(cpu_threads or default_threads(str(chosen["model"])))
        _choose_for_cpu(chosen)
    if _takes_processors(chosen):
        # In this order: the first reads what the second changes.
        ours = certainty.PROCESSOR, reflection.PROCESSOR
        chosen["logits_processors"] = [*chosen.get("logits_processors", ()), *ours]
    if chosen["runner"] == "pooling":
        _choose_pooler(chosen)
    _choose_attention(chosen, on_cpu=on_cpu)
    try:
        with host.building(compiles=not (on_cpu and chosen["enforce_eager"])):
            return _build(chosen, on_cpu=on_cpu)
    except TTSError:
        raise
    except Exception as error:
        raise _explain(error, str(chosen["model"])) from error


def _build(arguments: dict[str, Any], *, on_cpu: bool) -> Any:
    config = import_module("vllm.engine.arg_utils").EngineArgs(**arguments).create_engine_config()
    if on_cpu and arguments["kv_cache_memory_bytes"] is None:
        # vLLM's own default takes nearly all the memory of the machine.
        config.cache_config.kv_cache_memory_bytes = _default_kv_bytes(config)
    executor = import_module("vllm.v1.executor").Executor.get_class(config)
    engine = import_module("vllm.v1.engine.llm_engine").LLMEngine(
        vllm_config=config, executor_class=executor, log_stats=False, multiprocess_mode=False
    )
    if has_own_sampler(engine):
        import_module("tts.engine.sampler").install(engine)
    return engine


def _choose_for_cpu(arguments: dict[str, Any]) -> None:
    arguments.setdefault("enforce_eager", True)
    if arguments["block_size"] is None:
        arguments["block_size"] = _CPU_BLOCK_SIZE
    if arguments["block_size"] % vllm_plugin.CPU_BLOCK_MULTIPLE:
        raise InputError(
            f"KV blocks of {arguments['block_size']} tokens: CPU attention takes multiples of "
            f"{vllm_plugin.CPU_BLOCK_MULTIPLE}"
        )
    if arguments["dtype"] == "auto" and not _has_bfloat16():
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


def default_threads(model: str) -> int:
    """Take one thread for a small model, every core for a large one.

    Of 1.1 M weights a second thread gains 10 to 45 % on an idle machine, and loses as much, with
    one stream three quarters, when anything else wants the core.
    """
    num_bytes = sum(file.stat().st_size for file in Path(model).glob("*.safetensors"))
    return 1 if 0 < num_bytes < _SMALL_MODEL_BYTES else len(os.sched_getaffinity(0))


def _takes_processors(arguments: Mapping[str, Any]) -> bool:
    """Whether vLLM lets us change logits: not of pooling models, nor with speculative decoding."""
    return arguments["runner"] == "generate" and not arguments.get("speculative_config")


def reads_logits(arguments: Mapping[str, Any]) -> bool:
    """Whether our logits processors run, and in this process: not in workers of their own."""
    sizes = ("tensor_parallel_size", "pipeline_parallel_size")
    is_whole = all(arguments.get(size, 1) == 1 for size in sizes)
    is_here = arguments.get("distributed_executor_backend") in (None, "uni")
    return _takes_processors(arguments) and is_whole and is_here


def has_own_sampler(engine: Any) -> bool:
    """Whether seeds go to our sampler, and not to vLLM's generators."""
    return _SAMPLER in (engine.vllm_config.model_config.logits_processors or ())


def _has_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 in hardware; emulation is slower than float32."""
    cpu: Any = import_module("torch").cpu
    return bool(cpu._is_avx512_bf16_supported() or cpu._is_amx_tile_supported())


def _default_kv_bytes(config: Any) -> int:
    model = config.model_config
    heads = model.get_num_kv_heads(config.parallel_config) * model.get_head_size()
    token_bytes = 2 * heads * model.get_total_num_hidden_layers() * model.dtype.itemsize
    wanted = max(_KV_TOKENS, 2 * model.max_model_len) * token_bytes
    return int(min(wanted, _available_bytes() // 4))


def _available_bytes() -> int:
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _explain(error: Exception, model: str) -> TTSError:
    text = str(error).strip().splitlines()[0] if str(error).strip() else ""
    what = f"{type(error).__name__}: {text}"
    if isinstance(error, MemoryError) or "memory" in text.lower() or "KV cache" in text:
        return EngineError(
            f"not enough memory for {model}: {what}; lower max_model_len, max_num_seqs or "
            f"kv_cache_memory_bytes, or choose a smaller model"
        )
    return ModelError(f"cannot load {model}: {what}")
