"""One process at a time works in a folder."""

import fcntl
import os
from pathlib import Path

from tts.errors import StoreError
from tts.storage.sealed_lines import cannot_write

_LOCK = "lock"


def lock_folder(folder: Path) -> int:
    """Lock a folder, made if missing; the lock goes with the process, however it ends.

    Returns:
        A file descriptor, which holds the lock until it is closed.

    Raises:
        StoreError: Another process holds it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise cannot_write(folder, error) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        owner = os.pread(file, 20, 0).decode(errors="replace").strip() or "another process"
        os.close(file)
        raise StoreError(
            f"{folder}: process {owner} works there; wait for it or choose another --out"
        ) from error
    os.ftruncate(file, 0)
    os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
    return file
