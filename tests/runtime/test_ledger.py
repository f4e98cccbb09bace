"""Hard budgets: what is reserved, settled and left."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.values import INFO
from tts.errors import EngineError
from tts.runtime.ledger import MIN_TOKENS, Ledger, Reservation
from tts.types import Budget, Price, Usage

PRICED = replace(INFO, price=Price(prompt=1.0, generated=10.0))


def spent(tokens: int) -> Usage:
    return Usage(prompt_tokens=0, generated_tokens=tokens, calls=1)


def test_without_limits_everything_is_granted() -> None:
    grant = Ledger(Budget()).reserve(INFO, n=8, max_tokens=100)
    assert (grant.n, grant.max_tokens) == (8, 100)


def test_siblings_share_what_is_left() -> None:
    grant = Ledger(Budget(tokens=400)).reserve(INFO, n=8, max_tokens=100)
    assert (grant.n, grant.max_tokens) == (8, 50)


def test_fewer_are_granted_where_the_share_would_be_too_short() -> None:
    grant = Ledger(Budget(tokens=5 * MIN_TOKENS + 3)).reserve(INFO, n=8, max_tokens=100)
    assert (grant.n, grant.max_tokens) == (5, MIN_TOKENS)


def test_a_request_for_few_tokens_is_not_refused_for_being_short() -> None:
    grant = Ledger(Budget(tokens=4)).reserve(INFO, n=8, max_tokens=1)
    assert (grant.n, grant.max_tokens) == (4, 1)


def test_what_is_settled_below_its_reserve_can_be_spent_again() -> None:
    ledger = Ledger(Budget(tokens=200))
    first = ledger.reserve(INFO, n=2, max_tokens=100)
    assert ledger.reserve(INFO, n=1, max_tokens=100).n == 0
    ledger.settle(first, INFO, spent(20))
    ledger.release(first)
    assert ledger.usage.generated_tokens == 20
    assert ledger.reserve(INFO, n=1, max_tokens=180).max_tokens == 180


def test_calls_are_counted_in_sequences() -> None:
    ledger = Ledger(Budget(calls=5))
    assert ledger.reserve(INFO, n=3, max_tokens=100).n == 3
    assert ledger.reserve(INFO, n=3, max_tokens=100).n == 2


def test_flops_limit_counts_prompt_and_tokens() -> None:
    # 2,000 FLOPs a token: 100 prompt tokens leave room for 50 generated ones.
    ledger = Ledger(Budget(flops=150 * 2_000))
    assert ledger.reserve(INFO, n=1, max_tokens=500, prompt_tokens=100).max_tokens == 50


def test_dollar_limit_counts_prompt_and_tokens() -> None:
    # $1 and $10 per million: 1,000 prompt tokens cost $0.001, which leaves $0.001 for 100 tokens.
    ledger = Ledger(Budget(usd=0.002))
    assert ledger.reserve(PRICED, n=1, max_tokens=500, prompt_tokens=1_000).max_tokens == 100


def test_the_tightest_limit_binds_and_the_run_limits_its_problems() -> None:
    run = Ledger(Budget(tokens=120))
    first, second = Ledger(Budget(tokens=100), run), Ledger(Budget(tokens=100), run)
    assert first.reserve(INFO, n=1, max_tokens=500).max_tokens == 100
    assert second.reserve(INFO, n=1, max_tokens=500).max_tokens == 20


def test_a_run_has_room_for_a_sample_of_each_problem_and_what_the_next_asks_first() -> None:
    run = Ledger(Budget(tokens=1_000))
    assert run.has_room
    first = Ledger(Budget(), run)
    assert not run.has_room  # nobody knows what it will ask for
    grant = first.reserve(INFO, n=2, max_tokens=150)
    assert run.has_room  # 300 are reserved, and the next may ask for 300
    others = [Ledger(Budget(), run) for _ in range(2)]
    assert not run.has_room  # all three may
    for one in others:
        one.close()
    second = Ledger(Budget(), run)
    other = second.reserve(INFO, n=2, max_tokens=200)
    assert not run.has_room  # 700 are reserved, and the next may ask for 400
    for _ in range(2):
        first.settle(grant, INFO, spent(110))
    second.settle(other, INFO, spent(10))
    assert not run.has_room  # 230 spent, a sample of 200 for each, 400 for the next
    first.close()
    assert run.has_room
    for budget in (Budget(), Budget(seconds=1.0)):
        free = Ledger(budget)
        assert Ledger(Budget(), free) and free.has_room


def test_nothing_is_granted_after_the_deadline() -> None:
    ledger = Ledger(Budget(seconds=1.0))
    ledger.expire()
    assert ledger.reserve(INFO, n=1, max_tokens=100).n == 0
    assert "deadline" in ledger.shortfall()


@given(
    limit=st.integers(1, 2_000),
    requests=st.lists(
        st.tuples(st.integers(1, 20), st.integers(1, 300), st.floats(0, 1), st.booleans()),
        max_size=12,
    ),
)
def test_never_over_a_token_budget(
    limit: int, requests: list[tuple[int, int, float, bool]]
) -> None:
    """Whatever is asked for, used in part and returned, the budget holds at every moment."""
    ledger = Ledger(Budget(tokens=limit))
    for n, max_tokens, share, is_settled in requests:
        grant = ledger.reserve(INFO, n=n, max_tokens=max_tokens)
        assert grant.n <= n and grant.max_tokens <= max_tokens
        if is_settled:
            for _ in range(grant.n):
                ledger.settle(grant, INFO, spent(int(grant.max_tokens * share)))
            ledger.release(grant)
        assert (ledger.usage.generated_tokens or 0) <= limit
    total = ledger.reserve(INFO, n=1, max_tokens=limit).max_tokens
    assert (ledger.usage.generated_tokens or 0) + total <= limit


def test_what_is_spent_and_left_is_told_in_each_unit() -> None:
    run = Ledger(Budget(tokens=1_000, flops=1e7))
    ledger = Ledger(Budget(tokens=2_000, sequential=300), run)
    grant = ledger.reserve(INFO, n=2, max_tokens=100)
    ledger.settle(grant, INFO, spent(60))
    assert (ledger.charged("tokens"), ledger.charged("calls")) == (60, 1)
    assert (ledger.charged("flops"), ledger.charged("sequential")) == (60 * 2_000, 60)
    # The other one is still reserved with its 100 tokens.
    assert (ledger.left("tokens"), ledger.left("flops")) == (840, 1e7 - 160 * 2_000)
    assert (ledger.left("sequential"), ledger.left("usd")) == (240, math.inf)


def test_a_settled_grant_leaves_no_reservation_behind() -> None:
    ledger = Ledger(Budget(tokens=1_000, calls=10, flops=1e9))
    for _ in range(3):
        grant = ledger.reserve(INFO, n=2, max_tokens=100, prompt_tokens=7)
        for _ in range(grant.n):
            ledger.settle(grant, INFO, Usage())
        ledger.release(grant)
    whole = ledger.reserve(INFO, n=10, max_tokens=100, prompt_tokens=7)
    assert (whole.n, whole.max_tokens) == (10, 100)
    assert ledger.reserve(INFO, n=1, max_tokens=1).n == 0


def test_cost_is_filled_in() -> None:
    priced = Ledger(Budget()).record(PRICED, Usage(prompt_tokens=10, generated_tokens=5, calls=1))
    assert priced.flops == 15 * 2_000
    assert priced.usd == pytest.approx((10 * 1 + 5 * 10) / 1e6)


def test_a_reservation_keeps_room_and_gives_it_back() -> None:
    ledger = Ledger(Budget(tokens=300, calls=6))
    with Reservation(ledger, INFO, n=4, max_tokens=50, prompt_tokens=7) as room:
        assert room.n == 4
        # 200 tokens and 4 calls are kept.
        other = ledger.reserve(INFO, n=3, max_tokens=80)
        assert (other.n, other.max_tokens) == (2, 50)
        assert ledger.reserve(INFO, n=1, max_tokens=50).n == 0
        room.give_back()
        assert (room.n, ledger.reserve(INFO, n=1, max_tokens=80).max_tokens) == (3, 50)
        room.give_back(5)
        assert room.n == 0
        room.give_back()
    with Reservation(ledger, INFO, n=9, max_tokens=40, prompt_tokens=7) as small:
        assert small.n == 3  # the calls that are left
    assert ledger.reserve(INFO, n=3, max_tokens=50).n == 3


def test_the_runs_deadline_is_each_problems() -> None:
    run = Ledger(Budget(seconds=1.0))
    problem = Ledger(Budget(tokens=100), run)
    assert not problem.is_expired and problem.reserve(INFO, n=1, max_tokens=20).n == 1
    run.expire()
    assert problem.is_expired and problem.reserve(INFO, n=1, max_tokens=20).n == 0
    assert problem.shortfall() == "the deadline of 1 s passed"


def unknown(calls: int = 1) -> Usage:
    return Usage(prompt_tokens=None, generated_tokens=None, calls=calls, flops=None, usd=None)


def test_what_nobody_counted_counts_as_what_was_reserved() -> None:
    ledger = Ledger(Budget(tokens=1_000))
    ledger.record(INFO, spent(900))
    grant = ledger.reserve(INFO, n=1, max_tokens=60)
    ledger.settle(grant, INFO, unknown())
    # 900 and the 60 that were reserved.
    assert ledger.reserve(INFO, n=1, max_tokens=1_000).max_tokens == 40


def test_what_was_aborted_unseen_is_estimated_and_told() -> None:
    ledger = Ledger(Budget(tokens=1_000, calls=10))
    grant = ledger.reserve(INFO, n=4, max_tokens=100)
    ledger.settle(grant, INFO, spent(30))
    told = ledger.abandon(grant, INFO, unknown(calls=3))
    assert (told.generated_tokens, told.estimated_tokens, told.estimated_calls) == (300, 300, 3)
    assert ledger.usage.generated_tokens == 330
    whole = ledger.reserve(INFO, n=1, max_tokens=1_000)
    assert (whole.n, whole.max_tokens) == (1, 670)


def test_what_was_never_reserved_and_never_counted_takes_nothing_from_the_rest() -> None:
    ledger = Ledger(Budget(tokens=1_000))
    ledger.record(INFO, spent(900))
    ledger.record(INFO, unknown())
    assert ledger.reserve(INFO, n=1, max_tokens=1_000).max_tokens == 100


def test_unknown_dollars_and_operations_count_as_what_was_reserved() -> None:
    # $1 and $10 a million: 1,000 prompt and 100 generated tokens are $0.002 a call.
    ledger = Ledger(Budget(usd=0.004))
    grant = ledger.reserve(PRICED, n=1, max_tokens=100, prompt_tokens=1_000)
    ledger.settle(grant, PRICED, unknown())
    assert ledger.reserve(PRICED, n=1, max_tokens=500, prompt_tokens=1_000).max_tokens == 100
    # 2,000 operations a token: 100 prompt and 50 generated ones of 300.
    ledger = Ledger(Budget(flops=300 * 2_000))
    grant = ledger.reserve(INFO, n=1, max_tokens=50, prompt_tokens=100)
    ledger.settle(grant, INFO, unknown())
    assert ledger.reserve(INFO, n=1, max_tokens=500, prompt_tokens=100).max_tokens == 50


@given(known=st.integers(0, 500), n=st.integers(1, 5), parts=st.lists(st.booleans(), max_size=5))
def test_no_unknown_part_switches_a_budget_off(known: int, n: int, parts: list[bool]) -> None:
    run = Ledger(Budget(tokens=1_000))
    ledger = Ledger(Budget(), run)
    ledger.record(INFO, spent(known))
    for is_known in parts:
        grant = ledger.reserve(INFO, n=n, max_tokens=100)
        for _ in range(grant.n):
            cost = spent(grant.max_tokens) if is_known else unknown()
            ledger.settle(grant, INFO, cost)
    # Whatever was unknown is at most what was asked for, so the sum of all cannot pass the limit.
    left = run.reserve(INFO, n=1, max_tokens=10_000).max_tokens
    assert left <= 1_000 - known


@pytest.mark.parametrize(
    "usage",
    [
        Usage(generated_tokens=-1),
        Usage(prompt_tokens=-5, generated_tokens=3),
        Usage(cached_tokens=-1),
        Usage(calls=-1),
        Usage(usd=-0.5),
        Usage(flops=-1.0),
    ],
)
def test_counts_below_0_are_refused(usage: Usage) -> None:
    ledger = Ledger(Budget(tokens=100))
    with pytest.raises(EngineError, match="below 0"):
        ledger.record(INFO, usage)
    assert ledger.usage == Usage()


def test_generated_tokens_may_be_free() -> None:
    free = replace(INFO, price=Price(prompt=1.0, generated=0.0))
    ledger = Ledger(Budget(usd=0.001))
    assert ledger.reserve(free, n=1, max_tokens=500, prompt_tokens=1_000).max_tokens == 500
    assert ledger.reserve(free, n=1, max_tokens=500, prompt_tokens=1_000).n == 0


def test_an_eflops_limit_counts_kv_traffic() -> None:
    # KV of a token: 2 * 1 layer * 1 head * 1 element * 2 bytes = 4. Of 20 tokens without a prompt,
    # each takes 2,000 FLOPs and 4 for each pair of attention, and all but the first read the KV of
    # those before them: 1 + 2 + ... + 19 = 190 tokens.
    shape = replace(INFO, layers=1, query_heads=1, kv_heads=1, head_size=1, dtype="bfloat16")
    twenty = 20 * 2_000 + 4 * 210 + 562.5 * 4 * 190
    assert Ledger(Budget(eflops=twenty)).reserve(shape, n=1, max_tokens=50).max_tokens == 20
    assert Ledger(Budget(eflops=twenty - 1)).reserve(shape, n=1, max_tokens=50).max_tokens == 19
    ledger = Ledger(Budget(eflops=twenty))
    grant = ledger.reserve(shape, n=1, max_tokens=20)
    assert ledger.reserve(shape, n=1, max_tokens=20).n == 0
    ledger.settle(grant, shape, Usage(generated_tokens=1, calls=1, kv_bytes=0))  # 2,004 eFLOPs
    assert ledger.reserve(shape, n=1, max_tokens=50).max_tokens == 19


def test_tokens_one_after_the_other_are_limited_however_many_are_drawn_at_once() -> None:
    ledger = Ledger(Budget(sequential=100))
    first = ledger.reserve(INFO, n=8, max_tokens=60)
    assert (first.n, first.max_tokens) == (8, 60)
    ledger.settle(first, INFO, spent(30))
    second = ledger.reserve(INFO, n=1, max_tokens=60)  # after the 30 that came
    ledger.settle(first, INFO, spent(50))  # beside the second: the longest chain is 50
    assert ledger.latency_tokens == 50
    ledger.settle(second, INFO, spent(40))  # 30 + 40
    assert ledger.latency_tokens == 70
    assert ledger.reserve(INFO, n=3, max_tokens=60).max_tokens == 30
