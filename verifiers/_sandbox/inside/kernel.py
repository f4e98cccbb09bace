"""System calls that Python has no name for."""

import ctypes
import os
import signal

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_CAPBSET_DROP = 1, 4, 24
_PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 36, 38
_CAP_CHOWN, _CAP_SETGID, _CAP_SETUID = 0, 6, 7
_CAPSET = {"x86_64": 126, "aarch64": 91}
_CAPABILITY_VERSION = 0x20080522
libc = ctypes.CDLL(None, use_errno=True)


def must(result: int, what: str) -> int:
    """Return what a system call returned.

    Raises:
        OSError: It returned -1.
    """
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")
    return result


def syscall(number: int, *arguments: object) -> int:
    """Do a system call by its number; integers, bytes and addresses are passed whole.

    Raises:
        OSError: It failed.
    """
    whole = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    return must(libc.syscall(ctypes.c_long(number), *whole), f"system call {number}")


def end_with_parent(parent: int, by: int = signal.SIGKILL) -> None:
    """Have the kernel end this process when its parent ends.

    The kernel forgets this when the process changes its user or its capabilities.

    Args:
        parent: The parent's number; had it ended before, this process ends now.
        by: The signal.
    """
    must(libc.prctl(_PR_SET_PDEATHSIG, by, 0, 0, 0), "PR_SET_PDEATHSIG")
    if parent and os.getppid() != parent:
        os._exit(1)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends."""
    must(libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "PR_SET_CHILD_SUBREAPER")


def hide_memory() -> None:
    """Close this process and its forks to ptrace and /proc/PID/mem of the same user."""
    must(libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0), "PR_SET_DUMPABLE")


def may_change_user() -> bool:
    """Return whether this process has the capabilities to change users and owners of files."""
    with open("/proc/self/status") as status:
        lines = dict(line.split(":\t", 1) for line in status if ":\t" in line)
    wanted = 1 << _CAP_CHOWN | 1 << _CAP_SETGID | 1 << _CAP_SETUID
    return int(lines["CapEff"], 16) & wanted == wanted


def become(uid: int) -> None:
    """Take a user id, and the group of the same number, for good."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def drop_capabilities(machine: str) -> None:
    """Give up every capability, and the ways to get one by running a program."""
    for capability in range(64):
        if libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            break
    must(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "PR_SET_NO_NEW_PRIVS")
    if machine in _CAPSET:
        header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
        syscall(_CAPSET[machine], header, (ctypes.c_uint32 * 6)())
