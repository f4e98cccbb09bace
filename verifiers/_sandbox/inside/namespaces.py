"""Namespaces of its own, and a root of read-only folders with one writable one."""

import os
import struct

from tts.verifiers._sandbox.inside.kernel import libc, must, syscall

_NEW_MOUNTS, _NEW_PIDS, _NEW_NETWORK = 0x00020000, 0x20000000, 0x40000000
_NEW_IPC, _NEW_HOST_NAME, _NEW_USERS = 0x08000000, 0x04000000, 0x10000000
_READ_ONLY, _NO_SETUID, _NO_DEVICES, _NO_PROGRAMS = 1, 2, 4, 8
_REMOUNT, _BIND, _RECURSIVE, _PRIVATE, _DETACH = 32, 4096, 16384, 1 << 18, 2
_MOUNT_SETATTR, _HERE, _AT_RECURSIVE = 442, -100, 0x8000
WORK = "/tts-work"  # where programs may write; no folder that is shown is likely to be there
_ROOT = "/tmp"  # where the new root is put together; hidden by it in this mount namespace alone


def enter(*, users: dict[int, int] | None) -> None:
    """Take new namespaces; that of processes begins with the next fork.

    Args:
        users: What users of a user namespace are outside; None makes none, which takes
            CAP_SYS_ADMIN.

    Raises:
        OSError: This machine does not let us.
    """
    flags = _NEW_MOUNTS | _NEW_PIDS | _NEW_NETWORK | _NEW_IPC | _NEW_HOST_NAME
    if users is None:
        must(libc.unshare(flags), "unshare")
    else:
        _enter_as(users, flags | _NEW_USERS)
    _mount("none", "/", "", _RECURSIVE | _PRIVATE)


def _enter_as(users: dict[int, int], flags: int) -> None:
    """Take the namespaces while a helper that stays outside writes who is who."""
    is_in, told = os.pipe()
    parent = os.getpid()
    helper = os.fork()
    if helper == 0:
        os.close(told)
        os._exit(0 if os.read(is_in, 1) and _write_maps(parent, users) else 1)
    os.close(is_in)
    try:
        must(libc.unshare(flags), "unshare")
        os.write(told, b"1")
    finally:
        os.close(told)
        _, status = os.waitpid(helper, 0)
    if status != 0:
        raise OSError("the users of the namespace cannot be set")


def _write_maps(process: int, users: dict[int, int]) -> bool:
    lines = "".join(f"{inside} {outside} 1\n" for inside, outside in users.items())
    files = {"uid_map": lines, "gid_map": lines}
    if os.geteuid() != 0:  # who may not map groups freely must first give up changing them
        own = "".join(f"{inside} {os.getegid()} 1\n" for inside in users)
        files = {"uid_map": lines, "setgroups": "deny", "gid_map": own}
    try:
        for name, text in files.items():
            with open(f"/proc/{process}/{name}", "w") as file:
                file.write(text)
    except OSError:
        return False
    return True


def build_root(folders: list[str], *, size: int, owner: int) -> None:
    """Make a root of read-only folders and a writable `WORK`, and go there.

    Args:
        folders: That are shown where they are now.
        size: Of all files in `WORK` together, in bytes.
        owner: User and group of `WORK`.

    Raises:
        OSError: A mount failed.
    """
    _mount("tmpfs", _ROOT, "tmpfs", _NO_SETUID | _NO_DEVICES, "size=1m,mode=755")
    for folder in folders:
        _show(folder)
    os.makedirs(f"{_ROOT}/dev")
    with open(f"{_ROOT}/dev/null", "w"):
        pass
    _mount("/dev/null", f"{_ROOT}/dev/null", "", _BIND)
    os.mkdir(_ROOT + WORK)
    options = f"size={size},nr_inodes=1024,mode=700,uid={owner},gid={owner}"
    _mount("tmpfs", _ROOT + WORK, "tmpfs", _NO_SETUID | _NO_DEVICES, options)
    _mount("", _ROOT, "", _REMOUNT | _BIND | _READ_ONLY | _NO_SETUID | _NO_DEVICES)
    os.chdir(_ROOT)
    must(libc.pivot_root(b".", b"."), "pivot_root")
    must(libc.umount2(b".", _DETACH), "umount2")
    os.chdir(WORK)


def _show(folder: str) -> None:
    """Show a folder of the old root in the new one, where it cannot be written to."""
    target = _ROOT + folder
    if os.path.islink(folder):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.symlink(os.readlink(folder), target)
        return
    if not os.path.isdir(folder) or os.path.isdir(target):
        return
    os.makedirs(target)
    _mount(folder, target, "", _BIND | _RECURSIVE)
    attributes = struct.pack("QQQQ", _READ_ONLY | _NO_SETUID | _NO_DEVICES, 0, 0, 0)
    try:  # what is mounted below it becomes read-only too
        path = target.encode()
        syscall(_MOUNT_SETATTR, _HERE, path, _AT_RECURSIVE, attributes, len(attributes))
    except OSError:  # before Linux 5.12
        kept = os.statvfs(target).f_flag & _NO_PROGRAMS
        _mount("", target, "", kept | _REMOUNT | _BIND | _READ_ONLY | _NO_SETUID | _NO_DEVICES)


def _mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    arguments = (source.encode(), target.encode(), kind.encode() or None, flags, data.encode())
    must(libc.mount(*arguments), f"mount {target}")
