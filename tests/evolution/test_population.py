"""Islands, cells, migration and parents, worked out by hand."""

import random

import pytest

from tts.evolution.parents import choose
from tts.evolution.population import Population, Program, distance


def program(number: int, score: float, code: str = "") -> Program:
    return Program(number, code or f"x = {number}\n", score)


def numbers(programs: list[Program]) -> list[int]:
    return [each.number for each in programs]


def test_distance_is_the_share_of_lines_that_differ() -> None:
    assert distance("a\nb\n", "a\nb\n") == 0
    assert distance("a\nb\n", "a\nc\n") == 0.5  # 1 - 2 * 1 / 4
    assert distance("a\n", "b\n") == 1


def test_a_cell_keeps_the_better_program() -> None:
    population = Population(1, bins=1)  # one cell
    assert population.add(program(0, 1.0), 0)
    assert not population.add(program(1, 0.5), 0)
    assert not population.add(program(2, 1.0), 0)  # the earlier among equals
    assert population.add(program(3, 2.0), 0)
    assert numbers(population.island(0)) == [3]
    assert numbers(population.archive) == [3, 0, 2, 1]
    assert population.best.number == 3


def test_other_lengths_and_lines_have_other_cells() -> None:
    population = Population(1, bins=2)
    population.add(program(0, 3.0, "a\nb\n"), 0)
    # Ten times as long, and unlike: the far cell of both features.
    assert population.add(program(1, 1.0, "c\n" * 20), 0)
    # As short as the first; its mean distance to the three, (0.5 + 10 / 11 + 0) / 3 = 0.47, is in
    # the upper half of 0 to (1 + 0) / 2.
    assert population.add(program(2, 2.0, "a\nc\n"), 0)
    assert numbers(population.island(0)) == [0, 2, 1]


def test_the_best_move_to_both_neighbours_once() -> None:
    population = Population(4, bins=1)
    for island, score in enumerate((4.0, 1.0, 2.0, 3.0)):
        population.add(program(island, score), island)
    population.migrate(0.1)
    # Island 0 sends 4.0 to 1 and 3; 2 gets 3.0 of 3; what 1 and 2 send is worse than what is there.
    assert [numbers(population.island(i)) for i in range(4)] == [[0], [0], [3], [0]]
    # What has moved stays: neither 0 on island 1 nor 3 on island 2 goes on to where 3 still is.
    population.migrate(0.1)
    assert [numbers(population.island(i)) for i in range(4)] == [[0], [0], [3], [0]]


def test_one_island_has_no_neighbour() -> None:
    population = Population(1)
    population.add(program(0, 1.0), 0)
    population.migrate(1.0)
    assert numbers(population.island(0)) == [0]


@pytest.mark.parametrize(
    ("explore", "exploit", "expected"),
    [
        (1.0, 0.0, {0, 1, 2}),  # any of the island
        (0.0, 1.0, {1, 2}),  # the archive holds two
        (0.0, 0.0, {2}),  # by score: 0.001, 0.001 and 1,000
    ],
)
def test_who_becomes_a_parent(explore: float, exploit: float, expected: set[int]) -> None:
    population = Population(1, bins=50, archive=2)
    for number, score in enumerate((-5.0, 0.0, 1000.0)):
        population.add(program(number, score, f"{number}\n" * (1, 15, 8)[number]), 0)
    assert len(population.island(0)) == 3
    options = {"explore": explore, "exploit": exploit, "top": 1, "diverse": 1}
    chosen = [choose(population, 0, random.Random(seed), **options) for seed in range(60)]  # type: ignore[arg-type]
    assert {choice.parent.number for choice in chosen} == expected
    for choice in chosen:  # the other two are shown, best first
        others = [n for n in (2, 1, 0) if n != choice.parent.number]
        assert [each.number for each in choice.shown] == others
