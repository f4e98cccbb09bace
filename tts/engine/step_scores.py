"""Step scores of a reward model that need not read again what it has read.

A causal model's score at a step tag depends on the tokens up to it and on nothing after. So a
score is remembered by its prefix of tokens, and the model runs from the end of the prefix that its
KV cache still holds: of a problem's n solutions the problem is read once, of a search tree every
step once, but for the last, partly filled block.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence

import numpy as np

from tts.engine.translate import Pooled, right_column
from tts.errors import EngineError
from tts.types import StepScores, Usage, sum_usage

MAX_ENTRIES = 2**17

Pool = Callable[[tuple[int, ...], bool], Awaitable[Pooled]]


class StepReader:
    """Reads the score at the end of every step of a token sequence.

    Args:
        pool: Runs the model over token ids and returns the class probabilities of the last R of
            them, [R, C]; told whether it may leave out those whose KV it has cached.
        max_entries: Scores remembered; the longest unused go first.
    """

    def __init__(self, pool: Pool, max_entries: int = MAX_ENTRIES) -> None:
        self._pool = pool
        self._max_entries = max_entries
        self._scores: OrderedDict[bytes, float] = OrderedDict()

    async def read(self, token_ids: tuple[int, ...], step_ends: Sequence[int]) -> StepScores:
        """Return the scores, one per step, and what reading them cost: nothing if all were known.

        Args:
            token_ids: What the model reads.
            step_ends: Places of the steps' last tokens, their tags, in order.

        Raises:
            CapabilityError: The model has more than two classes.
            EngineError: The model failed, or left out rows that it was not told to.
        """
        keys = _prefix_keys(token_ids, step_ends)
        spent: list[Usage] = []
        known = self._find(keys)
        # Cached KV may outlive its scores here; then the model reads everything.
        for may_skip in (True, False):
            if None not in known:
                break
            pooled = await self._pool(token_ids, may_skip)
            spent.append(pooled.usage)
            self._keep(keys, _fresh(pooled, step_ends, len(token_ids)))
            known = self._find(keys)
        values = tuple(value for value in known if value is not None)
        if len(values) < len(keys):
            raise EngineError(f"{len(keys) - len(values)} of {len(keys)} steps have no score")
        return StepScores(values, sum_usage(spent))

    def forget(self) -> None:
        """Forget all scores."""
        self._scores.clear()

    def _find(self, keys: Sequence[bytes]) -> list[float | None]:
        # Taken out and put back at the end: safe beside another thread that does the same.
        found = [self._scores.pop(key, None) for key in keys]
        known = {key: value for key, value in zip(keys, found, strict=True) if value is not None}
        self._scores.update(known)
        return found

    def _keep(self, keys: Sequence[bytes], values: Sequence[float]) -> None:
        """Remember the scores of the last steps."""
        self._scores.update(zip(keys[len(keys) - len(values) :], values, strict=True))
        while len(self._scores) > self._max_entries:
            self._scores.popitem(last=False)


def _fresh(pooled: Pooled, step_ends: Sequence[int], num_tokens: int) -> tuple[float, ...]:
    """Return the scores of the steps that end among the tokens that were read."""
    skipped = num_tokens - len(pooled.values)
    rows = [place - skipped for place in step_ends if place >= skipped]
    return right_column(pooled.values[rows]) if rows else ()


def _prefix_keys(token_ids: tuple[int, ...], step_ends: Sequence[int]) -> list[bytes]:
    """Return one key for each step: a hash of all tokens up to its end."""
    ids = np.asarray(token_ids, dtype=np.int64)
    digest = hashlib.blake2b(digest_size=16)
    keys, begin = [], 0
    for end in step_ends:
        digest.update(ids[begin : end + 1].tobytes())
        keys.append(digest.digest())
        begin = end + 1
    return keys
