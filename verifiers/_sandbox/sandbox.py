"""Runs untrusted Python code against tests, where it can do no harm, or not at all.

A sandbox shuts itself in by what works here, the first of these:

- as root, namespaces and a user id of its own; where CAP_SYS_ADMIN is missing, as in a plain
  container, those of a user namespace;
- as another user, a user namespace, or bubblewrap;
- Landlock (Linux 6.2 or later), which takes all files but some away, without any privilege.

In each, code sees read-only system folders and one folder of its own, has no capability and an
empty environment, may open no socket of any family, and is limited in time, memory, processes, open
files and output, all its processes together; `inside/` holds what does that. All of it ends when
this process does, however that ends. Only `unsafe` runs code without isolation of files: with the
same filter of system calls and the same limits, and where it can as a user of no rights.
"""

import asyncio
import contextlib
import itertools
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from tts.errors import VerifierError
from tts.verifiers._sandbox.inside import frames, namespaces

Mode = Literal["root", "user", "bwrap", "landlock", "unsafe"]
_FOLDER = Path(__file__).parent
_SYSTEM = ("/usr", "/bin", "/lib", "/lib64")
_FIRST_UID, _NUM_UIDS = 50_000, 10_000
_NUMBERS = itertools.count(os.getpid() * 64)  # of all sandboxes, so that no two share a user
_START_SECONDS, _SPARE_SECONDS, _END_SECONDS = 30.0, 5.0, 2.0
_MAX_FRAME_BYTES = 64 * 2**20
# Makes packages around the folder of `inside`, so that nothing else of ours is imported.
_COMMAND = """
import sys
folders = {"tts": [], "tts.verifiers": [], "tts.verifiers._sandbox": [sys.argv.pop(1)]}
for name, path in folders.items():
    package = sys.modules[name] = type(sys)(name)
    package.__path__ = path
from tts.verifiers._sandbox.inside.start import main
main()
"""
# Prints what it should not be able to open; nothing if it is shut in.
_PROBE = """
import _socket
for family in (1, 2, 10, 16, 40):
    try:
        print("socket", _socket.socket(family, 1))
    except PermissionError:
        pass
"""
_PROTECTION: dict[Mode, str] = {
    "root": "namespaces and a user id of its own, no sockets, limits on all its processes",
    "user": "a user namespace of its own, no sockets, limits on all its processes",
    "bwrap": "bubblewrap, no sockets, limits on all its processes",
    "landlock": "Landlock (no files but its own), no sockets, limits on all its processes",
    "unsafe": "nothing that keeps it from files: no sockets, limits on all its processes",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """What the code of one test may use, all its processes together.

    Attributes:
        seconds: Wall time.
        cpu_seconds: CPU time; rounded up to whole seconds.
        memory_bytes: Memory.
        disk_bytes: All its files; with Landlock or without isolation, each of them.
        processes: Processes and threads at once.
        files: Open files, of each process.
        output_bytes: What a program prints.
        sockets: Sockets of AF_UNIX, AF_INET and AF_INET6 may be opened. In namespaces there is
            nobody to connect to; with Landlock or without isolation there is this machine's
            network.
    """

    seconds: float = 5.0
    cpu_seconds: float = 5.0
    memory_bytes: int = 512 * 2**20
    disk_bytes: int = 16 * 2**20
    processes: int = 16
    files: int = 64
    output_bytes: int = 2**20
    sockets: bool = False


@dataclass(frozen=True, slots=True)
class Assertions:
    """Code that raises where the code under test is wrong, and that names what that defines."""

    text: str


@dataclass(frozen=True, slots=True)
class Program:
    """The code is run as a program, which reads this from standard input."""

    input: str = ""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A function of an evaluator is called with the code as one object, and returns JSON values."""

    evaluator: str
    function: str


Test = Assertions | Program | Evaluation


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a test went.

    Attributes:
        exit_code: 0 where all assertions hold, else 1; of a program its own; None if a limit or a
            signal ended it.
        output: What a program printed; what an evaluation returned, as JSON.
        error: Why it is not 0, in words.
        stderr: The last of what the code wrote to standard error.
        seconds: Wall time.
        cpu_seconds: CPU time of its first process, as the kernel counts it.
        memory_bytes: The most that its first process had.
        is_late: It did not end in its time.
        is_run: Whether it was run at all; it counts as failed where it was not.
    """

    exit_code: int | None
    output: str = ""
    error: str = ""
    stderr: str = ""
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    memory_bytes: int = 0
    is_late: bool = False
    is_run: bool = True


class Sandbox:
    """A place to run code.

    Args:
        limits: Of every test.
        unsafe: Run without isolation where there is none to be had; limits still hold.

    Raises:
        VerifierError: Nothing here isolates code, and `unsafe` is not set.
    """

    def __init__(self, limits: Limits, *, unsafe: bool = False) -> None:
        self.limits = limits
        self._python = os.path.realpath(sys.executable)
        self.mode, self._user = self._find_mode(unsafe)

    @property
    def protection(self) -> str:
        """What protects from the code, for people."""
        return _PROTECTION[self.mode] + (", but as root" if self._user == 0 else "")

    async def run(self, code: str, tests: Sequence[Test]) -> list[Outcome]:
        """Run code against each test; cancelling this ends all that runs.

        Each test has processes and a folder of its own, and sees nothing of the others.

        Args:
            code: Python source.
            tests: One after the other.

        Raises:
            VerifierError: The sandbox cannot start.
        """
        async with self.open() as cell:
            await cell.load(code)
            return [await cell.run(test) for test in tests]

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Cell"]:
        """Start the first process of a sandbox, which runs tests until it is closed.

        Raises:
            VerifierError: It cannot start.
        """
        cell = await self.start()
        try:
            yield cell
        finally:
            await cell.close()

    async def start(self) -> "Cell":
        """Start the first process of a sandbox; whoever asks for it closes it.

        Raises:
            VerifierError: It cannot start.
        """
        cell = Cell(self._command(self.mode, self.limits), self.limits, _folder(self.mode))
        try:
            await cell.wait_until_ready()
        except BaseException:
            await cell.close()
            raise
        return cell

    def _find_mode(self, unsafe: bool) -> tuple[Mode, int]:
        candidates: list[Mode] = ["user", "bwrap", "landlock"]
        if os.geteuid() == 0:
            candidates = ["root", "user", "landlock"]
        if unsafe:
            candidates.append("unsafe")
        for mode in candidates:
            user = self._try(mode)
            if user is not None:
                return mode, user
        raise VerifierError(
            "nothing here isolates untrusted code: it takes user namespaces "
            "(sysctl user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns), "
            "bubblewrap, or Linux 6.2 with Landlock; --unsafe-execution, or "
            "execution(unsafe=True), runs it all the same"
        )

    def _try(self, mode: Mode) -> int | None:
        """Return the user that code runs as in a mode; None where it does not work here."""
        if mode == "bwrap" and shutil.which("bwrap") is None:
            return None
        limits = replace(self.limits, seconds=10.0, cpu_seconds=10.0, sockets=False)
        asked = frames.frame(frames.CODE, _PROBE.encode()) + frames.frame(frames.PROGRAM, b"")
        with _folder(mode) as folder:
            try:
                done = subprocess.run(
                    self._command(mode, limits),
                    input=asked,
                    env={},
                    cwd=folder,
                    capture_output=True,
                    timeout=_START_SECONDS,
                )
            except (OSError, subprocess.TimeoutExpired):
                return None
        (first, said), (second, verdict) = [*frames.split(done.stdout), (b"", b""), (b"", b"")][:2]
        if (first, second) != (frames.READY, frames.VERDICT):
            return None
        outcome = Outcome(**json.loads(verdict))
        is_shut_in = outcome.exit_code == 0 and not outcome.output
        return int(said) if is_shut_in or mode == "unsafe" else None

    def _command(self, mode: Mode, limits: Limits) -> Sequence[str]:
        folders = [*_SYSTEM, sys.base_prefix]
        changes_user = os.geteuid() == 0 and mode != "bwrap"
        options = {
            **asdict(limits),
            "mode": mode,
            "parent": 0 if mode == "bwrap" else os.getpid(),
            "uid": _FIRST_UID + next(_NUMBERS) % _NUM_UIDS if changes_user else 0,
            "folders": folders,
        }
        first = [self._python, "-I", "-S", "-X", "utf8", "-c", _COMMAND]
        command = [*first, str(_FOLDER), json.dumps(options)]
        return [*self._bubblewrap(folders), *command] if mode == "bwrap" else command

    def _bubblewrap(self, folders: Sequence[str]) -> list[str]:
        bound = [part for f in folders if os.path.isdir(f) for part in ("--ro-bind", f, f)]
        return [
            shutil.which("bwrap") or "bwrap",
            *("--unshare-all", "--die-with-parent", "--new-session", "--clearenv", *bound),
            *("--ro-bind", str(_FOLDER), str(_FOLDER), "--dev-bind", "/dev/null", "/dev/null"),
            *("--proc", "/proc", "--size", str(self.limits.disk_bytes), "--tmpfs", namespaces.WORK),
            *("--chdir", namespaces.WORK),
        ]


def _folder(mode: Mode) -> contextlib.AbstractContextManager[str]:
    """Return where the first process starts; without a file system of its own it stays there."""
    if mode in ("landlock", "unsafe"):
        return tempfile.TemporaryDirectory(prefix="tts-code-", ignore_cleanup_errors=True)
    return contextlib.nullcontext("/")


class Cell:
    """A sandbox that has started, and runs tests one after the other.

    It belongs to no event loop: it may be left by one and taken up by another.

    Args:
        command: Starts its first process.
        limits: Of every test.
        folder: Where that starts; left when it is closed.
    """

    def __init__(
        self,
        command: Sequence[str],
        limits: Limits,
        folder: contextlib.AbstractContextManager[str],
    ) -> None:
        self._limits, self._folder = limits, folder
        self._is_over = False
        self._input, given = _socket_pair()
        self._output, taken = _socket_pair()
        with given, taken:
            self._process = subprocess.Popen(
                command,
                stdin=given.fileno(),
                stdout=taken.fileno(),
                stderr=subprocess.PIPE,
                env={},
                cwd=folder.__enter__(),
                start_new_session=True,
            )
        _RUNNING.add(self._process)

    @property
    def is_running(self) -> bool:
        """Whether it can run another test."""
        return not self._is_over and self._process.poll() is None

    async def wait_until_ready(self) -> None:
        """Wait until it has shut itself in.

        Raises:
            VerifierError: It cannot.
        """
        if await self._receive([frames.READY], _START_SECONDS) is None:
            self._process.kill()
            _, said = await asyncio.to_thread(self._process.communicate)
            lines = said.decode("utf-8", "replace").splitlines()
            raise VerifierError(f"the sandbox cannot start: {lines[-1] if lines else 'no reason'}")

    async def load(self, code: str) -> None:
        """Take code for the tests that follow."""
        await self._send(frames.CODE, code)

    async def run(self, test: Test) -> Outcome:
        """Run a test."""
        if isinstance(test, Assertions):
            await self._send(frames.ASSERTIONS, test.text)
        elif isinstance(test, Program):
            await self._send(frames.PROGRAM, test.input)
        else:
            await self._send(frames.EVALUATE, json.dumps([test.evaluator, test.function]))
        return await self._verdict()

    async def _verdict(self) -> Outcome:
        known = [frames.VERDICT, frames.LAST]
        verdict = await self._receive(known, self._limits.seconds + _SPARE_SECONDS)
        if verdict is None:
            return Outcome(None, error="its sandbox ended")
        return Outcome(**json.loads(verdict))

    async def run_together(self, tests: Sequence[Assertions]) -> list[Outcome]:
        """Run tests in one pair of processes, in order, until one does not come to its own end.

        All of them together have the limits of one.

        Returns:
            The outcomes of those that did; `memory_bytes` and `cpu_seconds` are those of all.
        """
        await self._send(frames.TOGETHER, json.dumps([test.text for test in tests]))
        whole = await self._verdict()
        if whole.exit_code != 0:
            return []
        return [
            replace(
                whole,
                exit_code=int(not passed),
                output="",
                error=reason,
                stderr="" if passed else whole.stderr,
                seconds=seconds,
            )
            for passed, reason, seconds in json.loads(whole.output)
        ]

    async def close(self) -> None:
        """End it, and all that runs in it."""
        await asyncio.to_thread(self.end)

    def end(self) -> None:
        """The same where nothing else waits."""
        self._process.terminate()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for file in (self._input, self._output, self._process.stderr):
            if file is not None:
                file.close()
        _RUNNING.discard(self._process)
        self._folder.__exit__(None, None, None)

    async def _send(self, kind: bytes, text: str) -> None:
        # What is not sent because it has ended shows when its verdict is read.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            data = frames.frame(kind, text.encode("utf-8", "surrogatepass"))
            await asyncio.get_running_loop().sock_sendall(self._input, data)

    async def _receive(self, wanted: Sequence[bytes], seconds: float) -> bytes | None:
        try:
            async with asyncio.timeout(seconds):
                kind, size = frames.HEAD.unpack(await self._read(frames.HEAD.size))
                if kind in wanted and size <= _MAX_FRAME_BYTES:
                    data = await self._read(size)
                    self._is_over = kind == frames.LAST
                    return data
        except (TimeoutError, EOFError, ConnectionResetError):
            pass
        self._is_over = True
        return None

    async def _read(self, size: int) -> bytes:
        loop, data = asyncio.get_running_loop(), bytearray()
        while len(data) < size:
            part = await loop.sock_recv(self._output, min(size - len(data), 2**20))
            if not part:
                raise EOFError
            data += part
        return bytes(data)


# Keeps processes from the garbage collector, which would warn of those that still run.
_RUNNING: set[subprocess.Popen[bytes]] = set()


def _socket_pair() -> tuple[socket.socket, socket.socket]:
    """Return our end, which does not block, and the sandbox's."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    return ours, theirs
