"""When a solution is hopeless: its value has stayed below a bar."""

from collections.abc import Sequence

LOOKS = 2  # in a row below the bar


def is_hopeless(values: Sequence[float], bar: float) -> bool:
    """Say whether a solution with these values so far, in order, is to be given up."""
    return len(values) >= LOOKS and max(values[-LOOKS:]) < bar
