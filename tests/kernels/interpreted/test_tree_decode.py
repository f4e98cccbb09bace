import pytest
import torch

from tests.kernels.helpers import Guarded, assert_attention_close
from tts.kernels import reference
from tts.kernels.contracts import Attention
from tts.kernels.tree_decode import TreeBuffers, build_tree_buffers, tree_decode
from tts.kernels.tree_plan import TreeLimits, TreePlan
from tts.kernels.workloads import (
    Branch,
    DecodeInputs,
    DecodeWorkload,
    Layout,
    build_tree_inputs,
    build_workload_plan,
)

TREE = (
    Branch(32, (Branch(16, (Branch(3), Branch(20))), Branch(16, (Branch(0), Branch(9))))),
    Branch(0),
    Branch(40),
)


def plan_for(x: DecodeInputs, workload: DecodeWorkload, **limits: int) -> TreePlan:
    options = {"max_rows": 60, "min_shared_tokens": 16, "target_programs": 1, **limits}
    return build_workload_plan(x, workload, limits=TreeLimits(**options))


@pytest.mark.parametrize(
    ("group", "head_size", "dtype", "layout"),
    [
        (1, 64, torch.float32, "LBHNC"),
        (3, 16, torch.float16, "LBNHC"),
        (4, 128, torch.bfloat16, "LBHNC"),
        (16, 16, torch.float32, "LBNHC"),
    ],
)
def test_sharing_does_not_change_the_result(
    group: int, head_size: int, dtype: torch.dtype, layout: Layout
) -> None:
    workload = DecodeWorkload((), 2 * group, 2, head_size, 16, dtype, layout)
    x = build_tree_inputs(TREE, workload, max_pages=8)
    result = tree_decode(
        x.q,
        x.kv,
        x.block_table,
        x.seq_lens,
        plan_for(x, workload),
        scale=workload.scale,
    )
    expected = reference.paged_decode(x.q, x.kv, x.block_table, x.seq_lens, scale=workload.scale)
    assert_attention_close(result, expected)


def test_more_branches_than_one_program_takes() -> None:
    # G = 16: a program of 64 rows takes 4 branches, so 6 need two.
    workload = DecodeWorkload((), 16, 1, 16, 16, torch.float32)
    x = build_tree_inputs([Branch(32, tuple(Branch(n) for n in range(6)))], workload)
    plan = plan_for(x, workload)
    assert plan.shared.members[: int(plan.shared.count)].tolist() == [4, 2]
    result = tree_decode(x.q, x.kv, x.block_table, x.seq_lens, plan, scale=0.25)
    expected = reference.paged_decode(x.q, x.kv, x.block_table, x.seq_lens, scale=0.25)
    assert_attention_close(result, expected)


def test_chunks_agree_and_stay_in_bounds() -> None:
    workload = DecodeWorkload((), 4, 2, 16, 16, torch.float32)
    x = build_tree_inputs([Branch(288, (Branch(5), Branch(130)))], workload)
    guarded = Guarded()
    plan = plan_for(x, workload, target_programs=100, max_rows=30)
    buffers = TreeBuffers(
        Attention(
            guarded.empty(2, 4, 16, dtype=torch.float32), guarded.empty(2, 4, dtype=torch.float32)
        ),
        Attention(
            guarded.empty(30, 4, 16, dtype=torch.float32),
            guarded.empty(30, 4, dtype=torch.float32),
        ),
    )
    arguments = (x.q, x.kv, x.block_table, x.seq_lens)
    many = tree_decode(*arguments, plan, scale=0.25, buffers=buffers)
    guarded.check()
    assert int(plan.shared.count) == 3  # 288 tokens in chunks of 128
    one_plan = plan_for(x, workload, max_rows=30)
    assert int(one_plan.shared.count) == 1
    one = tree_decode(*arguments, one_plan, scale=0.25, buffers=build_tree_buffers(x.q, 30))
    assert_attention_close(many, one)
    assert_attention_close(many, reference.paged_decode(*arguments, scale=0.25))
