"""How short a program's round trips are: what a plain search needs, in percent of their length.

Run it: tts evolve examples/evolution/tour.py --evaluator examples/evolution/tour_evaluator.py
"""

import math
import random
from typing import Any

Cities = tuple[tuple[float, float], ...]


def evaluate_stage1(program: Any) -> float:
    """A few cities show whether it works at all: 1 if it does."""
    return float(share(program, seed=0, size=8) > 0)


def evaluate(program: Any) -> dict[str, float | str]:
    """Its mean over four maps; 100 is as good as `searched`."""
    shares = [share(program, seed, size=40) for seed in range(1, 5)]
    score = sum(shares) / len(shares)
    notes = f"Its trips are {100 / score:.2f} times as long as those of a search by 2-opt."
    return {"score": score, "worst": min(shares), "notes": notes}


def held_out(program: Any) -> float:
    """Maps by which nothing is chosen."""
    return sum(share(program, seed, size=60) for seed in range(100, 104)) / 4


def share(program: Any, seed: int, size: int) -> float:
    """Let it plan a trip of so many cities."""
    draws = random.Random(seed)
    cities = tuple((draws.random(), draws.random()) for _ in range(size))
    order = list(program.tour(cities))
    if sorted(order) != list(range(size)):
        raise ValueError(f"a tour holds each of 0 to {size - 1} once; got {order!r:.200}")
    return 100 * length(cities, searched(cities)) / length(cities, order)


def length(cities: Cities, order: list[int]) -> float:
    """Return how long a round trip is."""
    return sum(
        math.dist(cities[a], cities[b]) for a, b in zip(order, order[1:] + order[:1], strict=True)
    )


def searched(cities: Cities) -> list[int]:
    """Go to the nearest city left, then turn parts round as long as that shortens the trip."""
    order, left = [0], set(range(1, len(cities)))
    while left:
        order.append(min(left, key=lambda city: math.dist(cities[order[-1]], cities[city])))
        left.remove(order[-1])
    best, is_better = length(cities, order), True
    while is_better:
        is_better = False
        for i in range(1, len(order) - 1):
            for j in range(i + 1, len(order)):
                other = order[:i] + order[i : j + 1][::-1] + order[j + 1 :]
                if length(cities, other) < best - 1e-9:
                    order, best, is_better = other, length(cities, other), True
    return order
