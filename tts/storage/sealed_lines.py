"""JSON Lines that can be cut off at any byte, and JSON files that are there or not at all.

Every line is one JSON object whose last key, `crc32`, is the checksum of the bytes before it. A
line that was cut off fails its checksum: at the end of a file it is dropped, elsewhere it is an
error.
"""

import errno
import json
import os
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tts.errors import StoreError
from tts.storage.json_bytes import encode_json

_SEAL = b',"crc32":"'
_TAIL_BYTES = len(_SEAL) + 8 + len(b'"}\n')


def encode_line(values: Mapping[str, Any]) -> bytes:
    """Return a sealed line.

    Args:
        values: JSON values, tuples and dataclasses; not empty.
    """
    body = encode_json(values)[:-1]
    return body + _seal(body)


def decode_line(line: bytes) -> dict[str, Any] | None:
    """Return what was sealed, without its checksum; None if the line is not whole."""
    return _values(line) if _is_whole(line) else None


class Line(NamedTuple):
    """A whole line of a file.

    Attributes:
        start: Position of its first byte.
        end: Position of the byte after it.
        values: What it says.
    """

    start: int
    end: int
    values: dict[str, Any]


def read_lines(path: Path, *, holding: str = "", start: int = 0) -> Iterator[Line]:
    """Yield the whole lines of a file, one in memory at a time; a missing file has none.

    A last line that was cut off is passed over: its writer was killed.

    Args:
        path: The file.
        holding: Only lines that hold this text, which saves decoding the others.
        start: Position of the first line to read: the end of one that was read before.

    Raises:
        StoreError: The file cannot be read, or a line other than the last is damaged.
    """
    wanted = holding.encode()
    try:
        with path.open("rb") as file:
            file.seek(start)
            for data in file:
                if not _is_whole(data):
                    if file.read(1):
                        file.seek(0)
                        number = file.read(start).count(b"\n") + 1
                        raise StoreError(
                            f"{path}:{number}: damaged line; delete it to do that part again"
                        )
                    return
                end = start + len(data)
                if wanted in data:
                    yield Line(start, end, _values(data))
                start = end
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror}") from error


def _seal(body: bytes) -> bytes:
    return b'%b%08x"}\n' % (_SEAL, zlib.crc32(body))


def _is_whole(line: bytes) -> bool:
    return line[-_TAIL_BYTES:] == _seal(line[:-_TAIL_BYTES])


def _values(line: bytes) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(line[:-_TAIL_BYTES] + b"}")
    return values


class LineWriter:
    """Appends whole lines to a file, each with one system call.

    Args:
        path: The file; made if missing.
        keep_bytes: What follows is cut off first.

    Raises:
        StoreError: The file cannot be written.
    """

    def __init__(self, path: Path, keep_bytes: int) -> None:
        self.path = path
        # Of the first failure; the error itself would hold on to all that it went through.
        self._broken: tuple[int | None, str | None] | None = None
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
            self.size = min(keep_bytes, os.fstat(self._file).st_size)
            os.ftruncate(self._file, self.size)
        except OSError as error:
            raise cannot_write(path, error) from error

    def append(self, data: bytes) -> None:
        """Write lines; after a failure nothing more is written, so that only the end is torn.

        Raises:
            StoreError: The disk is full, or has gone; later calls fail as the first one did.
        """
        try:
            if self._broken is not None:
                raise OSError(*self._broken)
            view = memoryview(data)
            while view:
                view = view[os.write(self._file, view) :]
        except OSError as error:
            self._broken = error.errno, error.strerror
            raise cannot_write(self.path, error) from error
        self.size += len(data)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Replace a JSON file, as `write_text` does."""
    write_text(path, f"{json.dumps(values, indent=1)}\n")


def write_text(path: Path, text: str) -> None:
    """Replace a file in one step: readers see the old one or the new one.

    Its folder is made if missing.

    Raises:
        StoreError: It cannot be written.
    """
    draft = path.with_name(f"{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        raise cannot_write(path, error) from error


def check_place(path: Path) -> None:
    """Refuse a file that could not be written, before anything is spent on what it will hold.

    Raises:
        StoreError: A folder has its name, or what it is to lie in cannot be written.
    """
    try:
        if code := _why_not(path):
            raise OSError(code, os.strerror(code))
    except OSError as error:
        raise cannot_write(path, error) from error


def _why_not(path: Path) -> int:
    """Return the error that writing a file would meet; 0 for none."""
    if path.is_dir():
        return errno.EISDIR
    above = next(folder for folder in path.absolute().parents if folder.exists())
    if not above.is_dir():
        return errno.ENOTDIR
    return 0 if os.access(above, os.W_OK | os.X_OK) else errno.EACCES


def read_json(path: Path) -> dict[str, Any] | None:
    """Read a JSON object; None if there is no such file.

    Raises:
        StoreError: The file cannot be read, or is no JSON object.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"{path}: cannot be read: {error}") from error
    try:
        values = json.loads(text)
    except ValueError as error:
        raise StoreError(f"{path}: not valid JSON: {error}") from error
    if not isinstance(values, dict):
        raise StoreError(f"{path}: expected a JSON object")
    return values


def cannot_write(path: Path, error: OSError) -> StoreError:
    """Return the error for a file that cannot be written."""
    is_full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    remedy = (
        "what was finished is kept: make room and run the same command again"
        if is_full
        else "name a place that can be written"
    )
    return StoreError(f"{path}: cannot be written: {error.strerror}; {remedy}")
