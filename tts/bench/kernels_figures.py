"""What a kernel's time means: shares of the memory roofline and speed-ups. No kernel is loaded."""

from collections.abc import Mapping
from dataclasses import dataclass

from tts.kernels import dispatch
from tts.kernels.dispatch import DecodeStep
from tts.kernels.workloads import DecodeWorkload


@dataclass(frozen=True, slots=True)
class SparseRow:
    """One cell of the sparse grid; microseconds per layer.

    Attributes:
        batch: B.
        context: L.
        budget: K.
        page: N.
        dense: Our dense paged decode.
        sparse: Scores, selection and attention together.
        attend: Attention over the selected pages alone.
        others: Baselines by name; those that cannot run here are missing.
        dense_share: Part of the copy rate that `dense` reaches on the bytes it must read.
        attend_share: The same of `attend`.
        speedup: `dense` / `sparse`.
    """

    batch: int
    context: int
    budget: int
    page: int
    dense: float
    sparse: float
    attend: float
    others: Mapping[str, float]
    dense_share: float
    attend_share: float
    speedup: float


@dataclass(frozen=True, slots=True)
class TreeRow:
    """One shared prefix; microseconds per layer.

    Attributes:
        branches: n.
        prefix: P, tokens that all branches share.
        own: S, tokens of each branch.
        dense: Our paged decode, which reads the prefix once per branch.
        tree: `tree_decode`, its plan made before.
        speedup: `dense` / `tree`.
        limit: n (P + S) / (P + n S).
    """

    branches: int
    prefix: int
    own: int
    dense: float
    tree: float
    speedup: float
    limit: float


def step_of(workload: DecodeWorkload) -> DecodeStep:
    """Return the shapes of a workload of equal lengths, as the dispatcher prices them."""
    return DecodeStep(
        batch=len(workload.seq_lens),
        max_context=workload.seq_lens[0],
        num_q_heads=workload.num_q_heads,
        num_kv_heads=workload.num_kv_heads,
        head_size=workload.head_size,
        page_size=workload.page_size,
        dtype=workload.dtype,
    )


def sparse_row(
    workload: DecodeWorkload,
    budget: int,
    rate: float,
    times: tuple[float, float, float],
    others: Mapping[str, float],
) -> SparseRow:
    """Return a row from its times (dense, sparse, attend) in microseconds and the copy rate."""
    dense, sparse, attend = times
    step = step_of(workload)
    full = dispatch.dense_bytes(step)
    kept = full * budget // step.max_context
    return SparseRow(
        batch=step.batch,
        context=step.max_context,
        budget=budget,
        page=step.page_size,
        dense=dense,
        sparse=sparse,
        attend=attend,
        others=others,
        dense_share=full / (dense * 1e-6) / rate,
        attend_share=kept / (attend * 1e-6) / rate,
        speedup=dense / sparse,
    )
