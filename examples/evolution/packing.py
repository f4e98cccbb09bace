"""Packs items into bins of size 100. They come one after the other, and stay where they are put."""

# EVOLVE-BLOCK-START


def choose(item: int, free: tuple[int, ...]) -> int:
    """Return the index in `free` of the bin that the item goes into; len(free) opens a new bin.

    item: its size, from 20 to 70.
    free: the room left in each open bin, in the order in which they were opened.
    """
    if free and free[-1] >= item:
        return len(free) - 1
    return len(free)


# EVOLVE-BLOCK-END
