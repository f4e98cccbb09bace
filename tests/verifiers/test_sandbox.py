"""Code in a sandbox: what it may do, everything that it may not, and that nothing outlives it."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.sandboxes import open_sandbox
from tts.errors import VerifierError
from tts.verifiers._sandbox import sandbox as sandbox_module
from tts.verifiers._sandbox.inside.seccomp import _program
from tts.verifiers._sandbox.sandbox import (
    Assertions,
    Limits,
    Mode,
    Outcome,
    Program,
    Sandbox,
)

LIMITS = Limits(seconds=10.0, memory_bytes=256 * 2**20, disk_bytes=4 * 2**20, processes=8)
SHUT_IN: tuple[Mode, ...] = ("root", "user", "bwrap", "landlock")


def in_mode(monkeypatch: pytest.MonkeyPatch, mode: Mode, limits: Limits = LIMITS) -> Sandbox:
    """Return a sandbox of this mode; the test is skipped where there is none."""
    try_one = Sandbox._try
    monkeypatch.setattr(Sandbox, "_try", lambda self, m: try_one(self, m) if m == mode else None)
    try:
        return Sandbox(limits, unsafe=mode == "unsafe")
    except VerifierError:
        pytest.skip(f"{mode} does not work here")


@pytest.fixture(params=[*SHUT_IN, "unsafe"])
def sandbox(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    return in_mode(monkeypatch, request.param)


@pytest.fixture(params=SHUT_IN)
def shut_in(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    return in_mode(monkeypatch, request.param)


def run(sandbox: Sandbox, code: str, *texts: str) -> Outcome:
    """Run code as a program, and return the outcome of the last of these inputs."""
    return asyncio.run(sandbox.run(code, [Program(text) for text in texts or [""]]))[-1]


def run_all(sandbox: Sandbox, programs: list[str]) -> list[Outcome]:
    """Run programs one after the other in one sandbox."""

    async def work() -> list[Outcome]:
        async with sandbox.open() as cell:
            outcomes = []
            for program in programs:
                await cell.load(program)
                outcomes.append(await cell.run(Program()))
            return outcomes

    return asyncio.run(work())


def test_a_program_reads_prints_and_ends(sandbox: Sandbox) -> None:
    outcome = run(sandbox, "print(int(input()) ** 2)", "12\n")
    assert (outcome.exit_code, outcome.output) == (0, "144\n")
    codes = [o.exit_code for o in run_all(sandbox, ["raise SystemExit(3)", "1 / 0", "x ="])]
    assert codes == [3, 1, 1]


def test_an_outcome_says_what_happened() -> None:
    code = "import sys\nx = bytearray(50 * 2**20)\nsys.stderr.write('so it is')\nf()"
    outcome = run(open_sandbox(LIMITS), code)
    assert outcome.error == "it exited with 1"
    assert outcome.stderr.startswith("so it is")
    assert "NameError: name 'f' is not defined" in outcome.stderr
    assert 50 * 2**20 < outcome.memory_bytes < 100 * 2**20
    assert 0.0 < outcome.seconds < LIMITS.seconds


def test_a_program_runs_to_its_very_end() -> None:
    code = (
        "import atexit, threading, time\n"
        "atexit.register(print, 'last')\n"
        "threading.Thread(target=lambda: (time.sleep(0.05), print('thread'))).start()\n"
        "print('first')\n"
        "if __name__ == '__main__': raise SystemExit('so long')"
    )
    outcome = run(open_sandbox(LIMITS), code)
    assert (outcome.exit_code, outcome.output) == (1, "first\nthread\nlast\n")
    assert outcome.stderr == "so long\n"


def test_it_may_write_where_it_works_and_start_a_process(sandbox: Sandbox) -> None:
    program = "open('x', 'w').write('hi')\nimport subprocess\nsubprocess.run(['/bin/cat', 'x'])"
    assert run(sandbox, program).output == "hi"


def test_asyncio_and_threads_work(sandbox: Sandbox) -> None:
    program = (
        "import asyncio, threading\nthreading.Thread(target=print, args=('a',)).start()\n"
        "asyncio.run(asyncio.sleep(0.001))\nprint('b')"
    )
    assert sorted(run(sandbox, program).output.split()) == ["a", "b"]


SOCKETS = "import _socket\nfor family in {families}:\n    print(_socket.socket(family, 1).family)"
DENIED = [
    # a socket of any family: UNIX, internet, netlink, packet, VSOCK, and others
    *(SOCKETS.format(families=[family]) for family in (1, 2, 10, 16, 17, 40, 38, 29, 9)),
    # fills the disk with one large file
    "open('x', 'wb').write(bytes(8 * 2**20))",
    # takes memory
    "x = bytearray(2**30)",
    # opens files
    "x = [open('/dev/null') for _ in range(1000)]",
    # gets rights
    "import os; os.setuid(0) if os.getuid() else 1 / 0",
    "import os; os.seteuid(0) if os.getuid() else 1 / 0",
]
DENIED_WHERE_SHUT_IN = [
    # reads and writes what is none of its business
    "print(open('/etc/passwd').read())",
    "open('/usr/x', 'w')",
    "open('/tmp/tts-x', 'w')",
    "import os; os.remove('/usr/bin/env')",
    "import os; os.chmod('/usr/bin/env', 0o777)",
    "import os; print(os.listdir('/proc/1/fd'))",
    "import os; os.kill(-1, 9)",
]


def test_what_it_may_not_do_fails(sandbox: Sandbox) -> None:
    outcomes = run_all(sandbox, DENIED)
    assert [p for p, o in zip(DENIED, outcomes, strict=True) if o.exit_code == 0] == []


def test_what_it_may_not_touch_where_it_is_shut_in_fails(shut_in: Sandbox) -> None:
    outcomes = run_all(shut_in, DENIED_WHERE_SHUT_IN)
    pairs = zip(DENIED_WHERE_SHUT_IN, outcomes, strict=True)
    assert [program for program, outcome in pairs if outcome.exit_code == 0] == []
    assert Path("/usr/bin/env").exists()


def test_many_files_fill_the_disk_too() -> None:
    sandbox = open_sandbox(LIMITS)
    if sandbox.mode == "landlock":
        pytest.skip("there is no file system of its own")
    programs = [
        "for i in range(100): open(f'x{i}', 'wb').write(bytes(2**20))",
        "for i in range(5000): open(f'x{i}', 'wb').close()",
    ]
    assert [outcome.exit_code for outcome in run_all(sandbox, programs)] == [1, 1]


def test_sockets_are_opened_by_permission(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = Limits(sockets=True)
    allowed, internet, packets, vsock = run_all(
        open_sandbox(limits),
        [
            SOCKETS.format(families=(1, 2, 10)),
            "import socket; socket.create_connection(('127.0.0.1', 9), timeout=3)",
            *(SOCKETS.format(families=[family]) for family in (16, 40)),
        ],
    )
    assert allowed.output == "1\n2\n10\n"
    assert "PermissionError" not in internet.stderr and internet.exit_code == 1
    assert "PermissionError" in packets.stderr and "PermissionError" in vsock.stderr


@pytest.mark.parametrize("machine", [0, 1])
def test_the_filter_of_both_machines_is_whole(machine: int) -> None:
    loose = _program(machine, has_namespaces=True, sockets=True)
    strict = _program(machine, has_namespaces=False, sockets=False)
    for code in (loose, strict):
        for place, (kind, if_true, if_false, _) in enumerate(code):
            if kind & 7 == 5:  # a jump lands within the program
                assert place + 1 + max(if_true, if_false) < len(code)
    assert len(loose) < len(strict) < 4096


@pytest.mark.slow
def test_a_fork_bomb_runs_into_a_wall(sandbox: Sandbox) -> None:
    bomb = "import os, time\nwhile True:\n    if os.fork() == 0: time.sleep(60)\n"
    stopped, again = run_all(sandbox, [bomb, "import os\nif os.fork(): print('forked')"])
    assert stopped.exit_code != 0 and stopped.seconds < LIMITS.seconds
    # What it had started is gone, or the next program could not fork either.
    assert again.output == "forked\n"


@pytest.mark.parametrize("mode", ["root", "user", "landlock", "unsafe"])
def test_it_cannot_end_what_runs_it(monkeypatch: pytest.MonkeyPatch, mode: Mode) -> None:
    program = (
        "import os\nfor by in (9, 15, 10, 6):\n    try: os.kill(os.getppid(), by)\n"
        "    except PermissionError: pass"
    )
    outcomes = run_all(in_mode(monkeypatch, mode), [program, "print('still there')"])
    assert outcomes[1].output == "still there\n"


def test_it_cannot_make_namespaces_or_mounts(sandbox: Sandbox) -> None:
    program = (
        "import ctypes\nc = ctypes.CDLL(None)\n"
        "print(c.unshare(0x10000000), c.mount(b't', b'/', b'tmpfs', 0, None),\n"
        "      c.syscall(435, None, 0), c.ptrace(0, 0, 0, 0))"
    )
    assert run(sandbox, program).output == "-1 -1 -1 -1\n"


def test_its_environment_is_empty(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "password")
    assert "password" not in run(sandbox, "import os; print(dict(os.environ))").output


def test_it_has_no_capability_and_is_not_root_where_that_can_be_avoided(sandbox: Sandbox) -> None:
    program = (
        "import ctypes, os\nc = ctypes.CDLL(None)\n"
        "print(os.getuid(), sum(c.prctl(23, n, 0, 0, 0) for n in range(40)))\n"
        "try: os.chown('.', 1, 1)\nexcept OSError: print('denied')"
    )
    user = run(sandbox, program).output.split()
    assert user[2:] == ["denied"]
    assert (user[0] == "0") == (sandbox._user == 0) == ("but as root" in sandbox.protection)
    assert user[0] != "0" or sandbox.mode in ("landlock", "unsafe")


@pytest.mark.slow
def test_a_test_leaves_nothing_to_the_next(sandbox: Sandbox) -> None:
    first = (
        "import os\nos.makedirs('a/b')\nopen('a/b/c', 'w').close()\n"
        "if os.fork() == 0:\n    import time\n    while True:\n"
        "        time.sleep(0.005)\n        open('late', 'w').close()"
    )
    _, second = run_all(sandbox, [first, "import os, time\ntime.sleep(0.1)\nprint(os.listdir())"])
    assert second.output == "['main.py']\n"


LONG = "import time; time.sleep(60)"
CHAIN = (
    "import os, time\nif os.fork(): time.sleep(60)\nwhile True:\n    if os.fork(): os._exit(0)\n"
    "    end = time.process_time() + 0.2\n    while time.process_time() < end: pass"
)
SHARED = "import os\nfor _ in range(3): os.fork()\nwhile True: pass"
HUNGRY = (
    "import os, time\nfor _ in range(4):\n    if os.fork() == 0:\n"
    "        x = b'x' * (100 * 2**20)\n        time.sleep(60)\ntime.sleep(60)"
)
ENDED = [
    (LONG, "it ran longer than 0.7 s"),
    ("while True: pass", "it ran longer than 0.7 s"),
    ("while True: print('x' * 10_000)", "it printed more than 50000 bytes"),
    # The parent ends at once, the child holds on to its output.
    ("import os, time\nif os.fork() == 0: time.sleep(60)\nos.wait()", "it ran longer than 0.7 s"),
    ("import os; os.abort()", "it was killed by SIGABRT"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("program", "message"), ENDED)
def test_what_does_not_end_is_ended(program: str, message: str) -> None:
    outcome = run(open_sandbox(Limits(seconds=0.7, output_bytes=50_000)), program)
    assert (outcome.exit_code, outcome.error) == (None, message)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["root", "user", "landlock"])
@pytest.mark.parametrize(
    ("program", "message"),
    [
        (CHAIN, "it used more than 1 s of CPU time"),
        (SHARED, "it used more than 1 s of CPU time"),
        (HUNGRY, "its processes took more than 268435456 bytes of memory"),
    ],
)
def test_limits_are_those_of_all_processes_together(
    monkeypatch: pytest.MonkeyPatch, mode: Mode, program: str, message: str
) -> None:
    # CPU time is less than wall time here, which is plenty for a busy machine to use it up.
    limits = Limits(seconds=20.0, cpu_seconds=1.0, memory_bytes=256 * 2**20)
    outcome = run(in_mode(monkeypatch, mode, limits), program)
    assert (outcome.exit_code, outcome.error) == (None, message)


HOST = """
import asyncio, sys
from tts.verifiers._sandbox.sandbox import Assertions, Limits, Program, Sandbox
try_one = Sandbox._try
Sandbox._try = lambda self, mode: try_one(self, mode) if mode == sys.argv[1] else None
sandbox = Sandbox(Limits(seconds=60.0), unsafe=True)
code = "import os, time\\nfor _ in range(3): os.fork()\\nos.write(2, b'.')\\ntime.sleep(60)"
async def work():
    async with sandbox.open() as cell:
        await cell.load(code)
        print("ready", flush=True)
        await cell.run(Program())
asyncio.run(work())
"""


def processes_of(host: int) -> list[int]:
    """Return the processes of sandboxes that a process started, wherever they are now."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
            options = json.loads(words[-2]) if words[-2:-1] and words[-2][:1] == b"{" else {}
        except (OSError, ValueError):
            continue
        if options.get("parent") == host and state != "Z":
            found.append(int(folder.name))
    return found


def wait_for(condition: "Iterator[bool]") -> None:
    end = time.monotonic() + 10.0
    while not next(condition):
        assert time.monotonic() < end, "it does not come to pass"
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["root", "user", "landlock", "unsafe"])
@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_outlives_a_killed_parent(
    monkeypatch: pytest.MonkeyPatch, mode: Mode, by: int
) -> None:
    in_mode(monkeypatch, mode)
    command = [sys.executable, "-c", HOST, mode]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as host:
        assert host.stdout is not None and host.stdout.readline() == "ready\n"
        # The first process, the program and its seven forks, at least.
        wait_for(iter(lambda: len(processes_of(host.pid)) >= 9, None))
        folders = {Path(f"/proc/{process}/cwd").resolve() for process in processes_of(host.pid)}
        host.send_signal(by)
        host.wait()
        wait_for(iter(lambda: processes_of(host.pid) == [], None))
    assert not [folder for folder in folders if "tts-code-" in folder.name and folder.exists()]


def test_nothing_outlives_a_cancelled_run(sandbox: Sandbox) -> None:
    async def work() -> None:
        before = set(processes_of(os.getpid()))
        task = asyncio.create_task(sandbox.run(LONG, [Program()]))
        started = iter(lambda: len(set(processes_of(os.getpid())) - before) >= 2, None)
        await asyncio.to_thread(wait_for, started)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        wait_for(iter(lambda: set(processes_of(os.getpid())) <= before, None))

    asyncio.run(work())


def test_without_isolation_it_refuses_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    try_one = Sandbox._try
    monkeypatch.setattr(
        Sandbox, "_try", lambda self, mode: try_one(self, mode) if mode == "unsafe" else None
    )
    with pytest.raises(VerifierError, match="--unsafe-execution"):
        Sandbox(LIMITS)
    unsafe = Sandbox(LIMITS, unsafe=True)
    assert unsafe.protection.startswith("nothing that keeps it from files: no sockets")
    assert run(unsafe, "print(1)").output == "1\n"


def test_a_sandbox_that_cannot_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox = open_sandbox(LIMITS)
    command = [sys.executable, "-c", "raise SystemExit('no more processes')"]
    monkeypatch.setattr(sandbox_module.Sandbox, "_command", lambda self, mode, limits: command)
    with pytest.raises(VerifierError, match="the sandbox cannot start: no more processes"):
        asyncio.run(sandbox.run("", [Assertions("assert True")]))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give up CAP_SYS_ADMIN")
def test_root_without_cap_sys_admin_has_a_user_namespace() -> None:
    program = (
        "from tts.verifiers._sandbox.sandbox import Limits, Sandbox\nprint(Sandbox(Limits()).mode)"
    )
    drop = (
        "import ctypes, os, sys\nctypes.CDLL(None).prctl(24, 21, 0, 0, 0)\n"
        "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    )
    command = [sys.executable, "-c", drop, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.strip() in ("user", "landlock"), done.stderr
