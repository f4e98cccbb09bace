"""One price per KV block for all searches: by hand and against every choice."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tts.runtime.kv_market import PRICES, Market, clearing_price


@dataclass(frozen=True)
class Choices:
    """A search that has a choice of (worth, blocks) and takes the best at a price."""

    options: Sequence[tuple[float, int]]

    def take(self, price: float) -> tuple[float, int]:
        return max(self.options, key=lambda option: (option[0] - price * option[1], -option[1]))

    def blocks(self, price: float) -> float:
        return self.take(price)[1]


FIRST = Choices([(1.0, 10), (0.9, 4), (0.2, 1)])
SECOND = Choices([(1.0, 6), (0.5, 2)])


def next_above(price: float) -> float:
    return min(p for p in PRICES if p >= price)


@pytest.mark.parametrize(
    ("capacity", "price"),
    [
        (16, 0.0),  # 10 + 6: all of it fits
        (15, next_above(0.1 / 6)),  # from 10 blocks to 4 the first loses .1
        (10, next_above(0.1 / 6)),
        (9, next_above(0.5 / 4)),  # from 6 to 2 the second loses .5: 4 + 2
        (5, next_above(0.7 / 3)),  # from 4 to 1 the first loses .7: 1 + 2
        (2, PRICES[-1]),  # less than 1 + 2 cannot be
    ],
)
def test_the_price_by_hand(capacity: int, price: float) -> None:
    assert clearing_price([FIRST, SECOND], capacity) == price


options = st.lists(st.tuples(st.floats(0, 1), st.integers(1, 9)), min_size=1, max_size=4)


@settings(max_examples=200, deadline=None)
@given(all_options=st.lists(options, min_size=1, max_size=4), capacity=st.integers(1, 36))
def test_no_other_choice_of_as_many_blocks_is_worth_more(
    all_options: list[list[tuple[float, int]]], capacity: int
) -> None:
    searches = [Choices(found) for found in all_options]
    price = clearing_price(searches, capacity)
    taken = [search.take(price) for search in searches]
    worth, used = sum(w for w, _ in taken), sum(b for _, b in taken)
    assert used <= capacity or used == sum(search.take(PRICES[-1])[1] for search in searches)
    for choice in product(*all_options):
        if sum(b for _, b in choice) <= used:
            assert sum(w for w, _ in choice) <= worth + 1e-9
        # What a better filled cache could bring is at most its unused blocks at this price.
        if used <= sum(b for _, b in choice) <= capacity:
            gain = sum(w for w, _ in choice) - worth
            assert gain <= price * (capacity - used) + 1e-9


def market(capacity: int | None, max_live: float | None = 1.0) -> Market:
    return Market(lambda: capacity, max_live=max_live)


def test_all_searches_share_one_capacity() -> None:
    shared = market(20)
    assert shared.price("a", FIRST, share=0.5) == 0.0  # 10 of 10
    assert shared.price("b", SECOND, share=0.5) == next_above(0.1 / 6)  # 4 + 6
    shared.leave("a")
    assert shared.price("b", SECOND, share=0.5) == 0.0


def test_where_the_capacity_is_unknown_blocks_are_free() -> None:
    shared = market(None)
    assert shared.price("a", FIRST, share=0.01) == 0.0
    shared.hold("a", 99)
    shared.hold("b", 99)
    asyncio.run(asyncio.wait_for(shared.turn("b"), 1))


def test_a_search_waits_until_it_fits_beside_those_before_it() -> None:
    went: list[str] = []

    async def turn(shared: Market, name: str, blocks: int) -> None:
        shared.hold(name, blocks)
        await shared.turn(name)
        went.append(name)

    async def step() -> list[str]:
        """Let all that may go go."""
        for _ in range(5):
            await asyncio.sleep(0)
        found = went.copy()
        went.clear()
        return found

    async def main() -> None:
        shared = market(20, max_live=0.5)
        async with asyncio.TaskGroup() as group:
            for name, blocks in (("a", 99), ("b", 6), ("c", 4)):
                group.create_task(turn(shared, name, blocks))
            # The first goes though it never fits; the others wait for it, not for each other.
            assert await step() == ["a"]
            await turn(shared, "a", 4)
            assert await step() == ["a", "b"]  # 4 + 6 of 10
            shared.leave("a")
            assert await step() == ["c"]  # 6 + 4
            group.create_task(turn(shared, "d", 1))
            group.create_task(turn(shared, "b", 7))
            assert await step() == ["b"]  # the first now; c has gone on already
            shared.leave("c")
            assert await step() == ["d"]  # 7 + 1

    asyncio.run(asyncio.wait_for(main(), 1))


def test_who_may_generate_nothing_more_need_not_wait_nor_who_gives_up() -> None:
    shared, is_over = market(10), [False]
    shared.hold("a", 10)
    shared.hold("b", 1)

    async def main() -> None:
        gone, expired = (asyncio.create_task(shared.turn("b", lambda: is_over[0])) for _ in "12")
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        shared.look_again()
        await asyncio.sleep(0)
        assert gone.cancelled() and not expired.done()
        is_over[0] = True
        shared.look_again()
        await expired

    for _ in range(2):  # in event loops of their own
        is_over[0] = False
        asyncio.run(asyncio.wait_for(main(), 1))
