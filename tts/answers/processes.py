"""The processes that compare answers: started when needed, killed when an answer takes too long."""

import signal
import subprocess
import sys
import time
import weakref
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from threading import Condition

_START_SECONDS = 60.0
_WALL_PER_CPU_SECOND = 4.0
_MAX_FAILED_STARTS = 3
# Not `multiprocessing`'s spawn: that runs the user's main script again, and a script without an
# `if __name__ == "__main__"` guard would solve its problems a second time. -P and the appended
# folder keep the current directory and the repository root from hiding other packages.
_COMMAND = """
import sys
sys.path.append(sys.argv[2])
from tts.answers.worker import main
main(int(sys.argv[1]))
"""


class TooSlow(Exception):
    """A comparison ran out of time.

    Attributes:
        answer: The one that takes for ever by itself; None if only the two together do.
    """

    def __init__(self, answer: str | None) -> None:
        super().__init__(answer)
        self.answer = answer


class Unavailable(Exception):
    """No process can be had: all were closed, or none starts on this machine."""


class Worker:
    """One process: started in the constructor, stopped after any failure."""

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
        self._receive(_START_SECONDS)

    @property
    def is_stopped(self) -> bool:
        """Whether the process is gone."""
        return not self._stop.alive

    def compare(self, gold: str, candidate: str, seconds: float) -> bool:
        """Return the worker's verdict.

        Args:
            gold: Canonical form.
            candidate: Canonical form.
            seconds: CPU time; in wall time four times that.

        Raises:
            TooSlow: It took too long; the process is gone.
            EOFError, OSError: The process died.
        """
        end = time.monotonic() + _WALL_PER_CPU_SECOND * seconds
        at: str | None = gold
        try:
            self._send((gold, candidate, seconds))
            for following in (candidate, None):
                self._receive(end - time.monotonic())
                at = following
            return bool(self._receive(end - time.monotonic()))
        except TimeoutError:
            raise TooSlow(at) from None

    def kill(self) -> None:
        """End the process and leave the connection to the thread that reads it."""
        self._process.kill()

    def stop(self) -> None:
        """End the process and close the connection; idempotent."""
        self._stop()

    def _send(self, request: object) -> None:
        try:
            self._connection.send(request)
        except BaseException:
            self.stop()
            raise

    def _receive(self, seconds: float) -> object:
        """Return the next message.

        Raises:
            TimeoutError: None came in time, or the process used up its CPU time.
        """
        try:
            if self._connection.poll(max(0.0, seconds)):
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


class Workers:
    """Up to `size` processes, lent to one thread each; the next starts when all are lent."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._idle: list[Worker] = []
        self._lent: set[Worker] = set()
        self._num_starting = 0
        self._failed_starts = 0
        self._closed = False
        # Keeps apart the threads that lend and return.
        self._changed = Condition()

    @property
    def is_closed(self) -> bool:
        """Whether no process is lent any more."""
        return self._closed

    def lend(self) -> Worker:
        """Return a running process for this thread alone; waits while all are lent.

        Raises:
            Unavailable: Closed, or three starts have failed: no math-verify, no memory.
            EOFError, OSError, TimeoutError: This start failed.
        """
        with self._changed:
            while not (self._closed or self._idle or self._may_start()):
                self._changed.wait()
            if self._closed or (not self._idle and self._failed_starts >= _MAX_FAILED_STARTS):
                raise Unavailable
            if self._idle:
                worker = self._idle.pop()
                self._lent.add(worker)
                return worker
            self._num_starting += 1
        return self._start()

    def give_back(self, worker: Worker) -> None:
        """Take a process back, running or stopped."""
        with self._changed:
            self._lent.discard(worker)
            if self._closed:
                worker.stop()
            elif not worker.is_stopped:
                self._idle.append(worker)
            self._changed.notify()

    def close(self) -> None:
        """End all processes; wakes the threads that wait for a verdict."""
        with self._changed:
            self._closed = True
            for worker in self._lent:
                worker.kill()
            for worker in self._idle:
                worker.stop()
            self._idle.clear()
            self._changed.notify_all()

    def _may_start(self) -> bool:
        return (
            self._failed_starts >= _MAX_FAILED_STARTS
            or len(self._lent) + self._num_starting < self._size
        )

    def _start(self) -> Worker:
        try:
            worker = Worker()
        except BaseException:
            with self._changed:
                self._num_starting -= 1
                self._failed_starts += 1
                self._changed.notify()
            raise
        with self._changed:
            self._num_starting -= 1
            self._failed_starts = 0
            self._lent.add(worker)
            if self._closed:
                worker.kill()
        return worker


def _stop(process: "subprocess.Popen[bytes]", connection: "Connection[object, object]") -> None:
    process.kill()
    process.wait()
    connection.close()
