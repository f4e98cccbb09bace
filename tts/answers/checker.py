"""Are two answers equal? Cheap rules first, a symbolic comparison in another process last."""

import asyncio
import logging
import re
import signal
import subprocess
import sys
import weakref
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from threading import Lock
from typing import Self

from tts.answers.canonical import MAX_ANSWER_CHARS, canonical_form, is_number
from tts.types import AnswerType

_LOG = logging.getLogger(__name__)
_START_SECONDS = 60.0
_WALL_PER_CPU_SECOND = 4.0
_MAX_FAILED_STARTS = 3
# To a symbolic comparison a word is a product of letters, and "east" equals "seat".
_WORDS = re.compile(r"[A-Za-z]{4,}(?: [A-Za-z]+)*")
_SYMBOLIC_TYPES = frozenset({"math", "integer"})
# Not `multiprocessing`'s spawn: that runs the user's main script again, and a script without an
# `if __name__ == "__main__"` guard would solve its problems a second time. -P and the appended
# folder keep the current directory and the repository root from hiding other packages.
_COMMAND = """
import sys
sys.path.append(sys.argv[2])
from tts.answers.worker import main
main(int(sys.argv[1]))
"""


@dataclass(frozen=True, slots=True)
class CheckerStats:
    """What the symbolic comparisons came to.

    Attributes:
        compared: Pairs that reached the worker process.
        timeouts: Pairs given up at the time limit, and counted as not equal.
        crashes: Deaths of the worker process; each pair gets a second try in a new one.
    """

    compared: int = 0
    timeouts: int = 0
    crashes: int = 0


class AnswerChecker:
    """Compares answers; safe to share between threads and event loops.

    Equality is decided by canonical form where that suffices. Only answers of type "math" and
    "integer" are compared further, by math-verify in one worker process that starts on first use,
    is killed and restarted after a time-out, and ends with `close` or with the interpreter.
    Equality found this way is no partition: a = b and b = c do not give a = c.
    """

    def __init__(self, *, timeout_seconds: float = 3.0, cache_size: int = 10_000) -> None:
        """Prepare; no process is started yet.

        Args:
            timeout_seconds: CPU time of one symbolic comparison, so that a busy machine decides
                like an idle one; in wall time at most four times that.
            cache_size: Results kept, the least recently used going first.
        """
        self._timeout_seconds = timeout_seconds
        self._cache = _Cache(cache_size)
        self._too_slow: set[tuple[str, str]] = set()
        self._worker: _Worker | None = None
        self._failed_starts = 0
        self._closed = False
        self._stats = CheckerStats()
        # Keeps apart the threads that would talk to the one worker process.
        self._lock = Lock()
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="tts-answers")

    @property
    def stats(self) -> CheckerStats:
        """Counters since the checker was made."""
        return self._stats

    def are_equal(self, gold: str, candidate: str, answer_type: AnswerType) -> bool:
        """Compare a candidate with a gold answer; may block up to the time limit.

        A comparison that times out or cannot be read is "not equal", and is counted in `stats`.
        """
        pair = (canonical_form(gold, answer_type), canonical_form(candidate, answer_type))
        known = self._decide(pair, answer_type)
        return self._compare(pair) if known is None else known

    async def aequal(self, gold: str, candidate: str, answer_type: AnswerType) -> bool:
        """Compare like `are_equal`, without blocking the event loop."""
        pair = (canonical_form(gold, answer_type), canonical_form(candidate, answer_type))
        known = self._decide(pair, answer_type)
        if known is not None:
            return known
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._compare, pair)

    def gave_up(self, gold: str, candidate: str, answer_type: AnswerType) -> bool:
        """Tell whether this pair was compared and ran into the time limit."""
        pair = (canonical_form(gold, answer_type), canonical_form(candidate, answer_type))
        return pair in self._too_slow

    def close(self) -> None:
        """End the worker process; comparisons that would need it are then "not equal"."""
        self._closed = True
        self._executor.shutdown(wait=False, cancel_futures=True)
        if self._worker is not None:
            self._worker.kill()  # wakes a thread that waits for it, and that holds the lock
        with self._lock:
            if self._worker is not None:
                self._worker.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _decide(self, pair: tuple[str, str], answer_type: AnswerType) -> bool | None:
        """Decide without the worker; None when only a symbolic comparison can tell."""
        gold, candidate = pair
        if gold == candidate:
            return bool(gold)
        if answer_type not in _SYMBOLIC_TYPES or not (gold and candidate):
            return False
        if is_number(gold) and is_number(candidate):
            return False
        if _WORDS.fullmatch(gold) and _WORDS.fullmatch(candidate):
            return gold.casefold() == candidate.casefold()
        if max(len(gold), len(candidate)) > MAX_ANSWER_CHARS:
            return False
        return self._cache.get(pair)

    def _compare(self, pair: tuple[str, str]) -> bool:
        with self._lock:
            # Another thread may have asked the same while this one waited.
            known = self._cache.get(pair)
            if known is None:
                self._stats = replace(self._stats, compared=self._stats.compared + 1)
                known = self._ask(pair)
                self._cache.put(pair, known)
            return known

    def _ask(self, pair: tuple[str, str]) -> bool:
        for _ in range(2):
            if self._closed or self._failed_starts >= _MAX_FAILED_STARTS:
                break
            try:
                return self._ready_worker().compare(pair, self._timeout_seconds)
            except TimeoutError:
                self._stats = replace(self._stats, timeouts=self._stats.timeouts + 1)
                self._too_slow.add(pair)
                _LOG.warning("gave up comparing %.80r with %.80r: too slow", *pair)
                break
            except (EOFError, OSError) as error:
                if not self._closed:
                    self._stats = replace(self._stats, crashes=self._stats.crashes + 1)
                    _LOG.warning("comparing %.80r with %.80r: process died: %r", *pair, error)
        return False

    def _ready_worker(self) -> "_Worker":
        if self._worker is None or self._worker.is_stopped:
            # A machine where the worker cannot start (no math-verify, no memory) is told so three
            # times; the run goes on with canonical forms alone.
            self._failed_starts += 1
            self._worker = _Worker()
            self._failed_starts = 0
        return self._worker


class _Worker:
    """The process behind a checker: started in the constructor, stopped after any failure."""

    def __init__(self) -> None:
        self._connection, theirs = Pipe()
        root = Path(__file__).parents[2]
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _COMMAND, str(theirs.fileno()), str(root)],
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            process_group=0,  # Ctrl-C on a terminal is for us alone
        )
        theirs.close()
        self._stop = weakref.finalize(self, _stop, self._process, self._connection)
        self._exchange(None, _START_SECONDS)

    @property
    def is_stopped(self) -> bool:
        return not self._stop.alive

    def compare(self, pair: tuple[str, str], seconds: float) -> bool:
        """Return the worker's verdict.

        Raises:
            TimeoutError: It took too long; the process is gone.
            EOFError, OSError: The process died.
        """
        return bool(self._exchange((*pair, seconds), _WALL_PER_CPU_SECOND * seconds))

    def kill(self) -> None:
        """End the process and leave the connection to the thread that reads it."""
        self._process.kill()

    def stop(self) -> None:
        """End the process and close the connection; idempotent."""
        self._stop()

    def _exchange(self, request: object, seconds: float) -> object:
        """Send a request, if there is one, and return the reply."""
        try:
            if request is not None:
                self._connection.send(request)
            if self._connection.poll(seconds):
                return self._connection.recv()
        except BaseException as error:
            # Also for Ctrl-C: a reply that comes later would be taken for the next pair's.
            self.stop()
            died = isinstance(error, EOFError | OSError)
            if died and self._process.returncode == -signal.SIGPROF:
                raise TimeoutError from error
            raise
        self.stop()
        raise TimeoutError


def _stop(process: "subprocess.Popen[bytes]", connection: "Connection[object, object]") -> None:
    process.kill()
    process.wait()
    connection.close()


class _Cache:
    """Results by pair, bounded; the least recently used goes first."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._values: OrderedDict[tuple[str, str], bool] = OrderedDict()
        # Keeps apart an event loop that looks up and the thread that compares; held for a moment.
        self._lock = Lock()

    def get(self, key: tuple[str, str]) -> bool | None:
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def put(self, key: tuple[str, str], value: bool) -> None:
        with self._lock:
            self._values[key] = value
            if len(self._values) > self._size:
                self._values.popitem(last=False)
