"""Stock vLLM and sparse decode, step by step in turn: two engines of one random model."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from tts.engine import host
from tts.engine.build import build_engine
from tts.engine.sparse_config import SparseConfig, to_additional_config

VOCABULARY = 512
HEADS, KV_HEADS, HEAD_SIZE = 4, 2, 64
PREFILL_TOKENS = 4_096  # per engine step


@dataclass(frozen=True, slots=True)
class SpeedPlan:
    """What is measured.

    Attributes:
        context: Prompt tokens of each request, all different.
        batch: Requests that decode together.
        sparse: What the sparse engine keeps.
        threads: Of the CPU kernels.
        layers: Of the random model.
        steps: Decode steps of each engine.
    """

    context: int
    batch: int
    sparse: SparseConfig
    threads: int
    layers: int
    steps: int

    @property
    def max_tokens(self) -> int:
        """Tokens per request: its own steps, and those it decodes while others are prefilled."""
        return self.steps + self.batch * self.context // PREFILL_TOKENS + 32


@dataclass(frozen=True, slots=True)
class StepTimes:
    """Milliseconds of each decode step of one engine.

    Attributes:
        wall: Elapsed.
        cpu: Of the whole process, its threads summed; steadier on a busy machine.
    """

    wall: tuple[float, ...]
    cpu: tuple[float, ...]


def save_random_model(folder: Path, layers: int) -> None:
    """Save a random Qwen3 with 4 heads on 2 KV heads of 64; 8 layers are 6.6 M weights."""
    torch: Any = import_module("torch")
    transformers: Any = import_module("transformers")
    import_module("transformers.utils.logging").disable_progress_bar()
    torch.manual_seed(0)
    config = transformers.Qwen3Config(
        vocab_size=VOCABULARY,
        hidden_size=HEADS * HEAD_SIZE,
        intermediate_size=3 * HEADS * HEAD_SIZE,
        num_hidden_layers=layers,
        num_attention_heads=HEADS,
        num_key_value_heads=KV_HEADS,
        head_dim=HEAD_SIZE,
        max_position_embeddings=131_072,
    )
    transformers.Qwen3ForCausalLM(config).save_pretrained(folder)


def measure_steps(plan: SpeedPlan, folder: Path) -> tuple[StepTimes, StepTimes]:
    """Time decode steps of stock vLLM and of the sparse engine, in turn.

    The stock engine is built before our backend is registered, so it is vLLM's own.

    Args:
        plan: What to measure.
        folder: Of the model.
    """
    with _engines(plan, folder) as engines:
        for engine in engines:
            _prefill(engine, plan)
        times: list[list[tuple[float, float]]] = [[], []]
        for i in range(plan.steps):
            # Whoever goes first finds the caches as the other one left them.
            for which in (0, 1) if i % 2 else (1, 0):
                times[which].append(_timed_step(engines[which]))
    stock, sparse = (StepTimes(*zip(*rows, strict=True)) for rows in times)
    return stock, sparse


def figures(plan: SpeedPlan, stock: StepTimes, sparse: StepTimes) -> Mapping[str, Any]:
    """Return medians, and the median of the ratios of neighbouring steps."""
    return {
        "context": plan.context,
        "batch": plan.batch,
        "layers": plan.layers,
        "threads": plan.threads,
        "sparse": str(plan.sparse),
        "steps": plan.steps,
        "stock_ms": median(stock.wall),
        "sparse_ms": median(sparse.wall),
        "speedup": _speedup(stock.wall, sparse.wall),
        "stock_cpu_ms": median(stock.cpu),
        "sparse_cpu_ms": median(sparse.cpu),
        "cpu_speedup": _speedup(stock.cpu, sparse.cpu),
    }


def _speedup(stock: Sequence[float], sparse: Sequence[float]) -> float:
    return median(a / b for a, b in zip(stock, sparse, strict=True))


@contextmanager
def _engines(plan: SpeedPlan, folder: Path) -> Iterator[tuple[Any, Any]]:
    built: list[Any] = []
    try:
        for sparse in (None, plan.sparse):
            engine = _build(plan, folder, sparse)
            host.register(id(engine), lambda: None)
            built.append(engine)
        yield built[0], built[1]
    finally:
        for engine in built:
            host.retire(id(engine), engine)


def _build(plan: SpeedPlan, folder: Path, sparse: SparseConfig | None) -> Any:
    length = plan.context + plan.max_tokens
    arguments = {
        "model": str(folder),
        "runner": "generate",
        "dtype": "auto",
        "max_model_len": length,
        "max_num_seqs": plan.batch,
        "max_num_batched_tokens": PREFILL_TOKENS,
        "block_size": plan.sparse.page_size,
        "skip_tokenizer_init": True,
        "disable_log_stats": True,
        "use_tqdm_on_load": False,
        "additional_config": to_additional_config(sparse, shared_prefix=False),
    }
    # Room for all requests in fp32, and for the block that vLLM keeps for itself.
    token_bytes = 2 * plan.layers * KV_HEADS * HEAD_SIZE * 4
    kv_bytes = (plan.batch * (length + 128) + 1_024) * token_bytes
    return build_engine(arguments, None, kv_cache_memory_bytes=kv_bytes, cpu_threads=plan.threads)


def _prefill(engine: Any, plan: SpeedPlan) -> None:
    """Start all requests and step until each of them decodes."""
    vllm: Any = import_module("vllm.sampling_params")
    params = vllm.SamplingParams(
        temperature=0.0,
        max_tokens=plan.max_tokens,
        ignore_eos=True,
        detokenize=False,
        output_kind=vllm.RequestOutputKind.FINAL_ONLY,
    )
    generator = np.random.default_rng(0)
    for i in range(plan.batch):
        prompt = generator.integers(VOCABULARY, size=plan.context).tolist()
        engine.add_request(str(i), {"prompt_token_ids": prompt}, params)
    running = engine.engine_core.engine_core.scheduler.running
    while len(running) < plan.batch or any(r.num_output_tokens < 1 for r in running):
        engine.step()
        running = engine.engine_core.engine_core.scheduler.running


def _timed_step(engine: Any) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    engine.step()
    return (time.perf_counter() - wall) * 1e3, (time.process_time() - cpu) * 1e3
