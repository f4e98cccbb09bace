"""Several engines of one random model in one process: dense, then sparse as the arguments say.

python -m tests.engine.sparse_engines FOLDER CONFIGS prints, per engine and prompt, the greedy
tokens with their log-probabilities as JSON, and the bytes of each layer's cache and mean keys. A
process of its own, because engines of one process cannot be closed one by one.
"""

import json
import os
import sys
from typing import Any

from tts.engine import host, vllm_plugin
from tts.engine.sparse_config import SparseConfig, to_additional_config

LENGTHS = (330, 40, 257)
NEW_TOKENS = 6


def save_model(folder: str) -> None:
    """Save a random Qwen3 with two KV heads; large weights make attention far from uniform."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=97,
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        initializer_range=0.4,
    )
    build_model: Any = Qwen3ForCausalLM
    build_model(config).save_pretrained(folder)


def build(folder: str, config: dict[str, Any] | None) -> Any:
    """Build an engine, sparse if there is a configuration."""
    from vllm import LLM

    options: dict[str, Any] = {}
    if config is not None:
        vllm_plugin.install()
        sparse = SparseConfig(**config)
        options["additional_config"] = to_additional_config(sparse, shared_prefix=False)
    return LLM(
        folder,
        dtype="float32",
        block_size=32,
        enforce_eager=True,
        max_model_len=512,
        max_num_batched_tokens=1_024,
        kv_cache_memory_bytes=2**24,
        skip_tokenizer_init=True,
        **options,
    )


def generate(engine: Any) -> list[list[tuple[int, float]]]:
    """Return (token, log-probability) of the greedy continuation of each prompt."""
    from vllm import SamplingParams

    prompts = [
        {"prompt_token_ids": [(7 * i * i + 3 * i + length) % 97 for i in range(length)]}
        for length in LENGTHS
    ]
    greedy = SamplingParams(
        temperature=0.0, max_tokens=NEW_TOKENS, logprobs=1, ignore_eos=True, detokenize=False
    )
    return [
        [
            (token, logprobs[token].logprob)
            for token, logprobs in zip(
                output.outputs[0].token_ids, output.outputs[0].logprobs, strict=True
            )
        ]
        for output in engine.generate(prompts, greedy, use_tqdm=False)
    ]


def memory(engine: Any) -> list[tuple[int, int]]:
    """Return (bytes of the KV cache, bytes of the mean keys) of each layer; no means are 0."""
    layers = engine.llm_engine.vllm_config.compilation_config.static_forward_context.values()
    found = [(layer.kv_cache, getattr(layer.impl, "key_means", None)) for layer in layers]
    return [(cache.nbytes, 0 if kept is None else kept.means.nbytes) for cache, kept in found]


def main() -> None:
    """Run all engines, one after the other."""
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    os.environ["TORCHDYNAMO_DISABLE"] = "1"
    folder, configs = sys.argv[1], json.loads(sys.argv[2])
    host.load_vllm()
    host.set_threads(1)
    save_model(folder)
    engines: list[Any] = []
    results = []
    for config in [None, *configs]:
        engines.append(build(folder, config))
        results.append(generate(engines[-1]))
    found = {"results": results, "memory": [memory(engine) for engine in engines]}
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()
    # Tearing down one engine takes the process groups of the others with it.
    os._exit(0)


if __name__ == "__main__":
    main()
