"""The planner: every request reads each of its tokens once, and shared ones are read together."""

import random

import pytest
import torch

from tts.kernels.tree_plan import (
    TreeLimits,
    TreePlan,
    WorkList,
    build_tree_plan,
    count_tokens_read,
    default_limits,
    rows_per_tile,
)
from tts.kernels.workloads import Branch, DecodeInputs, DecodeWorkload, build_tree_inputs

WORKLOAD = DecodeWorkload((), 4, 1, 16, 16, torch.float32)


def plan_for(x: DecodeInputs, limits: TreeLimits, group: int = 4) -> TreePlan:
    return build_tree_plan(
        x.block_table, x.seq_lens, page_size=16, group=group, num_kv_heads=1, limits=limits
    )


def items(work: WorkList) -> list[tuple[int, ...]]:
    fields = (work.leader, work.start, work.end, work.first, work.members, work.ordinal)
    return [tuple(int(f[i]) for f in fields) for i in range(int(work.count))]


def check_exact(x: DecodeInputs, plan: TreePlan) -> None:
    """Every token of every request once, from its own page, each part in a row of its own."""
    parts: dict[int, dict[int, tuple[int, int]]] = {b: {} for b in range(len(x.seq_lens))}
    for leader, start, end, first, members, ordinal in items(plan.shared) + items(plan.private):
        pages = slice(start // 16, -(-end // 16))
        for request in plan.order[first : first + members].tolist():
            assert x.block_table[request, pages].equal(x.block_table[leader, pages])
            assert ordinal not in parts[request]
            parts[request][ordinal] = (start, end)
    for request, ranges in parts.items():
        position = 0
        for ordinal in range(len(ranges)):
            assert ranges[ordinal][0] == position
            position = ranges[ordinal][1]
        assert position == int(x.seq_lens[request])
        assert len(ranges) == int(plan.offsets[request + 1] - plan.offsets[request])
    assert int(plan.offsets[-1]) <= plan.max_rows


def test_two_branches_by_hand() -> None:
    x = build_tree_inputs([Branch(64, (Branch(5), Branch(20)))], WORKLOAD)
    plan = plan_for(x, TreeLimits(max_rows=8, min_shared_tokens=64, target_programs=1))
    check_exact(x, plan)
    assert items(plan.shared) == [(0, 0, 64, 0, 2, 0)]
    assert sorted(item[1:3] for item in items(plan.private)) == [(64, 69), (64, 84)]
    assert count_tokens_read(plan) == 64 + 5 + 20
    assert plan.offsets.tolist() == [0, 2, 4]


def test_a_short_run_is_folded_into_its_branches() -> None:
    x = build_tree_inputs([Branch(64, (Branch(5), Branch(20)))], WORKLOAD)
    plan = plan_for(x, TreeLimits(max_rows=8, min_shared_tokens=80, target_programs=1))
    check_exact(x, plan)
    assert items(plan.shared) == []
    assert count_tokens_read(plan) == 2 * 64 + 5 + 20


def test_a_short_root_does_not_hide_the_runs_below() -> None:
    below = Branch(64, (Branch(1), Branch(2)))
    x = build_tree_inputs([Branch(16, (below, Branch(3)))], WORKLOAD)
    plan = plan_for(x, TreeLimits(max_rows=12, min_shared_tokens=64, target_programs=1))
    check_exact(x, plan)
    # The root's 16 tokens go with the run below it: 80 shared, and 19 of the third branch.
    assert count_tokens_read(plan) == 80 + 1 + 2 + 19


def test_the_last_page_is_shared_only_when_full() -> None:
    table = torch.tensor([[3, 4], [3, 4]], dtype=torch.int32)
    lens = torch.tensor([31, 32], dtype=torch.int32)
    limits = TreeLimits(max_rows=8, min_shared_tokens=16, target_programs=1)
    plan = build_tree_plan(table, lens, page_size=16, group=4, num_kv_heads=1, limits=limits)
    assert [item[1:3] for item in items(plan.shared)] == [(0, 16)]


def test_chunks_fill_the_card_and_fit_the_rows() -> None:
    x = build_tree_inputs([Branch(1_024, (Branch(0), Branch(0)))], WORKLOAD)
    wide = plan_for(x, TreeLimits(max_rows=16, target_programs=4))
    assert [item[1:3] for item in items(wide.shared)] == [
        (i * 256, i * 256 + 256) for i in range(4)
    ]
    # 4 chunks need 4 * 2 rows; with room for 8 and a wish for 1000 programs there are 4 still.
    tight = plan_for(x, TreeLimits(max_rows=8, target_programs=1_000))
    assert len(items(tight.shared)) == 4
    check_exact(x, tight)


def test_more_branches_than_rows_of_a_tile() -> None:
    assert (rows_per_tile(4), rows_per_tile(3)) == (16, 21)
    x = build_tree_inputs([Branch(256, tuple(Branch(1) for _ in range(40)))], WORKLOAD)
    plan = plan_for(x, default_limits(40))
    check_exact(x, plan)
    sizes = [item[4] for item in items(plan.shared)]
    assert sizes == [16, 16, 8] * (len(sizes) // 3)


@pytest.mark.parametrize("seed", range(8))
def test_any_tree_is_exact(seed: int) -> None:
    draw = random.Random(seed)

    def grow(depth: int) -> Branch:
        if depth == 0 or draw.random() < 0.2:
            return Branch(draw.randrange(60))
        children = tuple(grow(depth - 1) for _ in range(draw.randint(1, 4)))
        return Branch(16 * draw.randrange(6), children)

    x = build_tree_inputs([grow(4) for _ in range(3)], WORKLOAD, seed=seed, max_pages=40)
    batch = len(x.seq_lens)
    depth = draw.randint(1, 4)
    limits = TreeLimits(
        max_rows=(depth + 1) * batch + draw.randrange(40),
        depth=depth,
        min_shared_tokens=draw.choice([1, 16, 48]),
        target_programs=draw.choice([1, 20, 500]),
    )
    plan = plan_for(x, limits)
    check_exact(x, plan)
    assert count_tokens_read(plan) <= int(x.seq_lens.sum())


def test_planning_needs_no_value_from_the_device() -> None:
    # Tensors without values: an operation that looked at one would raise.
    table = torch.empty(4, 64, dtype=torch.int32, device="meta")
    lens = torch.empty(4, dtype=torch.int32, device="meta")
    plan = build_tree_plan(
        table, lens, page_size=16, group=4, num_kv_heads=8, limits=default_limits(4)
    )
    assert plan.shared.leader.shape == (plan.max_rows,)


def test_too_few_rows_are_refused() -> None:
    x = build_tree_inputs([Branch(5), Branch(5)], WORKLOAD)
    with pytest.raises(ValueError, match=r"max_rows=7 is too small.*use at least 8"):
        plan_for(x, TreeLimits(max_rows=7))
