# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators
"""One step of attention with a running maximum, shared by all attention kernels.

State of M rows after some keys: m = max of the logits (base 2), total = sum of 2 ** (logit - m),
acc = sum of 2 ** (logit - m) * v. A row that has seen no key has m = -inf, total = 0, acc = 0.
"""

import triton
import triton.language as tl


@triton.jit
def softmax_start(M: tl.constexpr, D: tl.constexpr):
    """Return the state of M rows that have seen no key."""
    m = tl.full((M,), float("-inf"), tl.float32)
    return m, tl.zeros((M,), tl.float32), tl.zeros((M, D), tl.float32)


@triton.jit
def load_rows(address, is_row, channel, UPCAST: tl.constexpr):
    """Return queries [M, D]: zeros for rows that do not exist, fp32 if asked for.

    Args:
        address: [M] pointers to the first channel.
        is_row: [M], which rows exist; others are not read.
        channel: [D], 0 to D - 1.
        UPCAST: As of `softmax_step`.
    """
    q = tl.load(address[:, None] + channel[None, :], mask=is_row[:, None], other=0.0)
    if UPCAST:
        q = q.to(tl.float32)
    return q


@triton.jit
def softmax_step(
    state, q, key_address, value_address, channel, live, visible, scale, UPCAST: tl.constexpr
):
    """Return the state after a tile of keys.

    Args:
        state: Of `softmax_start` or an earlier step.
        q: [M, D].
        key_address: [BLOCK_N] pointers to the first channel of each key.
        value_address: [BLOCK_N] pointers to that of each value.
        channel: [D], 0 to D - 1.
        live: [BLOCK_N], which keys exist; others are not read.
        visible: [M or 1, BLOCK_N], which keys each row sees.
        scale: Of the logits, times log2(e).
        UPCAST: Multiply in fp32, because the interpreter's bfloat16 arithmetic is wrong.
    """
    m, total, acc = state
    # K arrives transposed, as the matrix unit takes it.
    k = tl.load(key_address[None, :] + channel[:, None], mask=live[None, :], other=0.0)
    if UPCAST:
        k = k.to(tl.float32)
    logits = tl.dot(q, k, input_precision="ieee") * scale
    logits = tl.where(visible, logits, float("-inf"))
    new_m = tl.maximum(m, tl.max(logits, axis=1))
    # -inf - -inf is NaN: rows without a visible key so far subtract 0 and get weights of 0.
    shift = tl.where(new_m == float("-inf"), 0.0, new_m)
    weights = tl.exp2(logits - shift[:, None])
    decay = tl.exp2(m - shift)
    v = tl.load(value_address[:, None] + channel[None, :], mask=live[:, None], other=0.0)
    if UPCAST:
        v = v.to(tl.float32)
    acc = acc * decay[:, None] + tl.dot(weights.to(v.dtype), v, input_precision="ieee")
    return new_m, total * decay + tl.sum(weights, axis=1), acc


@triton.jit
def softmax_finish(state):
    """Return (out [M, D], natural lse [M]) of the state: zeros and -inf for rows without keys."""
    m, total, acc = state
    seen = total > 0
    safe = tl.where(seen, total, 1.0)
    lse = tl.where(seen, (m + tl.log2(safe)) * 0.6931471805599453, float("-inf"))
    return acc / safe[:, None], lse
