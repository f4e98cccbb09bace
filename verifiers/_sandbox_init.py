"""First process of a sandbox: shuts itself in, gives up its rights, and runs one program.

Started by `_sandbox.py` as a script of its own, by the bare interpreter (`python -I -S`), so that
it imports nothing of ours. Arguments come as JSON in argv, program and input as JSON on stdin.

It builds a root of read-only system folders and one writable tmpfs, drops every capability,
forbids by seccomp what could undo that, and sets limits; what it runs cannot take any of it back.
"""

import ctypes
import json
import os
import platform
import resource
import struct
import sys
from typing import Any

_MS_RDONLY, _MS_NOSUID, _MS_NODEV = 1, 2, 4
_MS_REMOUNT, _MS_BIND, _MS_REC = 32, 4096, 16384
_MNT_DETACH = 2
_PR_SET_DUMPABLE, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP = 4, 24, 38, 22
_ALLOW, _DENY, _ENOSYS = 0x7FFF0000, 0x00050001, 0x00050026  # SECCOMP_RET_*: EPERM is 1
_NEW_NAMESPACE = 0x7E020000  # any CLONE_NEW* flag
_ROOT = "/tmp"  # where the new root is put together; hidden by it in this mount namespace alone

# Architecture: its audit number, clone, clone3, then what is denied: unshare, setns, mount,
# umount2, pivot_root, chroot, ptrace, add_key, request_key, keyctl, bpf, userfaultfd,
# perf_event_open, io_uring_setup, memfd_create, shmget, open_tree, move_mount, fsopen, fsmount,
# mount_setattr.
_SYSCALLS: dict[str, tuple[int, int, int, tuple[int, ...]]] = {
    "x86_64": (
        0xC000003E, 56, 435,
        (272, 308, 165, 166, 155, 161, 101, 248, 249, 250, 321, 323, 298, 425, 319, 29, 428, 429,
         430, 432, 442),
    ),
    "aarch64": (
        0xC00000B7, 220, 435,
        (97, 268, 40, 39, 41, 51, 117, 217, 218, 219, 280, 282, 241, 425, 279, 194, 428, 429, 430,
         432, 442),
    ),
}  # fmt: skip
_libc = ctypes.CDLL(None, use_errno=True)


def _must(result: int, what: str) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


def _mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    arguments = (source.encode(), target.encode(), kind.encode() or None, flags, data.encode())
    _must(_libc.mount(*arguments), f"mount {target}")


def _build_root(folders: list[str], size: int) -> None:
    """Make a root of read-only folders and a writable /work, and go there."""
    _mount("tmpfs", _ROOT, "tmpfs", _MS_NOSUID | _MS_NODEV, "size=1m,mode=755")
    for folder in folders:
        target = _ROOT + folder
        if os.path.islink(folder):
            os.makedirs(os.path.dirname(target), exist_ok=True)
            os.symlink(os.readlink(folder), target)
            continue
        if not os.path.isdir(folder) or os.path.isdir(target):
            continue
        os.makedirs(target)
        _mount(folder, target, "", _MS_BIND | _MS_REC)
        flags = _MS_REMOUNT | _MS_BIND | _MS_RDONLY | _MS_NOSUID | _MS_NODEV
        _mount("", target, "", flags)
    os.makedirs(f"{_ROOT}/dev")
    with open(f"{_ROOT}/dev/null", "w"):
        pass
    _mount("/dev/null", f"{_ROOT}/dev/null", "", _MS_BIND)
    os.mkdir(f"{_ROOT}/work")
    options = f"size={size},nr_inodes=1024,mode=777"
    _mount("tmpfs", f"{_ROOT}/work", "tmpfs", _MS_NOSUID | _MS_NODEV, options)
    _mount("", _ROOT, "", _MS_REMOUNT | _MS_BIND | _MS_RDONLY | _MS_NOSUID | _MS_NODEV)
    os.chdir(_ROOT)
    _must(_libc.pivot_root(b".", b"."), "pivot_root")
    _must(_libc.umount2(b".", _MNT_DETACH), "umount2")
    os.chdir("/work")


def _drop_rights(uid: int) -> None:
    """Become nobody, without capabilities and without a way to any."""
    for capability in range(64):
        if _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            break
    if uid:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    _must(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")


def _filter_syscalls() -> None:
    """Deny system calls that make namespaces, mount, trace, or take memory beside the limits."""
    if platform.machine() not in _SYSCALLS:
        raise OSError(f"no list of system calls for {platform.machine()}")
    audit, clone, clone3, denied = _SYSCALLS[platform.machine()]
    load, equal, at_least, has_bits, give = 0x20, 0x15, 0x35, 0x45, 0x06
    code = [
        (load, 0, 0, 4),
        (equal, 1, 0, audit),
        (give, 0, 0, _DENY),
        (load, 0, 0, 0),
        (at_least, 0, 1, 0x40000000),  # the x32 variants of the same calls
        (give, 0, 0, _DENY),
        (equal, 0, 1, clone3),  # its flags are out of reach; libc falls back to clone
        (give, 0, 0, _ENOSYS),
    ]
    for number in denied:
        code += [(equal, 0, 1, number), (give, 0, 0, _DENY)]
    code += [
        (equal, 0, 3, clone),
        (load, 0, 0, 16),
        (has_bits, 0, 1, _NEW_NAMESPACE),
        (give, 0, 0, _DENY),
        (give, 0, 0, _ALLOW),
    ]
    packed = b"".join(struct.pack("HBBI", *line) for line in code)
    buffer = ctypes.create_string_buffer(packed, len(packed))
    program = struct.pack("HxxxxxxP", len(code), ctypes.addressof(buffer))
    _must(_libc.prctl(_PR_SET_SECCOMP, 2, program, 0, 0), "seccomp")


def _set_limits(limits: dict[str, int]) -> None:
    values = {
        resource.RLIMIT_CPU: limits["cpu_seconds"],
        resource.RLIMIT_AS: limits["memory_bytes"],
        resource.RLIMIT_NPROC: limits["processes"],
        resource.RLIMIT_FSIZE: limits["disk_bytes"],
        resource.RLIMIT_NOFILE: limits["files"],
        resource.RLIMIT_CORE: 0,
    }
    for kind, value in values.items():
        resource.setrlimit(kind, (value, value))


def _run(python: str) -> None:
    """Replace this process by the program, which reads its input from a file."""
    job = json.loads(sys.stdin.buffer.read())
    with open("main.py", "w", encoding="utf-8", errors="surrogatepass") as file:
        file.write(job["program"])
    with open("input", "w", encoding="utf-8", errors="surrogatepass") as file:
        file.write(job["input"])
    os.dup2(os.open("input", os.O_RDONLY), 0)
    os.execve(python, [python, "-I", "-S", "-B", "-X", "utf8", "main.py"], {})


def main() -> None:
    """Shut in, then run the program as a child, so that the first process reaps and ends all."""
    options: dict[str, Any] = json.loads(sys.argv[1])
    if options["mode"] in ("root", "user"):
        _build_root(options["folders"], options["limits"]["disk_bytes"])
    child = os.fork()
    if child == 0:
        _set_limits(options["limits"])
        if options["mode"] != "unsafe":
            _drop_rights(options["uid"])
            _filter_syscalls()
        _run(options["python"])
    os.close(0)
    os.close(1)
    _, status = os.waitpid(child, 0)
    os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


if __name__ == "__main__":
    main()
