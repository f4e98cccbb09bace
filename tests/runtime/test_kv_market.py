"""One price per KV block for all searches: by hand and against every choice."""

from collections.abc import Mapping, Sequence
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


def market(capacity: int | None) -> Market:
    return Market(lambda: capacity)


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
    assert shared.has_room(5, share=1.0)


def room(shared: Market) -> Mapping[int, bool]:
    return {number: shared.has_room(number, share=1.0) for number in range(4)}


def test_a_problem_begins_when_its_tree_will_likely_fit() -> None:
    shared = market(30)
    # Nothing is known of trees yet: one at a time.
    assert room(shared) == {0: True, 1: False, 2: False, 3: False}
    shared.hold("a", 10)
    # Each is expected to grow to 10 blocks: three fit.
    assert room(shared) == {0: True, 1: True, 2: True, 3: False}
    shared.hold("a", 4)  # it may grow to 10 again
    assert room(shared) == {0: True, 1: True, 2: True, 3: False}
    shared.hold("b", 20)
    # Now 15 are expected: 15 for the first, 20 for the second, and the next does not fit.
    assert not shared.has_room(2, share=1.0)
    assert shared.has_room(2, share=2.0)
    shared.leave("b")
    assert shared.has_room(1, share=1.0)
    shared.leave("a")
    shared.leave("never held anything")
    assert room(shared) == {0: True, 1: True, 2: False, 3: False}
