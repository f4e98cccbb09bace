"""Plans a round trip: every city is visited once, and the way back to the first one counts."""

import math

# EVOLVE-BLOCK-START


def tour(cities: tuple[tuple[float, float], ...]) -> list[int]:
    """Return the indices of all cities in the order in which they are visited: short is good.

    cities: x and y of each; the distance of two is math.dist(a, b).
    """
    return list(range(len(cities)))


# EVOLVE-BLOCK-END
