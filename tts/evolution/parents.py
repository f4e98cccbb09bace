"""Which program is improved on, and which ones are shown beside it."""

import random
from collections.abc import Sequence
from typing import NamedTuple

from tts.evolution.population import Population, Program, distance

_LEAST_WEIGHT = 0.001  # of a program that is drawn by its score, as OpenEvolve has it


class Choice(NamedTuple):
    """A program to improve on, and others to learn from, best first."""

    parent: Program
    shown: tuple[Program, ...]


def choose(
    population: Population,
    island: int,
    draws: random.Random,
    *,
    explore: float,
    exploit: float,
    top: int,
    diverse: int,
) -> Choice:
    """Draw a parent as OpenEvolve does (github.com/codelion/openevolve).

    Args:
        population: It.
        island: That the child will belong to; it holds a program.
        draws: Source of chance.
        explore: Chance of any program of the island, each as likely.
        exploit: Chance of one of the best of all, those of the island first; else one of the island
            is drawn by its score.
        top: Best programs of the island that are shown.
        diverse: Programs of the island that are shown for being least like the parent.
    """
    own = population.island(island)
    chance = draws.random()
    if chance < explore:
        parent = draws.choice(own)
    elif chance < explore + exploit:
        numbers = {program.number for program in own}
        elite = [program for program in population.archive if program.number in numbers]
        parent = draws.choice(elite or population.archive)
    else:
        weights = [max(program.score, _LEAST_WEIGHT) for program in own]
        parent = draws.choices(own, weights)[0]
    others = [program for program in own if program.code != parent.code]
    shown = others[:top]
    rest = sorted(others[top:], key=lambda program: -distance(program.code, parent.code))
    return Choice(parent, (*shown, *_best_first(rest[:diverse])))


def _best_first(programs: Sequence[Program]) -> list[Program]:
    return sorted(programs, key=lambda program: -program.score)
