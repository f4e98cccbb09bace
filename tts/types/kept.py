"""What one problem of a run leaves to those that come after it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Kept:
    """What a node kept of a problem.

    Attributes:
        place: Of the problem in the run, from 0; problems further on may read it.
        seed: That the problem ran with; repeats of a problem have different ones, and learn apart.
        node: Path of the node that kept it, and may read it.
        problem: Id of the problem.
        values: What was kept, as JSON values.
    """

    place: int
    seed: int
    node: str
    problem: str
    values: Mapping[str, Any]
