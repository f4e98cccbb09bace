"""The first process of a sandbox: runs one test after the other, and ends what a test began.

For each test, or for several that may share them, it forks a process for the code and, where the
test is code too, one for the test. Both give up what they do not need before anything of theirs
runs. The process of the code never holds the test, and no test's process or file outlives it.
"""

import contextlib
import fcntl
import gc
import json
import os
import resource
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

from tts.verifiers._sandbox.inside import frames, kernel, tester, worker
from tts.verifiers._sandbox.inside.channels import Channel
from tts.verifiers._sandbox.inside.landlock import restrict_files
from tts.verifiers._sandbox.inside.options import Options
from tts.verifiers._sandbox.inside.processes import Tree, TreeUse
from tts.verifiers._sandbox.inside.seccomp import filter_calls, make_filter

_LOOK_SECONDS = 0.1  # between looks at what the tree of processes uses
_OWN_PROCESSES = 3  # this one, the test's, and bubblewrap's
_OWN_BYTES = 32 * 2**20  # what the interpreters of a test take before anything runs
_MAX_REPORT_BYTES = 2**16
_MAX_REPORTS_BYTES = 2**22  # of tests that share their processes
_HAS_READ = b"\1"
_NOTHING = TreeUse(0.0, 0, 0)


class Supervisor:
    """Runs tests for whoever is at the other end of standard input and output."""

    def __init__(self, options: Options, tree: Tree) -> None:
        self._options, self._tree = options, tree
        self._code = ""
        self._filter = _filter_of(options)
        outside = 0 if options.has_namespaces else tree.num_tasks(os.getuid())
        self._max_tasks = options.processes + max(outside, _OWN_PROCESSES)
        self._null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        self._woken, waker = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(waker, False)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        if not options.has_namespaces:  # there what is in them ends with this process
            signal.signal(signal.SIGTERM, self._end)
        self._groups: list[int] = []

    def serve(self) -> None:
        """Do what is asked until there is no more, or a test has left what cannot be deleted."""
        tester.warm_up()
        gc.freeze()  # what every process of a test shares is then not written to by its collector
        _write_all(1, frames.frame(frames.READY, b"%d" % os.getuid()))
        while head := frames.read_head(0):
            kind, size = head
            if kind == frames.CODE:
                self._code = frames.read_exactly(0, size).decode("utf-8", "surrogatepass")
                continue
            test = _Test(self._options.seconds, self._options.max_cpu_seconds)
            if kind == frames.PROGRAM:
                verdict = self._run_program(test, frames.read_exactly(0, size))
            elif kind == frames.TOGETHER:
                verdict = self._run_together(test, size)
            else:
                run = _evaluate if kind == frames.EVALUATE else _test_code
                verdict = self._run_assertions(test, partial(run, size))
            # What follows on standard input may be the rest of a test, or files of one may be left.
            is_last = not test.is_read or bool(os.listdir("."))
            sent = frames.LAST if is_last else frames.VERDICT
            _write_all(1, frames.frame(sent, json.dumps(verdict).encode()))
            if is_last:
                return

    def _run_program(self, test: "_Test", text: bytes) -> dict[str, Any]:
        given = os.memfd_create("input", os.MFD_CLOEXEC)
        _write_all(given, text)
        os.lseek(given, 0, os.SEEK_SET)
        output, errors = Channel(self._options.output_bytes), Channel(_MAX_REPORT_BYTES)
        files = [given, output.write_end, errors.write_end]
        test.worker = self._fork(files, lambda: worker.run_program(self._code))
        os.close(given)
        reason = self._watch(test, test.worker, errors, output)
        code, ended = self._how_it_ended(test.statuses.get(test.worker))
        reason = reason or ended
        return test.verdict(
            None if reason and code == 0 else code, reason, output=output.data, errors=errors.data
        )

    def _run_assertions(self, test: "_Test", run: Callable[[], None]) -> dict[str, Any]:
        errors, report = Channel(_MAX_REPORT_BYTES), Channel(_MAX_REPORT_BYTES)
        process, reason = self._run_pair(test, run, errors, report)
        said = bytes(report.data[1:])
        has_ended = test.statuses.get(process) == 0
        if not reason and has_ended and said.startswith(b"P"):
            return test.verdict(0, "", output=said[1:], errors=errors.data)
        told = said[1:].decode("utf-8", "replace") if has_ended else ""
        return test.verdict(
            None if reason else 1, reason or told or "its test was ended", errors=errors.data
        )

    def _run_together(self, test: "_Test", size: int) -> dict[str, Any]:
        """Run tests in one pair of processes, one after the other, as far as that goes.

        A test that does not come to its own end ends the pair; whoever asked runs it, and those
        after it, by themselves.
        """
        errors, report = Channel(_MAX_REPORT_BYTES), Channel(_MAX_REPORTS_BYTES)
        self._run_pair(test, lambda: _test_together(size), errors, report)
        lines = bytes(report.data[1:]).split(b"\n")[:-1]
        verdict = test.verdict(0, "", errors=errors.data)
        return {**verdict, "output": json.dumps([json.loads(line) for line in lines])}

    def _run_pair(
        self, test: "_Test", run: Callable[[], None], errors: Channel, report: Channel
    ) -> tuple[int, str]:
        """Run the code in one process and its test in another; say which, and what limit it met."""
        test.is_read = False
        asked, ask = os.pipe()
        answered, answer = os.pipe()
        code = [self._null, self._null, errors.write_end, asked, answer]
        test.worker = self._fork(code, lambda: worker.serve_tests(self._code, 3, 4))
        own = [0, self._null, self._null, answered, ask, report.write_end]
        process = self._fork(own, run)
        for file in (asked, ask, answered, answer):
            os.close(file)
        reason = self._watch(test, process, errors, report)
        test.is_read = report.data.startswith(_HAS_READ)
        return process, reason

    def _how_it_ended(self, status: int | None) -> tuple[int | None, str]:
        if status is None:
            return None, ""
        code = os.waitstatus_to_exitcode(status)
        if code == -signal.SIGXCPU:
            return None, f"it used more than {self._options.max_cpu_seconds} s of CPU time"
        if code < 0:
            return None, f"it was killed by {signal.Signals(-code).name}"
        return code, f"it exited with {code}" if code else ""

    def _watch(self, test: "_Test", process: int, errors: Channel, output: Channel) -> str:
        """Wait until a process ends, and end all others; return which limit was reached."""
        channels = [errors, output]
        poll = select.poll()
        poll.register(self._woken, select.POLLIN)
        for channel in channels:
            os.close(channel.write_end)
            poll.register(channel.read_end, select.POLLIN)
        reason = ""
        look = time.monotonic() + _LOOK_SECONDS
        while not reason and process not in test.statuses:
            wait = min(test.deadline, look) - time.monotonic()
            for file, _ in poll.poll(max(0.0, wait * 1000)):
                self._read(file, channels, poll)
            test.reap()
            use = _NOTHING
            if time.monotonic() >= look:
                look = time.monotonic() + _LOOK_SECONDS
                use = self._tree.use()
            reason = self._limit_reached(test, use, output)
        self._end_test(test)
        for channel in channels:
            while channel.take() and not channel.is_full:
                pass
            channel.close()
        return self._limit_reached(test, _NOTHING, output) if output.is_full else reason

    def _read(self, file: int, channels: list[Channel], poll: Any) -> None:
        if file == self._woken:
            os.read(self._woken, 2**10)
            return
        channel = next(channel for channel in channels if channel.read_end == file)
        if not channel.take():
            poll.unregister(file)

    def _limit_reached(self, test: "_Test", use: TreeUse, output: Channel) -> str:
        options, cpu = self._options, self._options.max_cpu_seconds
        if output.is_full:
            return f"it printed more than {output.limit} bytes"
        if time.monotonic() >= test.deadline:
            return f"it ran longer than {options.seconds:g} s"
        if test.cpu_seconds + use.cpu_seconds > cpu:
            return f"it used more than {cpu} s of CPU time"
        if use.memory_bytes > options.memory_bytes + _OWN_BYTES:
            return f"its processes took more than {options.memory_bytes} bytes of memory"
        if use.num_tasks > options.processes + _OWN_PROCESSES:
            return f"it had more than {options.processes} processes and threads"
        return ""

    def _fork(self, files: list[int], run: Callable[[], int | None]) -> int:
        """Start a process with these files, which gives up its rights and then does its work."""
        parent = os.getpid()
        process = os.fork()
        if process == 0:
            status = 1
            try:
                self._shut_in(parent, files)
                status = run() or 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(status)
        if not self._options.has_namespaces:
            self._groups.append(process)
            _set_group(process)
        return process

    def _shut_in(self, parent: int, files: list[int]) -> None:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        kernel.end_with_parent(parent)
        _set_group(0)
        aside = [fcntl.fcntl(file, fcntl.F_DUPFD, 100) for file in files]
        for number, file in enumerate(aside):
            os.dup2(file, number, inheritable=number < 3)
        os.closerange(len(files), 2**16)
        options = self._options
        if options.mode == "landlock":
            restrict_files(options.folders, os.getcwd(), ["/dev/null"])
        self._set_limits()
        if self._filter:
            filter_calls(self._filter)

    def _set_limits(self) -> None:
        options, cpu = self._options, self._options.max_cpu_seconds
        limits = {
            resource.RLIMIT_AS: options.memory_bytes,
            resource.RLIMIT_NPROC: self._max_tasks,
            resource.RLIMIT_FSIZE: options.disk_bytes,
            resource.RLIMIT_NOFILE: options.files,
            resource.RLIMIT_CORE: 0,
            resource.RLIMIT_MEMLOCK: 0,
        }
        for kind, limit in limits.items():
            resource.setrlimit(kind, (limit, limit))
        resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + 1))

    def _end_test(self, test: "_Test") -> None:
        """End every process of a test, and delete its files."""
        self._kill()
        while test.reap():
            if not select.select([self._woken], [], [], 1.0)[0]:
                self._kill()
            else:
                os.read(self._woken, 2**10)
        self._groups.clear()
        _empty(os.getcwd())

    def _kill(self) -> None:
        targets = [-1]
        if not self._options.has_namespaces:
            targets = [*(-group for group in self._groups), *self._tree.processes()]
        for target in targets:
            try:
                os.kill(target, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue

    def _end(self, *_: object) -> None:
        """End everything, and delete what nobody may be left to delete."""
        self._kill()
        with contextlib.suppress(ChildProcessError):
            while True:
                os.wait()
        _empty(os.getcwd())
        with contextlib.suppress(OSError):
            os.rmdir(os.getcwd())
        os._exit(1)


class _Test:
    """One test while it runs."""

    def __init__(self, seconds: float, max_cpu_seconds: float) -> None:
        self._start = time.monotonic()
        self.deadline = self._start + seconds
        self._max_cpu_seconds = max_cpu_seconds
        self.cpu_seconds = 0.0
        self.statuses: dict[int, int] = {}
        self.worker = 0
        self.is_read = True
        self._memory_bytes, self._code_seconds = 0, 0.0

    def reap(self) -> bool:
        """Take note of processes that have ended; return whether any is left."""
        while True:
            try:
                process, status, use = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if process == 0:
                return True
            self.statuses[process] = status
            self.cpu_seconds += use.ru_utime + use.ru_stime
            if process == self.worker:
                self._memory_bytes = use.ru_maxrss * 1024
                self._code_seconds = use.ru_utime + use.ru_stime

    def verdict(
        self, code: int | None, error: str, *, output: bytes | bytearray = b"", errors: bytearray
    ) -> dict[str, Any]:
        """Return what the sandbox is told."""
        is_late = time.monotonic() >= self.deadline or self.cpu_seconds >= self._max_cpu_seconds
        return {
            "exit_code": code,
            "is_late": code != 0 and is_late,
            "error": error,
            "output": output.decode("utf-8", "replace"),
            "stderr": errors.decode("utf-8", "replace"),
            "seconds": time.monotonic() - self._start,
            "cpu_seconds": self._code_seconds,
            "memory_bytes": self._memory_bytes,
        }


def _filter_of(options: Options) -> bytes:
    """Return the filter of system calls; without isolation there may be none for the machine."""
    machine = os.uname().machine
    if options.mode == "unsafe" and machine not in ("x86_64", "aarch64"):
        return b""
    return make_filter(machine, has_namespaces=options.has_namespaces, sockets=options.sockets)


def _test_code(size: int) -> None:
    """Read a test from standard input and run it."""
    tester.main(_read_test(size), 3, 4, 5)


def _evaluate(size: int) -> None:
    """Read what is evaluated from standard input and do it."""
    tester.evaluate(_read_test(size), 3, 4, 5)


def _test_together(size: int) -> None:
    """Read tests from standard input and run one after the other."""
    tester.run_together(json.loads(_read_test(size)), 3, 4, 5)


def _read_test(size: int) -> str:
    test = frames.read_exactly(0, size)
    _write_all(5, _HAS_READ)
    os.dup2(1, 0)
    return test.decode("utf-8", "surrogatepass")


def _set_group(process: int) -> None:
    with contextlib.suppress(OSError):  # it has done so itself
        os.setpgid(process, process)


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


def _empty(folder: str) -> None:
    """Delete what is in a folder, as far as that is possible."""
    try:
        os.chmod(folder, 0o700)
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        try:
            if entry.is_dir(follow_symlinks=False):
                _empty(entry.path)
                os.rmdir(entry.path)
            else:
                os.unlink(entry.path)
        except OSError:
            continue
