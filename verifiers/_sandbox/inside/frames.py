"""How the sandbox and its first process talk: a kind, a length, and that many bytes."""

import os
import struct

# To the first process.
CODE, ASSERTIONS, TOGETHER, PROGRAM, EVALUATE = b"C", b"A", b"T", b"P", b"E"
READY, VERDICT, LAST = b"R", b"V", b"L"  # from it; after the last verdict it ends
HEAD = struct.Struct(">cI")


def frame(kind: bytes, data: bytes) -> bytes:
    """Return data as it is sent."""
    return HEAD.pack(kind, len(data)) + data


def read_exactly(file: int, size: int) -> bytes:
    """Read that many bytes, fewer at the end of the file alone."""
    parts = []
    while size and (part := os.read(file, min(size, 2**20))):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def read_head(file: int) -> tuple[bytes, int] | None:
    """Read a kind and a length; None at the end of the file."""
    head = read_exactly(file, HEAD.size)
    return HEAD.unpack(head) if len(head) == HEAD.size else None


def split(data: bytes) -> list[tuple[bytes, bytes]]:
    """Return the kinds and the data of whole frames."""
    found = []
    while len(data) >= HEAD.size:
        kind, size = HEAD.unpack(data[: HEAD.size])
        found.append((kind, data[HEAD.size :][:size]))
        data = data[HEAD.size + size :]
    return found
