"""Predicted cost of generation: operations, memory traffic, dollars.

Decoder: 2 FLOPs per token and weight that it uses (of a mixture of experts, those that it is sent
to), plus attention, 4 FLOPs per query head, element and context token (2 for q.k, 2 for p.v).
`predicted_flops` counts the operations of a measured usage and is what ledgers limit.
`prefill_work` and `decode_work` predict operations and memory traffic of a workload (Sadhukhan et
al. 2025, "Kinetics", arXiv:2506.05333); `tts.costs.hardware` turns them into seconds.
Units: FLOPs, bytes, tokens, dollars.
"""

from dataclasses import dataclass
from functools import lru_cache

from tts.errors import InputError
from tts.types import ModelInfo, Price, Usage


def predicted_flops(info: ModelInfo, usage: Usage) -> float | None:
    """Return the operations behind `usage`; None when the model's shape or the counts are unknown.

    Cached prompt tokens cost nothing but their keys are attended to.
    """
    if usage.generated_tokens is None or usage.prompt_tokens is None:
        return None
    cached = usage.cached_tokens or 0
    return sequence_flops(info, usage.prompt_tokens, usage.generated_tokens, cached=cached)


def sequence_flops(
    info: ModelInfo, prompt_tokens: int, generated_tokens: int, *, cached: int = 0
) -> float | None:
    """Return the operations of one sequence; None when the model's shape is unknown.

    Args:
        info: The model.
        prompt_tokens: Its prompt.
        generated_tokens: What follows.
        cached: The part of the prompt whose keys are attended to but not computed.
    """
    parameters = info.active_parameters or info.parameters
    if parameters is None:
        return None
    total = prompt_tokens + generated_tokens
    linear = 2.0 * parameters * (total - cached)
    if info.layers is None or info.query_heads is None or info.head_size is None:
        return linear
    # Token t attends to t others: the sum over the computed tokens is a difference of triangles.
    attended = (total * (total + 1) - cached * (cached + 1)) / 2
    return linear + 4.0 * info.layers * info.query_heads * info.head_size * attended


def sequence_eflops(info: ModelInfo, prompt_tokens: int, generated_tokens: int) -> float | None:
    """Return the eFLOPs of one sequence; None when the model's shape is unknown."""
    flops = sequence_flops(info, prompt_tokens, generated_tokens)
    traffic = decode_kv_bytes(info, prompt_tokens, generated_tokens)
    return None if flops is None or traffic is None else effective_flops(flops, traffic)


def usage_eflops(usage: Usage) -> float | None:
    """Return the eFLOPs behind `usage`; None where its operations or its traffic are unknown."""
    if usage.flops is None or usage.kv_bytes is None:
        return None
    return effective_flops(usage.flops, usage.kv_bytes)


def effective_flops(flops: float, kv_bytes: float) -> float:
    """Return eFLOPs: operations and KV traffic, a byte priced as `INTENSITY` operations.

    The traffic of the weights is left out, as in the source: a batch shares it. Kinetics,
    arXiv:2506.05333, takes 562.5 (a B200's 4.5e15 FLOP/s over 8e12 bytes/s).
    """
    return flops + INTENSITY * kv_bytes


def price_usd(price: Price | None, usage: Usage) -> float | None:
    """Return the dollars of `usage`; 0 for a model without a price, None for unknown counts."""
    if price is None:
        return 0.0
    if usage.prompt_tokens is None or usage.generated_tokens is None:
        return None
    cached = usage.cached_tokens or 0
    cached_price = price.prompt if price.cached is None else price.cached
    fresh = usage.prompt_tokens - cached
    dollars = (
        fresh * price.prompt + cached * cached_price + usage.generated_tokens * price.generated
    )
    return dollars / 1e6


INTENSITY = 562.5  # operations for a byte, of a B200: Kinetics, arXiv:2506.05333
_DTYPE_BYTES = {
    "float32": 4,
    "float": 4,
    "bfloat16": 2,
    "float16": 2,
    "half": 2,
    "fp8": 1,
    "float8_e4m3fn": 1,
    "int8": 1,
}


@dataclass(frozen=True, slots=True)
class SparseReading:
    """Block-sparse attention: each decoded token reads the chosen blocks only.

    Attributes:
        kept_tokens: K, context tokens read at each step: the local window and the chosen blocks.
        block_tokens: Tokens per block.
        summaries: Vectors per block and KV head that choosing reads: 1 for the mean of the keys, 2
            for their smallest and largest.
        dense_layers: Layers that read everything.
        min_context: Steps with at most this many context tokens read everything.
    """

    kept_tokens: int
    block_tokens: int = 16
    summaries: int = 1
    dense_layers: int = 0
    min_context: int = 0


@dataclass(frozen=True, slots=True)
class Workload:
    """Completions that decode together, of one prompt or of several of the same length.

    Attributes:
        prompt_tokens: c, computed once for all samples of a prompt.
        generated_tokens: L, of each sample.
        num_samples: N, of each prompt.
        cached_tokens: The part of the prompt whose KV blocks are already there.
        batch: Sequences of all requests that decode together and share each reading of the
            weights; the N samples alone if None.
        shares_prefix: The prompt's KV is read once per step for all samples (a shared-prefix
            kernel), and not once for each.
        sparse: Reads chosen blocks only; their choice differs, so nothing is shared then.
        num_prompts: Different prompts; all of them are one batch.
    """

    prompt_tokens: int
    generated_tokens: int
    num_samples: int = 1
    cached_tokens: int = 0
    batch: int | None = None
    shares_prefix: bool = False
    sparse: SparseReading | None = None
    num_prompts: int = 1


@dataclass(frozen=True, slots=True)
class Work:
    """What a workload asks of the hardware.

    Attributes:
        flops: Operations.
        weight_bytes: Traffic of the weights.
        kv_bytes: Traffic of the KV cache, block summaries included.
    """

    flops: float
    weight_bytes: float
    kv_bytes: float

    @property
    def num_bytes(self) -> float:
        """All traffic."""
        return self.weight_bytes + self.kv_bytes

    def __add__(self, other: "Work") -> "Work":
        """Add field by field."""
        return Work(
            self.flops + other.flops,
            self.weight_bytes + other.weight_bytes,
            self.kv_bytes + other.kv_bytes,
        )


def prefill_work(info: ModelInfo, load: Workload) -> Work:
    """Return the work of the prompts: their uncached tokens, computed once in one pass.

    flops = 2 P (c - h) + 4 Hq d A with h cached tokens and A the pairs of a computed token with
    itself or one before it, for each prompt; the weights are read once, the cached KV once.

    Raises:
        InputError: The model's shape is unknown.
    """
    shape = _shape(info)
    c, h = load.prompt_tokens, load.cached_tokens
    if c == h:
        return Work(0.0, 0.0, 0.0)
    pairs = (c * (c + 1) - h * (h + 1)) / 2
    flops = 2.0 * shape.parameters * (c - h) + 4.0 * shape.query_width * pairs
    kv_bytes = float(h * shape.kv_token_bytes)
    weight_bytes = shape.weight_bytes(load.num_prompts * (c - h))
    return Work(load.num_prompts * flops, weight_bytes, load.num_prompts * kv_bytes)


def decode_work(info: ModelInfo, load: Workload) -> Work:
    """Return the work of generating, L steps of N samples of each prompt.

    Step i of a sample attends to its c + i tokens, or to K of them:

        flops     = N (2 P L + 4 Hq d R),       R = sum over i of min(K, c + i)
        KV bytes  = 2 b Hkv d T,                T = N R, or c L + N L (L + 1) / 2 if shared
        weights   = w (P - E (1 - s)^batch) L N / batch

    with d = head size times layers, b bytes per element, w bytes per weight, P in the FLOPs what a
    token uses, and E the weights of experts, of which it uses a share s: a step reads those that
    some sequence is sent to, if each is sent to any of them alike. Sparse reading adds, per sample,
    the choice of blocks: (c + i) / block summaries a step, read (b Hkv d each) and multiplied
    (2 Hq d). Layers and steps that stay dense count as such.
    Sadhukhan et al. 2025, "Kinetics", arXiv:2506.05333, whose L^2 / 2 is our L (L + 1) / 2 and
    which leaves the weights out; where the budget exceeds the prompt its top-k sum has the sign
    wrong, here it is summed exactly.

    Raises:
        InputError: The model's shape is unknown.
    """
    shape = _shape(info)
    c, length, samples = load.prompt_tokens, load.generated_tokens, load.num_samples
    whole = c * length + length * (length + 1) / 2
    read, looked_up, summaries = whole, 0.0, 0
    if load.sparse is not None:
        summaries = load.sparse.summaries
        read, looked_up = _sparse_sums(load, load.sparse, shape.layers)
    flops = samples * (2.0 * shape.parameters * length + 4.0 * shape.query_width * read)
    flops += samples * 2.0 * shape.query_width * summaries * looked_up
    traffic = samples * read
    if load.shares_prefix and load.sparse is None:
        traffic = c * length + samples * (whole - c * length)
    kv_bytes = shape.kv_token_bytes * (traffic + samples * summaries * looked_up / 2)
    prompts = load.num_prompts
    batch = load.batch or prompts * samples
    weight_bytes = shape.weight_bytes(batch) * length * prompts * samples / batch
    return Work(prompts * flops, weight_bytes, prompts * kv_bytes)


def decode_kv_bytes(
    info: ModelInfo,
    prompt_tokens: int,
    generated_tokens: int,
    sparse: SparseReading | None = None,
) -> int | None:
    """Return the KV bytes that decoding one sequence reads; None when the shape is unknown.

    The first token comes with the prompt, so there is one decode step less than tokens.
    """
    load = Workload(prompt_tokens, max(0, generated_tokens - 1), sparse=sparse)
    try:
        return round(decode_work(info, load).kv_bytes)
    except InputError:
        return None


def kv_token_bytes(info: ModelInfo) -> int:
    """Return the bytes of one token's keys and values over all layers.

    Raises:
        InputError: The model's shape is unknown.
    """
    return _shape(info).kv_token_bytes


@dataclass(frozen=True, slots=True)
class _Shape:
    parameters: int  # that a token uses
    layers: int
    query_width: int  # Hq * D * layers
    kv_token_bytes: int
    all_weight_bytes: float
    expert_bytes: float
    expert_share: float

    def weight_bytes(self, batch: int) -> float:
        """Return the bytes of the weights that a step of so many tokens reads."""
        return self.all_weight_bytes - self.expert_bytes * (1.0 - self.expert_share) ** batch


@lru_cache(maxsize=64)  # asked for with every completion
def _shape(info: ModelInfo) -> _Shape:
    known = (info.parameters, info.layers, info.query_heads, info.kv_heads, info.head_size)
    bytes_each = _DTYPE_BYTES.get((info.dtype or "").removeprefix("torch."))
    if None in known or bytes_each is None:
        raise InputError(f"the shape of {info.name} is unknown; its memory traffic needs it")
    parameters, layers, query_heads, kv_heads, head_size = (value or 0 for value in known)
    width = layers * head_size
    weight = bytes_each if info.weight_bits is None else info.weight_bits / 8
    active, share = info.active_parameters or parameters, info.expert_share or 1.0
    experts = (parameters - active) / (1.0 - share) if share < 1.0 else 0.0
    return _Shape(
        active,
        layers,
        query_heads * width,
        2 * kv_heads * width * bytes_each,
        parameters * weight,
        experts * weight,
        share,
    )


def _sparse_sums(load: Workload, sparse: SparseReading, layers: int) -> tuple[float, float]:
    """Return the tokens that all steps read and the summaries they look up, mean over layers."""
    c, length = load.prompt_tokens, load.generated_tokens
    whole = c * length + length * (length + 1) / 2
    short = min(max(sparse.min_context - c, 0), length)  # steps that are dense
    before = c * short + short * (short + 1) / 2
    kept = before + _clipped_sum(c + short, length - short, sparse.kept_tokens)
    share = max(0, layers - sparse.dense_layers) / layers
    read = share * kept + (1 - share) * whole
    return read, share * (whole - before) / sparse.block_tokens


def _clipped_sum(prompt_tokens: int, length: int, most: int) -> float:
    """Return the sum over i in 1 to `length` of min(most, prompt_tokens + i)."""
    rising = min(max(most - prompt_tokens, 0), length)  # steps that still read everything
    below = rising * prompt_tokens + rising * (rising + 1) / 2
    return below + (length - rising) * most
