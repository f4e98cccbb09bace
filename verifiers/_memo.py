"""Step scores by prefix: a reward model reads every prefix of a search tree again and again."""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence

MAX_ENTRIES = 2**17


class StepMemo:
    """Scores of steps by (problem, steps so far); the longest unused go first.

    The score of a step does not depend on what comes after it.
    """

    def __init__(self, max_entries: int = MAX_ENTRIES) -> None:
        self._max_entries = max_entries
        self._scores: OrderedDict[bytes, float] = OrderedDict()

    def find(self, problem: str, steps: Sequence[str]) -> tuple[float, ...] | None:
        """Return the scores of all steps; None if any is unknown."""
        keys = _keys(problem, steps)
        if any(key not in self._scores for key in keys):
            return None
        for key in keys:
            self._scores.move_to_end(key)
        return tuple(self._scores[key] for key in keys)

    def keep(self, problem: str, steps: Sequence[str], scores: Sequence[float]) -> None:
        """Remember one score per step."""
        self._scores.update(zip(_keys(problem, steps), scores, strict=True))
        while len(self._scores) > self._max_entries:
            self._scores.popitem(last=False)


def _keys(problem: str, steps: Sequence[str]) -> list[bytes]:
    digest = hashlib.blake2b(problem.encode("utf-8", "surrogatepass"), digest_size=16)
    keys = []
    for step in steps:
        digest.update(b"\x1e" + step.encode("utf-8", "surrogatepass"))
        keys.append(digest.digest())
    return keys
