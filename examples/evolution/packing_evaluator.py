"""How well a rule packs: the least number of bins that could do, in percent of those it opens.

Run it: tts evolve examples/evolution/packing.py --evaluator examples/evolution/packing_evaluator.py
"""

import math
import random
from typing import Any

CAPACITY = 100
THRESHOLDS = [40]


def evaluate_stage1(program: Any) -> float:
    """A few items show whether the rule works at all."""
    return packed(program, seed=0, size=20)


def evaluate(program: Any) -> dict[str, float]:
    """The rule's mean over four streams of items."""
    shares = [packed(program, seed, size=100) for seed in range(1, 5)]
    return {"score": sum(shares) / len(shares), "worst": min(shares)}


def held_out(program: Any) -> float:
    """Streams by which nothing is chosen."""
    return sum(packed(program, seed, size=200) for seed in range(100, 105)) / 5


def packed(program: Any, seed: int, size: int) -> float:
    """Pack one stream."""
    draws = random.Random(seed)
    items = [draws.randint(20, 70) for _ in range(size)]
    free: list[int] = []
    for item in items:
        place = program.choose(item, tuple(free))  # a tuple, which the program cannot change
        if place == len(free):
            free.append(CAPACITY)
        if free[place] < item:
            raise ValueError(f"an item of {item} was put into a bin with room for {free[place]}")
        free[place] -= item
    return 100 * math.ceil(sum(items) / CAPACITY) / len(free)
