"""Landlock: a process gives up all files but some; it needs no privilege (Linux 6.2 or later)."""

import os
import struct
from collections.abc import Iterable

from tts.verifiers._sandbox.inside.kernel import syscall

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every machine
_GIVE_VERSION, _PATH_BENEATH = 1, 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _TRUNCATE = 1, 2, 4, 8, 1 << 14
_ALL = (1 << 15) - 1  # every right of version 3, the first under which no file can be truncated
_OLDEST = 3


def restrict_files(read: Iterable[str], write: str, devices: Iterable[str]) -> None:
    """Leave this process, and all that it starts, some files.

    Args:
        read: Folders that it may read, and whose programs it may run.
        write: The folder where it may do as it likes.
        devices: Files that it may read and write.

    Raises:
        OSError: This kernel has no Landlock, or one that does too little.
    """
    version = syscall(_CREATE_RULESET, None, 0, _GIVE_VERSION)
    if version < _OLDEST:
        raise OSError(f"Landlock of version {version}; {_OLDEST} is needed, of Linux 6.2")
    attributes = struct.pack("Q", _ALL)
    rules = syscall(_CREATE_RULESET, attributes, len(attributes), 0)
    for folder in read:
        _allow(rules, folder, _EXECUTE | _READ_FILE | _READ_DIR)
    for device in devices:
        _allow(rules, device, _READ_FILE | _WRITE_FILE | _TRUNCATE)
    _allow(rules, write, _ALL)
    syscall(_RESTRICT_SELF, rules, 0)
    os.close(rules)


def _allow(rules: int, path: str, rights: int) -> None:
    try:
        file = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # what is not there needs no rule
    syscall(_ADD_RULE, rules, _PATH_BENEATH, struct.pack("=Qi", rights, file), 0)
    os.close(file)
