"""What the CUDA backend does in a decode step, against the references."""

from dataclasses import replace

import pytest
import torch

from tests.kernels.helpers import assert_attention_close
from tts.engine.paged_attention import (
    PagedAttention,
    PagedStep,
    TreePlanner,
    check_table_width,
    choose_kernel,
)
from tts.engine.sparse_config import SparseConfig
from tts.kernels import reference
from tts.kernels.dispatch import DecodeStep
from tts.kernels.workloads import Branch, DecodeWorkload, build_inputs, build_tree_inputs

PAGE = 16
WORKLOAD = DecodeWorkload((100, 40, 0, 131), 4, 2, 64, PAGE, torch.float32)
STEP = DecodeStep(
    batch=16, max_context=32_768, num_q_heads=32, num_kv_heads=8, head_size=128, page_size=64
)


def test_a_sparse_step_is_summaries_scores_selection_and_attention() -> None:
    x = build_inputs(WORKLOAD, max_pages=9)
    sparse = SparseConfig(5 * PAGE)
    layer = PagedAttention(scale=WORKLOAD.scale, sparse=sparse)
    lengths = x.seq_lens.tolist()
    pages = torch.cat([x.block_table[b, : n // PAGE] for b, n in enumerate(lengths)]).long()
    slots = pages * PAGE + PAGE - 1  # the tokens that complete a page
    layer.update(x.kv, torch.cat([slots, torch.tensor([-1])]))
    result = layer.attend(x.q, x.kv, PagedStep(x.block_table, x.seq_lens))

    summary = torch.zeros(x.kv.shape[0], 2, 64)
    reference.page_summary_update(x.kv, slots, summary)
    scores = reference.page_scores(
        x.q, summary, x.block_table, x.seq_lens, page_size=PAGE, scale=WORKLOAD.scale
    )
    chosen = reference.select_pages(scores, x.seq_lens, max_selected=5, page_size=PAGE)
    expected = reference.sparse_decode(
        x.q, x.kv, x.block_table, x.seq_lens, chosen, scale=WORKLOAD.scale
    )
    assert_attention_close(result, expected)
    assert sorted(chosen.counts[:, 0].tolist()) == [0, 3, 5, 5]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_summaries_are_one_in_twice_the_page_of_the_cache(dtype: torch.dtype) -> None:
    x = build_inputs(replace(WORKLOAD, dtype=dtype))
    layer = PagedAttention(scale=WORKLOAD.scale, sparse=SparseConfig(5 * PAGE))
    layer.update(x.kv, torch.tensor([-1]))
    assert layer.summary is not None
    # D values of N * 2 * D, in the same precision.
    assert layer.summary.nbytes * 2 * PAGE == x.kv.nbytes


def test_a_shared_prefix_step_keeps_its_plan_in_place() -> None:
    planner = TreePlanner(page_size=PAGE, group=2, num_kv_heads=2)
    layer = PagedAttention(scale=WORKLOAD.scale, sparse=None)
    kept = None
    for own in ((5, 30), (40, 3)):  # two steps of one batch size
        branches = tuple(Branch(n) for n in own)
        x = build_tree_inputs([Branch(256, branches), Branch(20)], WORKLOAD)
        plan = planner.plan(x.block_table, x.seq_lens)
        assert int(plan.shared.count) > 0
        assert kept is None or plan is kept
        kept = plan
        result = layer.attend(x.q, x.kv, PagedStep(x.block_table, x.seq_lens, plan))
        expected = reference.paged_decode(
            x.q, x.kv, x.block_table, x.seq_lens, scale=WORKLOAD.scale
        )
        assert_attention_close(result, expected)


def test_a_step_needs_a_plan_or_something_to_select() -> None:
    x = build_inputs(WORKLOAD)
    layer = PagedAttention(scale=WORKLOAD.scale, sparse=None)
    with pytest.raises(ValueError, match="needs `sparse` and the summaries"):
        layer.attend(x.q, x.kv, PagedStep(x.block_table, x.seq_lens))


def test_the_engine_chooses_by_shapes() -> None:
    sparse = SparseConfig(2_048)
    assert choose_kernel(STEP, sparse=sparse, shared_prefix=True).kernel == "sparse"
    assert choose_kernel(STEP, sparse=None, shared_prefix=False).kernel == "dense"
    tree = choose_kernel(STEP, sparse=None, shared_prefix=True)
    assert (tree.kernel, tree.reason) == ("tree", "16 requests read what they share once")
    long_only = SparseConfig(2_048, min_context=32_768)
    assert choose_kernel(STEP, sparse=long_only, shared_prefix=False).kernel == "dense"


def test_contexts_that_selection_cannot_hold_name_a_page_size() -> None:
    check_table_width(131_072, 16)
    with pytest.raises(ValueError, match="8193 pages of 16, more than 8192: set page=32"):
        check_table_width(131_073, 16)
