"""Joint ETS: KV blocks as the cost, REBASE while there is room, the best of all when scarce."""

import asyncio
from dataclasses import replace
from importlib import import_module
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.results import noted
from tests.support.searching import PROBLEM, DigitVerifier, digits, grow, new_tree
from tts.engine.scripted import INFO, ScriptedEngine
from tts.runtime.job import Job
from tts.runtime.kv_market import PRICES, Market, clearing_price
from tts.runtime.runtime import Runtime
from tts.search.policy import Decision
from tts.search.tree import ROOT, SearchTree
from tts.strategies._prune_program import Program
from tts.strategies.ets_joint import Config, Demand, Policy, build
from tts.strategies.rebase import allocate
from tts.types import Result, Sampling

Counts = dict[int, int]
PLAIN = Policy(width=4, coverage=0.0)


def expanded(policy: Policy, tree: SearchTree, market: Market, search: str = "mine") -> Counts:
    """Return the expansions that a policy decides on at the market's price."""
    return dict(decided(policy, tree, market, search).expand)


def decided(policy: Policy, tree: SearchTree, market: Market, search: str = "mine") -> Decision:
    bid = policy.bid(tree)
    assert bid is not None
    return bid.decide(market.price(search, bid.demand, share=bid.share))


def market_of(blocks: int) -> Market:
    return Market(lambda: blocks)


def forked() -> SearchTree:
    """Blocks of 4 after a prompt of 6: three leaves of equal steps, and one apart.

    "prompt" is one block and "pt" of the next. Steps "ab" and "ab" and "ab" fill that block alike;
    "xyzuvw" fills another and one more.
    """
    tree = new_tree(block_size=4)
    grow(tree, ROOT, [0.5] * 4, texts=["xyzuvw", "ab", "ab", "ab"])
    return tree


def test_the_cost_is_what_an_engine_holds() -> None:
    program = PLAIN.program(forked(), [1, 2, 3, 4], [1, 1, 1, 1])
    # The beginning, "prom", "ptxy", "zuvw", "ptab".
    assert program.parents.tolist() == [3, 4, 4, 4, -1, 0, 1, 2, 1]
    assert [program.cost(kept) for kept in ([], [0], [1], [1, 2, 3], [0, 3])] == [0, 3, 2, 2, 4]


def test_short_prompts_hold_no_block() -> None:
    tree = new_tree(block_size=16)
    grow(tree, ROOT, [0.5, 0.5])
    assert PLAIN.program(tree, [1, 2], [2, 2]).cost([0, 1]) == 0
    assert expanded(PLAIN, tree, market_of(1)) == {1: 2, 2: 2}


def test_while_there_is_room_it_is_rebase() -> None:
    tree = new_tree()
    rewards = [0.9, 0.8, 0.3, 0.7]
    grow(tree, ROOT, rewards)
    policy = Policy(width=8)
    decision = decided(policy, tree, market_of(100))
    assert decision == policy.decide(tree, np.random.default_rng(0))
    assert [dict(decision.expand).get(i, 0) for i in (1, 2, 3, 4)] == allocate(rewards, 8, 0.2)
    assert decision.prune == {3: "no share of the width"}


def test_leaves_go_when_their_blocks_are_scarce() -> None:
    tree = forked()
    # O = (1, 1, 1, 1) / 4: "ab" thrice for the block "ptab", or "xyzuvw" for two more blocks.
    whole = Policy(width=4, coverage=0.0, kv_share=1.0)
    assert expanded(whole, tree, market_of(4)) == {1: 1, 2: 1, 3: 1, 4: 1}
    assert expanded(PLAIN, tree, market_of(4)) == {2: 2, 3: 1, 4: 1}  # of 2 blocks
    merged = Policy(width=4, coverage=0.0, merge=True)
    assert expanded(merged, tree, market_of(4)) == {2: 4}
    assert sum(expanded(PLAIN, tree, market_of(1)).values()) == 4


def test_it_bids_nothing_where_no_leaves_compete() -> None:
    tree = new_tree()
    assert PLAIN.bid(tree) is None
    assert PLAIN.decide(tree, np.random.default_rng(0)).expand == ((ROOT, 4),)
    grow(tree, ROOT, [0.5] * 4, finished=range(4))
    assert PLAIN.bid(tree) is None
    assert PLAIN.decide(tree, np.random.default_rng(0)).expand == ()


def test_what_others_keep_counts() -> None:
    market = market_of(12)
    mine, other = forked(), forked()
    assert len(expanded(PLAIN, mine, market)) == 4  # 4 of 6 blocks
    # 4 + 4 of 6: at the price at which both keep 2.
    assert len(expanded(PLAIN, other, market, "other")) == 3
    assert len(expanded(PLAIN, mine, market)) == 3
    market.leave("other")
    assert len(expanded(PLAIN, mine, market)) == 4


def test_no_solution_in_time_keeps_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        import_module("tts.strategies.ets_joint"), "solve", lambda program, seconds: None
    )
    tree = forked()
    assert Demand(PLAIN.program(tree, [1, 2, 3, 4], [1, 1, 1, 1]), seconds=1).blocks(1.0) == 4
    decision = PLAIN.decide(tree, np.random.default_rng(0))
    assert len(decision.expand) == 4 and "solver found nothing" in decision.warnings[0]


@st.composite
def joint(draw: Any) -> list[Program]:
    """The programs of one to three searches, up to 5 leaves each, on blocks of 2 tokens."""
    programs = []
    for _ in range(draw(st.integers(1, 3))):
        tree = new_tree(block_size=2)
        words = st.lists(st.sampled_from(["ab", "abc", "abcdef", "xy", "xyz"]), min_size=1)
        level = grow(tree, ROOT, [0.5, 0.5], texts=["ab", draw(st.sampled_from(["ab", "cd"]))])
        leaves = []
        for parent, size in zip(level, (3, 2), strict=True):
            texts = draw(words)[:size]
            rewards = draw(st.lists(st.floats(0, 1), min_size=len(texts), max_size=len(texts)))
            leaves += grow(tree, parent, rewards, texts=texts)
        counts = allocate(tree.reward[leaves].tolist(), 8, 0.2)
        coverage = draw(st.sampled_from([0.0, 1.5]))
        programs.append(Policy(coverage=coverage).program(tree, leaves, counts))
    return programs


def choices(program: Program) -> list[tuple[float, float]]:
    """Return the worth and the blocks of every choice of leaves."""
    size = program.num_leaves
    kept = [[i for i in range(size) if chosen >> i & 1] for chosen in range(1, 2**size)]
    return [(program.value(k) + program.cost(k), program.cost(k)) for k in kept]


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(programs=joint(), capacity=st.integers(1, 24))
def test_what_all_keep_is_worth_most_of_all_that_takes_no_more_blocks(
    programs: list[Program], capacity: int
) -> None:
    demands = [Demand(program, seconds=10) for program in programs]
    price = clearing_price(demands, capacity)
    kept = [demand.keep(price) or [] for demand in demands]
    used = sum(p.cost(k) for p, k in zip(programs, kept, strict=True))
    worth = sum(p.value(k) + p.cost(k) for p, k in zip(programs, kept, strict=True))
    assert worth == pytest.approx(best_worth(programs, used), abs=1e-6)
    assert used <= capacity or price == PRICES[-1]
    # What a better filled cache could bring is at most its unused blocks at this price.
    left = max(0.0, capacity - used)
    assert best_worth(programs, used + left) <= worth + price * left + 1e-6


def best_worth(programs: list[Program], capacity: float) -> float:
    """Try every choice of all searches together."""
    best_by_used = {0.0: 0.0}
    for program in programs:
        following: dict[float, float] = {}
        for (used, worth), (more, blocks) in product(best_by_used.items(), choices(program)):
            if used + blocks <= capacity:
                total = max(worth + more, following.get(used + blocks, -1.0))
                following[used + blocks] = total
        best_by_used = following
    return max(best_by_used.values())


def run_many(kv_blocks: int | None) -> list[Result]:
    """Search five problems at once on a cache of so many blocks."""
    engine = ScriptedEngine(digits(depth=4), info=replace(INFO, kv_blocks=kv_blocks))
    problems = [replace(PROBLEM, id=f"p{number}") for number in range(5)]

    async def run() -> list[Result]:
        runtime = Runtime(engine, verifiers={"prm": DigitVerifier()})
        jobs = Job.of_all(build(Config(width=8)), problems, sampling=Sampling(max_tokens=200))
        async with runtime, runtime.run_many(jobs) as results:
            return [result async for result in results]

    found = asyncio.run(run())
    assert engine.num_running == 0
    return found


def held(results: list[Result]) -> float:
    return sum(float(noted(result, "search")[0]["mean_kv_blocks_kept"]) for result in results)


@pytest.mark.slow
def test_problems_in_flight_prune_only_when_memory_is_scarce() -> None:
    ample, scarce, unknown = run_many(1000), run_many(30), run_many(None)
    assert held(scarce) < held(ample) == held(unknown)
    reasons = [event["reason"] for result in ample for event in noted(result, "prune")]
    assert "not worth its KV blocks" not in reasons
    for result in scarce:
        assert result.answer is not None and result.answer.support.voters == 8
