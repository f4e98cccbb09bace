"""The CUDA backend's classes on a CPU, with interpreted kernels: what a GPU would be asked to do.

TRITON_INTERPRET=1 python -m tests.engine.cuda_steps prints what was found as JSON. A process of its
own, because the interpreter is a switch of the whole process.
"""

import json
import sys
from types import SimpleNamespace
from typing import Any

from tts.engine import host
from tts.engine.sparse_config import SparseConfig, to_additional_config
from tts.errors import CapabilityError

PAGE = 16


def main() -> None:
    """Build the classes, plan steps of three kinds, and attend in one of them."""
    host.load_vllm()
    import torch

    from tts.engine import sparse_cuda
    from tts.kernels import reference
    from tts.kernels.workloads import Branch, DecodeWorkload, build_tree_inputs

    sparse = SparseConfig(4 * PAGE)
    config = SimpleNamespace(
        additional_config=to_additional_config(sparse, shared_prefix=True),
        speculative_config=None,
        kv_transfer_config=None,
    )
    module: Any = sparse_cuda
    module.get_current_vllm_config = lambda: config
    heads = {"num_heads": 4, "head_size": 64, "scale": 0.125, "num_kv_heads": 2}
    rest: dict[str, Any] = {"alibi_slopes": None, "kv_cache_dtype": "auto"}
    impl = module.SparseImpl(**heads, **rest, sliding_window=None)
    refused = ""
    try:
        module.SparseImpl(**heads, **rest, sliding_window=128)
    except CapabilityError as error:
        refused = str(error)

    workload = DecodeWorkload((), 4, 2, 64, PAGE, torch.float32)
    x = build_tree_inputs([Branch(256, (Branch(5), Branch(30)))], workload)
    builder = object.__new__(module.SparseBuilder)
    builder.sparse, builder.shared_prefix = sparse, True
    builder.num_heads_q, builder.num_heads_kv, builder.headdim = 4, 2, 64
    builder.block_size, builder.kv_cache_dtype = PAGE, torch.float32
    builder.planner = module.TreePlanner(page_size=PAGE, group=2, num_kv_heads=2)

    def step(max_query_len: int, max_seq_len: int) -> Any:
        base = SimpleNamespace(
            max_query_len=max_query_len,
            max_seq_len=max_seq_len,
            causal=True,
            block_table=x.block_table,
            seq_lens=x.seq_lens,
        )
        return builder._step(base)

    shared, selecting = step(1, 286), step(1, 120_000)
    output = torch.empty(2, 4 * 64)
    metadata = SimpleNamespace(step=shared, num_actual_tokens=2)
    layer = SimpleNamespace(layer_name="model.layers.1.self_attn.attn")
    impl.forward(layer, x.q, None, None, x.kv, metadata, output)
    expected = reference.paged_decode(x.q, x.kv, x.block_table, x.seq_lens, scale=0.125)
    found = {
        "name": module.SparseBackend.get_name(),
        "head_sizes": [n for n in (64, 80, 128) if module.SparseBackend.supports_head_size(n)],
        "refused": refused,
        "prefill": step(7, 286) is None,
        "shared": shared.plan is not None,
        "selecting": selecting is not None and selecting.plan is None,
        "error": float((output.view(2, 4, 64) - expected.out).abs().max()),
    }
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
