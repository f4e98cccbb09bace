"""The thread in which a vLLM engine is built and stepped."""

import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

from tts.buffered_stream import as_error
from tts.engine import host
from tts.errors import EngineError, TTSError

T = TypeVar("T")
Job = Callable[[], None]
logger = logging.getLogger(__name__)


class Beside(Protocol):
    """What works in the engine's thread beside the engine: a step of it after each of theirs."""

    @property
    def is_busy(self) -> bool:
        """Whether it has something to do."""
        ...

    def tokens_in_flight(self) -> int:
        """Return the tokens that unfinished completions have so far; asked from any thread."""
        ...

    def step(self) -> None:
        """Go one step further; it deals with its own errors."""
        ...

    def bury(self, error: TTSError) -> None:
        """Learn that the engine is dead."""
        ...


class Stepper:
    """Builds an engine in a thread of its own and steps it while it has requests.

    Jobs run in that thread between two steps, in the order in which they were given.

    Attributes:
        engine: vLLM's; None until it is built.
        ready: Resolves when it is.
        beside: What else is stepped; None for nothing.
    """

    def __init__(
        self,
        build: Callable[[], Any],
        *,
        deliver: Callable[[list[Any]], None],
        bury: Callable[[TTSError], None],
    ) -> None:
        """Describe the thread; `start` starts it.

        Args:
            build: Returns vLLM's engine.
            deliver: Takes the requests that finished in a step.
            bury: Called once, when a step has failed and no further request will finish.
        """
        self.engine: Any = None
        self.beside: Beside | None = None
        self.ready: Future[None] = _uncancellable()
        self._build, self._deliver, self._bury = build, deliver, bury
        self._inbox: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._error: TTSError | None = None
        # Keeps callers apart from the dying thread: no job may enter an inbox that nobody reads.
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="tts-vllm", daemon=True)

    def start(self) -> None:
        """Start the thread; `ready` resolves when the engine is built, or says why it is not."""
        host.register(id(self), self.stop)
        self._thread.start()

    def call(self, job: Callable[[], T]) -> Future[T]:
        """Run a job in the engine's thread; a dead engine fails it with its cause of death."""
        future: Future[T] = _uncancellable()
        self.post(lambda: future.set_result(job()), future.set_exception)
        return future

    def post(self, job: Job, fail: Callable[[Exception], None]) -> None:
        """Like `call` where nobody waits: `fail` is told of an error, and must not fail itself."""

        def run() -> None:
            try:
                # A dead engine's thread empties its inbox through the same jobs.
                if self._error is not None:
                    raise type(self._error)(str(self._error)) from self._error
                job()
            except Exception as error:
                fail(error)

        with self._lock:
            if self._error is None:
                self._inbox.put(run)
                return
        run()

    def stop(self) -> None:
        """End the thread after the jobs that it already has, and count the engine as closed."""
        with self._lock:
            self._inbox.put(None)
        if self._thread.ident is not None:
            self._thread.join()
        host.retire(id(self), self.engine)

    def _run(self) -> None:
        try:
            self.engine = self._build()
        except BaseException as error:
            cause = as_error(error, "the engine could not start")
            self._die(cause)
            # Whoever waits may never close an engine that never was.
            host.retire(id(self), None)
            self.ready.set_exception(cause)
            return
        self.ready.set_result(None)
        try:
            while self._work():
                with host.STEP_LOCK:
                    outputs = self.engine.step() if self.engine.has_unfinished_requests() else ()
                    if self.beside is not None:
                        self.beside.step()
                if outputs:
                    self._deliver(outputs)
            reason: TTSError = EngineError("the engine is closed")
        except BaseException as error:
            logger.debug("the engine's thread died", exc_info=True)
            reason = as_error(error, "the engine died")
        self._die(reason)

    def _work(self) -> bool:
        """Do the waiting jobs, sleeping while there is nothing to step; False means stop."""
        while True:
            busy = self.engine.has_unfinished_requests()
            busy = busy or (self.beside is not None and self.beside.is_busy)
            try:
                job = self._inbox.get(block=not busy)
            except queue.Empty:
                return True
            if job is None:
                return False
            job()

    def _die(self, error: TTSError) -> None:
        # Before the error shows, so that whoever meets it finds its stream already told.
        self._bury(error)
        if self.beside is not None:
            self.beside.bury(error)
        with self._lock:
            self._error = error
        while True:
            try:
                job = self._inbox.get_nowait()
            except queue.Empty:
                return
            if job is not None:
                job()


def _uncancellable() -> Future[Any]:
    """Return a future that counts as running: a caller who gives up must not undo an abort."""
    future: Future[Any] = Future()
    future.set_running_or_notify_cancel()
    return future
