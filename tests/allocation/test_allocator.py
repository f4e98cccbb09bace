"""The run's budget goes where it buys most, never further than it reaches."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tts.allocation.allocator import RunAllocator
from tts.allocation.fit import Recorded, draw_orders, fit_belief, follow_votes
from tts.allocation.support import Belief
from tts.errors import BudgetError, InputError


def started(votes: dict[int, list[int]], budget: float = 100.0, **more: float) -> RunAllocator:
    """An allocator that has seen these classes of each problem, at a cost of 1 each."""
    allocator = RunAllocator(Belief(), budget, **more)  # type: ignore[arg-type]
    allocator.add(len(votes))
    for problem, classes in votes.items():
        allocator.observe([problem] * len(classes), classes)
    allocator._asked = allocator.num_samples
    return allocator


def test_every_problem_is_probed_first_in_order() -> None:
    allocator = RunAllocator(Belief(), 5, probe=2)
    allocator.add(3)
    assert allocator.next_slice(3).tolist() == [2, 1, 0]
    assert allocator.next_slice(10).tolist() == [0, 1, 1]  # 5 in all: nothing is left
    assert allocator.next_slice(10).tolist() == [0, 0, 0]


def test_the_open_race_comes_before_the_settled_and_the_hopeless() -> None:
    # 0: settled. 1: a tie. 2: eight samples, eight answers. 3: no answer at all.
    allocator = started({0: [0] * 8, 1: [0, 1] * 4, 2: list(range(8)), 3: [-1] * 8})
    gains = allocator.gains()
    assert allocator.next_slice(1).tolist() == [0, 1, 0, 0]
    assert allocator.gains()[1] == gains[1] / 2  # one is in flight
    # The first repetition of an answer would decide among the eight, so they are no lost case.
    assert gains[1] > gains[2] > gains[3] > 1_000 * gains[0]
    assert allocator.certainties[0] > 0.9


def test_a_cheap_problem_comes_before_an_equal_one_that_costs_more() -> None:
    allocator = RunAllocator(Belief(), 100)
    allocator.add(2)
    allocator.observe([0, 0, 1, 1], [0, 1, 0, 1], [5.0, 5.0, 1.0, 1.0])
    allocator._asked = allocator.num_samples
    assert allocator.next_slice(1).tolist() == [0, 1]


def test_problems_may_arrive_late_and_observations_out_of_order() -> None:
    allocator = started({0: [0, 0], 1: [0, 1]}, budget=10)
    assert list(allocator.add(1)) == [2]
    assert allocator.next_slice(2).tolist() == [0, 0, 2]
    assert allocator.next_slice(1).tolist() == [0, 1, 0]  # while the late one is still running
    allocator.observe([2, 1, 2], [0, 0, 0])
    assert allocator.num_samples.tolist() == [2, 3, 2]
    assert allocator.spent == 7


def test_a_problem_that_arrives_after_the_budget_is_gone_gets_nothing() -> None:
    allocator = started({0: [0, 1]}, budget=2)
    allocator.add(1)
    assert allocator.next_slice(10).tolist() == [0, 0]


def test_most_and_least_end_it() -> None:
    allocator = started({0: [0, 1], 1: [0, 0]}, budget=100, most=3)
    assert allocator.next_slice(10, per_problem=5).tolist() == [1, 1]
    assert allocator.next_slice(10).tolist() == [0, 0]
    patient = started({0: [0, 1], 1: [0] * 9}, least_gain=0.01)
    assert patient.next_slice(10).tolist() == [1, 0]  # the settled one is given up


def test_what_nobody_needs_goes_to_those_with_the_fewest_samples() -> None:
    settled = started({0: [0] * 60, 1: [0] * 40}, budget=150)
    assert settled.gains().tolist() == [0.0, 0.0]
    assert settled.next_slice(1).tolist() == [0, 1]
    rest = sum(settled.next_slice(10, per_problem=30).sum() for _ in range(9))
    assert 100 + 1 + rest == 150


def test_bad_input_is_refused() -> None:
    with pytest.raises(BudgetError, match="does not buy one sample"):
        RunAllocator(Belief(), 5, sample_cost=10)
    assert RunAllocator(Belief(), 35, sample_cost=10).affordable() == 3


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.data())
def test_it_never_goes_over_the_budget(data: st.DataObject) -> None:
    budget = data.draw(st.integers(1, 60))
    allocator = RunAllocator(Belief(), budget, probe=data.draw(st.integers(0, 3)))
    running: list[int] = []
    for _ in range(data.draw(st.integers(1, 12))):
        allocator.add(data.draw(st.integers(0, 4)))
        size = data.draw(st.integers(0, 20))
        grants = allocator.next_slice(size, per_problem=data.draw(st.integers(1, 4)))
        assert grants.sum() <= size
        running += np.repeat(np.arange(len(allocator)), grants).tolist()
        num_done = data.draw(st.integers(0, len(running)))
        done, running = running[:num_done], running[num_done:]
        allocator.observe(
            done, data.draw(st.lists(st.integers(-1, 5), min_size=num_done, max_size=num_done))
        )
        assert allocator.spent + len(running) <= budget


def test_ten_thousand_problems_take_less_than_a_second() -> None:
    allocator = RunAllocator(Belief(), 1e6)
    allocator.add(10_000)
    rng = np.random.default_rng(0)
    for _ in range(4):
        start = time.process_time()
        grants = allocator.next_slice(10_000)
        assert time.process_time() - start < 1.0
        places = np.repeat(np.arange(10_000), grants)
        allocator.observe(places, rng.integers(-1, 6, len(places)))


def test_a_vote_is_followed_sample_by_sample() -> None:
    problem = Recorded((0, 1, 1, -1), frozenset({1}), (1.0, 2.0, 3.0, 4.0))
    course = follow_votes(problem, np.array([[0, 1, 2, 3], [3, 2, 0, 1]]))
    # 0 leads, still leads at 1 : 1 since it was first, then 1 leads.
    assert course.is_right[0].tolist() == [False, False, False, True, True]
    assert course.is_right[1].tolist() == [False, False, True, True, True]
    assert course.votes[0].tolist() == [[0, 0], [1, 0], [1, 1], [1, 2], [1, 2]]
    assert course.costs[1].tolist() == [4.0, 3.0, 1.0, 2.0]


def test_orders_are_permutations() -> None:
    orders = draw_orders(np.random.default_rng(0), 5, 7)
    assert (np.sort(orders, axis=1) == np.arange(7)).all()


def test_a_belief_is_fitted_to_what_was_recorded() -> None:
    good = Recorded((0,) * 16, frozenset({0}), (1.0,) * 16)
    bad = Recorded(tuple(range(1, 17)), frozenset({0}), (1.0,) * 16)
    mistaken = Recorded((1,) * 16, frozenset({0}), (1.0,) * 16)
    prior = Belief()
    scattered, popular = fit_belief([good, bad] * 10), fit_belief([good, mistaken] * 10)
    assert scattered.spread > prior.spread > popular.spread
    assert scattered.right < prior.right  # all or nothing
    all_right = fit_belief([good] * 10)
    assert all_right.right / all_right.wrong > 5 * prior.right / prior.wrong
    assert all_right.wrong > 0.01  # ten problems are no certainty
    silent = fit_belief([good, Recorded((-1,) * 16, frozenset(), (1.0,) * 16)])
    assert silent.answers == pytest.approx(16.95 / 33)
    with pytest.raises(InputError, match="no calibration problem"):
        fit_belief([Recorded((-1, -1), frozenset(), (1.0, 1.0))])
