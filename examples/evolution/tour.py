"""Plans a round trip: every city is visited once, and the way back to the first one counts."""

import math

Place = tuple[float, float]


def distance(a: Place, b: Place) -> float:
    """Return how far two cities are from each other."""
    return math.dist(a, b)


# EVOLVE-BLOCK-START


def tour(cities: tuple[Place, ...]) -> list[int]:
    """Return the indices of all cities in the order in which they are visited.

    A short way is good. There are 40 cities or more, too many to try every order.
    """
    return list(range(len(cities)))


# EVOLVE-BLOCK-END
