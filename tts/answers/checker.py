"""Are two answers equal? Cheap rules first, a symbolic comparison in another process last."""

import asyncio
import logging
import os
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Lock
from typing import Self

from tts.answers.canonical import canonical_form
from tts.answers.processes import TooSlow, Unavailable, Workers
from tts.answers.rules import equal_by_rule
from tts.types import AnswerType

_LOG = logging.getLogger(__name__)
_MAX_WORKERS = 4
_SYMBOLIC_TYPES = frozenset({"math", "integer"})
Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class CheckerStats:
    """What the symbolic comparisons came to.

    Attributes:
        compared: Pairs that reached a worker process.
        timeouts: Pairs given up at the time limit, and counted as not equal.
        crashes: Deaths of a worker process; each pair gets a second try in a new one.
    """

    compared: int = 0
    timeouts: int = 0
    crashes: int = 0


@dataclass(slots=True)
class Patience:
    """CPU time that comparisons may waste on one problem, by running into the time limit.

    Once it is used up, the problem's other answers are compared by form only.
    """

    seconds: float = 6.0


class AnswerChecker:
    """Compares answers; safe to share between threads and event loops.

    Equality is decided by form where that suffices. Only answers of type "math" and "integer" are
    compared further, by math-verify in worker processes, which start when they are needed, are
    killed and restarted after a time-out, and end with `close` or with the interpreter. An answer
    that was too slow once is compared by form only from then on. "free" answers are never equal.
    Equality found this way is no partition: a = b and b = c do not give a = c.
    """

    def __init__(
        self,
        *,
        timeout_seconds: float = 3.0,
        cache_size: int = 10_000,
        max_workers: int | None = None,
    ) -> None:
        """Prepare; no process is started yet.

        Args:
            timeout_seconds: CPU time of one symbolic comparison, so that a busy machine decides
                like an idle one; in wall time at most four times that.
            cache_size: Results kept, the least recently used going first.
            max_workers: Processes that compare at the same time; one for each core if None, at
                least two and at most four. Each takes about 100 MB.
        """
        size = max_workers or max(2, min(_MAX_WORKERS, os.cpu_count() or 1))
        self._timeout_seconds = timeout_seconds
        self._cache = _Cache(cache_size)
        self._slow_answers: set[str] = set()
        self._given_up: set[Pair] = set()
        self._stats = CheckerStats()
        # Keeps apart the threads that count.
        self._lock = Lock()
        self._workers = Workers(size)
        self._executor = ThreadPoolExecutor(size, thread_name_prefix="tts-answers")

    @property
    def stats(self) -> CheckerStats:
        """Counters since the checker was made."""
        return self._stats

    def are_equal(
        self,
        gold: str,
        candidate: str,
        answer_type: AnswerType,
        *,
        patience: Patience | None = None,
    ) -> bool:
        """Compare a candidate with a gold answer; may block up to the time limit.

        A comparison that times out or cannot be read is "not equal", and is counted in `stats`.

        Args:
            gold: The reference, or the answer that is already known.
            candidate: The other answer.
            answer_type: How they are compared.
            patience: Of the problem, if it is limited.
        """
        known = self.decide(gold, candidate, answer_type)
        if known is not None:
            return known
        return self._compare(_pair(gold, candidate, answer_type), patience)

    async def aequal(
        self,
        gold: str,
        candidate: str,
        answer_type: AnswerType,
        *,
        patience: Patience | None = None,
    ) -> bool:
        """Compare like `are_equal`, without blocking the event loop."""
        known = self.decide(gold, candidate, answer_type)
        if known is not None:
            return known
        loop = asyncio.get_running_loop()
        pair = _pair(gold, candidate, answer_type)
        return await loop.run_in_executor(self._executor, self._compare, pair, patience)

    def gave_up(self, gold: str, candidate: str, answer_type: AnswerType) -> bool:
        """Tell whether this pair was compared by form only, for want of time."""
        pair = _pair(gold, candidate, answer_type)
        return pair[0] != pair[1] and (pair in self._given_up or self._is_slow(pair))

    def close(self) -> None:
        """End the worker processes; comparisons that would need them are then "not equal"."""
        self._executor.shutdown(wait=False, cancel_futures=True)
        self._workers.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def decide(self, gold: str, candidate: str, answer_type: AnswerType) -> bool | None:
        """Compare at once, without a worker; None when only a symbolic comparison can tell."""
        pair = _pair(gold, candidate, answer_type)
        gold, candidate = pair
        if answer_type == "free" or not (gold and candidate):
            return False
        if gold == candidate:
            return True
        if answer_type not in _SYMBOLIC_TYPES:
            return False
        by_rule = equal_by_rule(gold, candidate)
        if by_rule is not None:
            return by_rule
        return False if self._is_slow(pair) else self._cache.get(pair)

    def _is_slow(self, pair: Pair) -> bool:
        return not self._slow_answers.isdisjoint(pair)

    def _compare(self, pair: Pair, patience: Patience | None) -> bool:
        # Another thread may have asked the same while this one waited.
        known = self._cache.get(pair)
        if known is not None or self._is_slow(pair):
            return known is True
        if patience is not None and patience.seconds <= 0:
            with self._lock:
                self._given_up.add(pair)
            return False
        self._count(compared=1)
        verdict = self._ask(pair, patience)
        self._cache.put(pair, verdict)
        return verdict

    def _ask(self, pair: Pair, patience: Patience | None) -> bool:
        for _ in range(2):
            try:
                worker = self._workers.lend()
            except Unavailable:
                return False
            except (EOFError, OSError, TimeoutError) as error:
                self._record_crash(pair, error)
                continue
            try:
                return worker.compare(*pair, self._timeout_seconds)
            except TooSlow as error:
                self._give_up(pair, error.answer, patience)
                return False
            except (EOFError, OSError) as error:
                if self._workers.is_closed:
                    return False
                self._record_crash(pair, error)
            finally:
                self._workers.give_back(worker)
        return False

    def _give_up(self, pair: Pair, slow: str | None, patience: Patience | None) -> None:
        self._count(timeouts=1)
        with self._lock:
            self._given_up.add(pair)
            if slow is not None:
                self._slow_answers.add(slow)
            if patience is not None:
                patience.seconds -= self._timeout_seconds
        _LOG.warning("gave up comparing %.80r with %.80r: too slow", *pair)

    def _record_crash(self, pair: Pair, error: Exception) -> None:
        self._count(crashes=1)
        _LOG.warning("comparing %.80r with %.80r: process died: %r", *pair, error)

    def _count(self, *, compared: int = 0, timeouts: int = 0, crashes: int = 0) -> None:
        with self._lock:
            self._stats = replace(
                self._stats,
                compared=self._stats.compared + compared,
                timeouts=self._stats.timeouts + timeouts,
                crashes=self._stats.crashes + crashes,
            )


def _pair(gold: str, candidate: str, answer_type: AnswerType) -> Pair:
    return canonical_form(gold, answer_type), canonical_form(candidate, answer_type)


class _Cache:
    """Results by pair, bounded; the least recently used goes first."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._values: OrderedDict[Pair, bool] = OrderedDict()
        # Keeps apart an event loop that looks up and the threads that compare; held for a moment.
        self._lock = Lock()

    def get(self, key: Pair) -> bool | None:
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def put(self, key: Pair, value: bool) -> None:
        with self._lock:
            self._values[key] = value
            if len(self._values) > self._size:
                self._values.popitem(last=False)
