"""Runs untrusted Python programs where they can do no harm, or not at all.

As root: fresh mount, network, process, IPC and host-name namespaces, and a user id of its own.
Otherwise: bubblewrap, or a user namespace made by `unshare`. In each, the program sees read-only
system folders and one tmpfs of fixed size, has no network, no capability, an empty environment,
and limits on time, memory, processes, open files and output; see `_sandbox_init.py`.
"""

import asyncio
import contextlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tts.errors import VerifierError

Mode = Literal["root", "bwrap", "user", "unsafe"]
_INIT = Path(__file__).with_name("_sandbox_init.py")
_SYSTEM = ("/usr", "/bin", "/lib", "/lib64")
_FIRST_UID, _NUM_UIDS = 50_000, 10_000
_PROBE = "import socket, sys; sys.exit(socket.if_nameindex() != [(1, 'lo')])"
_NAMES: dict[Mode, str] = {
    "root": "namespaces and a user id of its own",
    "bwrap": "bubblewrap",
    "user": "user and network namespaces",
    "unsafe": "nothing but limits on resources",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """What one program may use; memory, files and CPU time count for each of its processes."""

    seconds: float = 5.0
    memory_bytes: int = 512 * 2**20
    disk_bytes: int = 16 * 2**20
    processes: int = 16
    files: int = 64
    output_bytes: int = 2**20


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a program did: exit code (None if it was killed), what it printed, why it was killed."""

    exit_code: int | None
    output: str
    error: str = ""


class Sandbox:
    """A place to run programs.

    Args:
        limits: Of every program.
        unsafe: Run without isolation where there is none to be had; limits still hold.

    Raises:
        VerifierError: Nothing here isolates a program, and `unsafe` is not set.
    """

    def __init__(self, limits: Limits, *, unsafe: bool = False) -> None:
        self.limits = limits
        self._python = os.path.realpath(sys.executable)
        self._numbers = itertools.count(os.getpid() * 64)
        self.mode = self._find_mode(unsafe)

    @property
    def protection(self) -> str:
        """What protects from the programs, for people."""
        return _NAMES[self.mode]

    async def run(self, program: str, *, text: str = "") -> Outcome:
        """Run a program to its end or its limits; cancelling this kills it.

        Args:
            program: Python source.
            text: What it reads from standard input.
        """
        with tempfile.TemporaryDirectory(prefix="tts-unsafe-") as folder:
            process = await asyncio.create_subprocess_exec(
                *self._command(self.mode),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env={},
                cwd=folder,
                start_new_session=True,
            )
            try:
                async with asyncio.timeout(self.limits.seconds):
                    return await self._talk(process, program, text)
            except TimeoutError:
                return Outcome(None, "", f"it ran longer than {self.limits.seconds:g} s")
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()

    async def _talk(self, process: asyncio.subprocess.Process, program: str, text: str) -> Outcome:
        assert process.stdin is not None and process.stdout is not None
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            process.stdin.write(_job(program, text))
            await process.stdin.drain()
            process.stdin.close()
        output = bytearray()
        while chunk := await process.stdout.read(2**16):
            output += chunk
            if len(output) > self.limits.output_bytes:
                return Outcome(None, "", f"it printed more than {self.limits.output_bytes} bytes")
        code = await process.wait()
        return Outcome(code, output.decode("utf-8", "replace"))

    def _find_mode(self, unsafe: bool) -> Mode:
        candidates: list[Mode] = ["root"] if os.geteuid() == 0 else ["bwrap", "user"]
        for mode in candidates:
            if self._works(mode):
                return mode
        if unsafe:
            return "unsafe"
        raise VerifierError(
            "nothing here isolates untrusted code: install bubblewrap, or allow user namespaces "
            "(sysctl kernel.unprivileged_userns_clone=1); --unsafe-execution, or "
            "execution(unsafe=True), runs it all the same"
        )

    def _works(self, mode: Mode) -> bool:
        if shutil.which("bwrap" if mode == "bwrap" else "unshare") is None:
            return False
        try:
            done = subprocess.run(
                self._command(mode), input=_job(_PROBE, ""), env={}, capture_output=True, timeout=10
            )
        except (OSError, subprocess.TimeoutExpired):
            return False
        return done.returncode == 0

    def _command(self, mode: Mode) -> Sequence[str]:
        folders = [*_SYSTEM, sys.base_prefix]
        limits = self.limits
        options = {
            "mode": mode,
            "uid": _FIRST_UID + next(self._numbers) % _NUM_UIDS if mode == "root" else 0,
            "folders": folders,
            "python": self._python,
            "limits": {
                "cpu_seconds": max(1, round(limits.seconds)),
                "memory_bytes": limits.memory_bytes,
                "processes": limits.processes,
                "disk_bytes": limits.disk_bytes,
                "files": limits.files,
            },
        }
        init = [self._python, "-I", "-S", "-B", str(_INIT), json.dumps(options)]
        return [*self._wrapper(mode, folders), *init]

    def _wrapper(self, mode: Mode, folders: Sequence[str]) -> list[str]:
        if mode == "unsafe":
            return []
        if mode != "bwrap":
            unshare = shutil.which("unshare") or "unshare"
            namespaces = ["--mount", "--net", "--pid", "--ipc", "--uts", "--fork", "--kill-child"]
            return [
                unshare,
                *(["--user", "--map-root-user"] if mode == "user" else []),
                *namespaces,
            ]
        bound = [part for f in folders if os.path.isdir(f) for part in ("--ro-bind", f, f)]
        return [
            shutil.which("bwrap") or "bwrap",
            *("--unshare-all", "--die-with-parent", "--new-session", "--clearenv", *bound),
            *("--ro-bind", str(_INIT), str(_INIT), "--dev-bind", "/dev/null", "/dev/null"),
            *("--size", str(self.limits.disk_bytes), "--tmpfs", "/work", "--chdir", "/work"),
        ]


def _job(program: str, text: str) -> bytes:
    return json.dumps({"program": program, "input": text}).encode()
