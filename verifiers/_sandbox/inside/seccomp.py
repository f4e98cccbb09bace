"""The filter of system calls that every process of a sandbox is under.

It denies what makes namespaces and mounts, reads or changes other processes, takes memory beside
the limits, and opens sockets: of any family, since AF_VSOCK and AF_NETLINK pass network
namespaces. Programs that were allowed sockets get those of AF_UNIX, AF_INET and AF_INET6. Pairs
of connected AF_UNIX sockets, which asyncio needs, reach nobody and are allowed.

Where there is no namespace for processes, it also denies signals to others, new sessions, and
changes to the owner, mode and times of files.
"""

import ctypes
import struct

from tts.verifiers._sandbox.inside.kernel import libc, must

_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2
_ALLOW, _DENY, _NO_SUCH_CALL = 0x7FFF0000, 0x00050001, 0x00050026  # the last: ENOSYS is 38
_NEW_NAMESPACE = 0x7E020000  # any CLONE_NEW* flag
_X32 = 0x40000000  # the x32 variants of the calls of x86_64
_SIGABRT = 6
_FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10}
_AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_MACHINES = ("x86_64", "aarch64")
# Numbers on x86_64 and on aarch64; None where there is no such call.
_Numbers = dict[str, tuple[int | None, int | None]]
_ALWAYS: _Numbers = {
    "unshare": (272, 97), "setns": (308, 268), "chroot": (161, 51), "pivot_root": (155, 41),
    "mount": (165, 40), "umount2": (166, 39), "open_tree": (428, 428), "move_mount": (429, 429),
    "fsopen": (430, 430), "fsmount": (432, 432), "fspick": (433, 433),
    "mount_setattr": (442, 442), "open_tree_attr": (467, 467),
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "process_madvise": (440, 440), "pidfd_getfd": (438, 438), "kcmp": (312, 272),
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425), "syslog": (103, 116),
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    "memfd_create": (319, 279), "memfd_secret": (447, 447), "shmget": (29, 194),
    "semget": (64, 190), "msgget": (68, 186), "mq_open": (240, 180),
}  # fmt: skip
_WITHOUT_NAMESPACES: _Numbers = {
    "kill": (62, 129), "tkill": (200, 130), "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240), "pidfd_send_signal": (424, 424),
    "setsid": (112, 157), "setpgid": (109, 154),
    "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452),
    "chown": (92, None), "lchown": (94, None), "fchown": (93, 55), "fchownat": (260, 54),
    "utime": (132, None), "utimes": (235, None), "futimesat": (261, None), "utimensat": (280, 88),
    "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7), "setxattrat": (463, 463),
    "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16),
    "removexattrat": (466, 466),
    "setpriority": (141, 140), "ioprio_set": (251, 30), "sched_setaffinity": (203, 122),
    "sched_setparam": (142, 118), "sched_setscheduler": (144, 119), "sched_setattr": (314, 274),
    "migrate_pages": (256, 238), "move_pages": (279, 239),
}  # fmt: skip
# Calls that depend on an argument.
_CLONE, _CLONE3 = (56, 220), (435, 435)
_SOCKET, _SOCKETPAIR = (41, 198), (53, 199)
_TGKILL, _PRLIMIT = (234, 131), (302, 261)

_Line = tuple[int, int, int, int]
_LINE_BYTES = struct.calcsize("HBBI")
_LOAD, _EQUAL, _AT_LEAST, _HAS_BITS, _GIVE = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE = 0, 4


def make_filter(machine: str, *, has_namespaces: bool, sockets: bool) -> bytes:
    """Return the filter, which is the same for every test of a sandbox.

    Args:
        machine: As `os.uname` names it.
        has_namespaces: Processes are in a namespace of their own.
        sockets: Allow those of AF_UNIX, AF_INET and AF_INET6.

    Raises:
        OSError: The numbers of the machine's system calls are not known here.
    """
    if machine not in _MACHINES:
        raise OSError(f"no list of system calls for {machine}")
    code = _program(_MACHINES.index(machine), has_namespaces=has_namespaces, sockets=sockets)
    return b"".join(struct.pack("HBBI", *line) for line in code)


def filter_calls(packed: bytes) -> None:
    """Put this process, and all that it starts, under a filter.

    Raises:
        OSError: The kernel refuses it.
    """
    buffer = ctypes.create_string_buffer(packed, len(packed))
    program = struct.pack("HxxxxxxP", len(packed) // _LINE_BYTES, ctypes.addressof(buffer))
    must(libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, program, 0, 0), "seccomp")


def _program(machine: int, *, has_namespaces: bool, sockets: bool) -> list[_Line]:
    denied = dict(_ALWAYS) if has_namespaces else {**_ALWAYS, **_WITHOUT_NAMESPACES}
    code = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, _AUDIT[_MACHINES[machine]]),
        (_GIVE, 0, 0, _DENY),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, _X32),
        (_GIVE, 0, 0, _DENY),
        (_EQUAL, 0, 1, _CLONE3[machine]),  # its flags are out of reach; libc falls back to clone
        (_GIVE, 0, 0, _NO_SUCH_CALL),
    ]
    for numbers in denied.values():
        if (number := numbers[machine]) is not None:
            code += [(_EQUAL, 0, 1, number), (_GIVE, 0, 0, _DENY)]
    families = list(_FAMILIES.values()) if sockets else []
    code += _only(_SOCKET[machine], 0, families)
    code += _only(_SOCKETPAIR[machine], 0, [_FAMILIES["AF_UNIX"]])
    if not has_namespaces:
        code += _only(_TGKILL[machine], 2, [_SIGABRT])  # `abort` is a signal to oneself
        code += _only(_PRLIMIT[machine], 0, [0])  # the limits of oneself
    code += [
        (_EQUAL, 0, 3, _CLONE[machine]),
        (_LOAD, 0, 0, _argument(0)),
        (_HAS_BITS, 0, 1, _NEW_NAMESPACE),
        (_GIVE, 0, 0, _DENY),
        (_GIVE, 0, 0, _ALLOW),
    ]
    return code


def _only(number: int, place: int, values: list[int]) -> list[_Line]:
    """Return lines that allow a call where an argument has one of the values, and deny it else."""
    checks = [(_EQUAL, len(values) - k, 0, value) for k, value in enumerate(values)]
    lines = [(_LOAD, 0, 0, _argument(place)), *checks, (_GIVE, 0, 0, _DENY), (_GIVE, 0, 0, _ALLOW)]
    return [(_EQUAL, 0, len(lines), number), *lines]


def _argument(place: int) -> int:
    """Return the offset of the lower half of an argument; both machines are little-endian."""
    return 16 + 8 * place
