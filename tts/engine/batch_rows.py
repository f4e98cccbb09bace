"""Which sequence is in which row of vLLM's batch."""

from collections.abc import Callable
from typing import Any, TypeVar

_T = TypeVar("_T")


def follow(rows: dict[int, _T], update: Any, begin: Callable[[Any, list[int]], _T | None]) -> None:
    """Apply vLLM's changes to the rows: removed, added, moved, in this order.

    Args:
        rows: What is kept of each sequence, by row; changed in place.
        update: vLLM's `BatchUpdate`; None where nothing changed.
        begin: Makes what is kept of a new sequence, of its sampling parameters and the list of its
            output tokens, which vLLM goes on filling; None where nothing is to be kept.
    """
    if update is None:
        return
    for index in update.removed:
        rows.pop(index, None)
    for index, params, _, output_ids in update.added:
        kept = begin(params, output_ids)
        if kept is None:
            rows.pop(index, None)
        else:
            rows[index] = kept
    for source, target, direction in update.moved:
        left, right = rows.pop(source, None), rows.pop(target, None)
        if left is not None:
            rows[target] = left
        if right is not None and direction.name == "SWAP":
            rows[source] = right
