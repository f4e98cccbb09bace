"""Generations by content: what makes a killed run resume and a re-vote free.

A completion's key is a hash of all that decides its text: engine fingerprint, prompt, sampling and
seed. Each line of the file carries a checksum; a torn last line (the process was killed in the
middle of a write) is dropped, a damaged line elsewhere is an error.
"""

import hashlib
import json
import zlib
from collections.abc import Iterator
from dataclasses import is_dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Self

from tts.errors import StoreError
from tts.storage.json_bytes import encode_json
from tts.types import PER_TOKEN, Completion, GenerationRequest, Usage


def request_key(fingerprint: str, request: GenerationRequest) -> str:
    """Return the key of a request, its seed and `n` left out."""
    content: list[Any] = [fingerprint, request.prompt, request.sampling]
    if request.keep_free:  # without it, keys are as they were before there was such a thing
        content.append(request.keep_free)
    text = _KEY_JSON.encode(content)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


class GenerationLog:
    """Completions in memory, by key; `LogFile` keeps them on disk as well."""

    def __init__(self) -> None:
        self._finished: dict[str, tuple[int, Completion]] = {}
        self._aborted: dict[str, Usage] = {}
        self._position = 0

    def find(self, key: str, seeds: Iterator[int]) -> list[tuple[int, Completion]]:
        """Return the recorded (seed, completion) pairs of a request, in their recorded order."""
        found = [(seed, self._finished.get(f"{key}-{seed}")) for seed in seeds]
        ordered = sorted((hit[0], seed, hit[1]) for seed, hit in found if hit is not None)
        return [(seed, completion) for _, seed, completion in ordered]

    def find_aborted(self, key: str, seed: int) -> Usage | None:
        """Return what the aborted part of a request had cost."""
        return self._aborted.get(f"{key}-{seed}")

    def record(self, key: str, seed: int, completion: Completion) -> None:
        """Keep a finished completion."""
        self._finished[f"{key}-{seed}"] = (self._position, completion)
        self._position += 1

    def record_aborted(self, key: str, seed: int, usage: Usage) -> None:
        """Keep what the aborted part of the request with this base seed had cost."""
        self._aborted[f"{key}-{seed}"] = usage


class LogFile(GenerationLog):
    """A generation log that appends to a JSON Lines file.

    Raises:
        StoreError: The file cannot be opened, or a line other than the last is damaged.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        try:
            valid_bytes = self.load(path) if path.exists() else 0
            self._file: BinaryIO = path.open("ab")
            self._file.truncate(valid_bytes)
        except OSError as error:
            raise StoreError(f"{path}: cannot be opened for writing: {error.strerror}") from error

    def load(self, path: Path) -> int:
        """Add the generations of a file, another run's or this one's; returns its valid length.

        Raises:
            StoreError: The file cannot be read, or a line other than the last is damaged.
        """
        try:
            data = path.read_bytes()
        except OSError as error:
            raise StoreError(f"{path}: cannot be read: {error.strerror}") from error
        position = 0
        for number, line in enumerate(data.splitlines(keepends=True), start=1):
            entry = _decode(line)
            if entry is None:
                if position + len(line) < len(data):
                    raise StoreError(
                        f"{path}:{number}: damaged line; delete it to draw that sample again"
                    )
                break
            position += len(line)
            if entry["kind"] == "completion":
                super().record(entry["key"], entry["seed"], _to_completion(entry["value"]))
            else:
                super().record_aborted(entry["key"], entry["seed"], Usage(**entry["value"]))
        return position

    def record(self, key: str, seed: int, completion: Completion) -> None:
        """Keep a finished completion, on disk before anybody acts on it."""
        self._append("completion", key, seed, completion)
        super().record(key, seed, completion)

    def record_aborted(self, key: str, seed: int, usage: Usage) -> None:
        """Keep what an aborted request had cost."""
        self._append("aborted", key, seed, usage)
        super().record_aborted(key, seed, usage)

    def _append(self, kind: str, key: str, seed: int, value: Completion | Usage) -> None:
        body = encode_json({"kind": kind, "key": key, "seed": seed, "value": value})
        try:
            self._file.write(b"%08x %b\n" % (zlib.crc32(body), body))
            self._file.flush()
        except OSError as error:
            raise StoreError(
                f"{self.path}: cannot be written: {error.strerror}; what was finished is kept, "
                "make room and run the same command again"
            ) from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        """Return the log."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()


def _decode(line: bytes) -> dict[str, Any] | None:
    if not line.endswith(b"\n") or line[8:9] != b" ":
        return None
    body = line[9:-1]
    if f"{zlib.crc32(body):08x}".encode() != line[:8]:
        return None
    entry: dict[str, Any] = json.loads(body)
    return entry


def _plain(value: Any) -> Any:
    """Return what a key's JSON has in place of a dataclass, or of what it does not know."""
    if not is_dataclass(value):
        return str(value)
    fields = {name: getattr(value, name) for name in value.__dataclass_fields__}
    if fields.get("certainties") is False:  # keys are as they were before there was such a thing
        del fields["certainties"]
    return fields


_KEY_JSON = json.JSONEncoder(sort_keys=True, ensure_ascii=False, default=_plain)


def _to_completion(value: dict[str, Any]) -> Completion:
    sequences = {
        name: tuple(value[name])
        for name in ("prompt_token_ids", "token_ids", "step_scores", *PER_TOKEN)
        if value.get(name) is not None
    }
    completion = Completion(**{**value, **sequences, "usage": Usage(**value["usage"])})
    spent = completion.usage.generated_tokens or 0
    return replace(completion, usage=replace(completion.usage, reused_tokens=spent))
