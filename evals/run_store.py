"""A run on disk: what was run, with what, and how far it came.

DIR/<benchmark>-<preset>-<hash of its configuration>/
    run.json            configuration, versions, environment, sessions
    generations.jsonl   every finished completion (`tts.runtime.log`)
    trace.jsonl         what happened to each finished problem
    problems.jsonl      one line per finished problem and repeat
    summary.json        the figures, once every problem is finished
    lock                held while a process works here

A process may be killed at any byte: lines carry checksums and JSON files are replaced whole.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from tts.errors import StoreError
from tts.evals.environment import describe_machine, versions
from tts.runtime.log import LogFile
from tts.storage.json_bytes import encode_json
from tts.storage.sealed_lines import (
    LineWriter,
    cannot_write,
    encode_line,
    read_json,
    read_lines,
    write_json,
)
from tts.types import Event, RunFacts, Usage

GENERATIONS = "generations.jsonl"
_PROBLEMS, _TRACE, _RUN, _SUMMARY, _LOCK = (
    "problems.jsonl",
    "trace.jsonl",
    "run.json",
    "summary.json",
    "lock",
)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One finished sample of a problem.

    Attributes:
        answer: As it was written; None when there is none.
        group: Equal answers of one problem and repeat have the same group; None without answer.
        correct: Whether it equals the reference.
        tokens: Generated tokens.
        scores: By verifier: the probability, else the value; failed ones are left out.
        is_draft: It was drawn in view of no other: not a revision, a comparison or a continuation.
    """

    answer: str | None
    group: int | None
    correct: bool
    tokens: int | None
    scores: Mapping[str, float] = field(default_factory=dict)
    is_draft: bool = True


@dataclass(frozen=True, slots=True)
class Record:
    """What came of one problem in one repeat: a line of `problems.jsonl`.

    Attributes:
        id: The problem's.
        repeat: From 0.
        answer: Final answer; None when there is none.
        correct: Whether it is right; None when nobody can tell.
        usage: Everything spent on it.
        seconds: Wall time, in the session that finished it.
        error: Why there is no answer, or what is missing from a partial one; empty otherwise.
        attempts: Every finished sample, in order.
        is_cut: Samples were aborted or refused, so `attempts` are no fair draw of them all.
        facts: What happened: stopping rules, warnings, limits, figures of tree searches.
    """

    id: str
    repeat: int
    answer: str | None
    correct: bool | None
    usage: Usage
    seconds: float | None
    error: str
    attempts: tuple[Attempt, ...]
    is_cut: bool
    facts: RunFacts = field(default_factory=RunFacts)

    @property
    def drafts(self) -> tuple[Attempt, ...]:
        """The attempts that are independent of each other, as pass@k and maj@k need them."""
        return tuple(attempt for attempt in self.attempts if attempt.is_draft)

    @classmethod
    def from_line(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_line` wrote."""
        kept = {f.name: values[f.name] for f in fields(cls)}
        kept["usage"] = Usage(**values["usage"])
        kept["attempts"] = tuple(Attempt(**attempt) for attempt in values["attempts"])
        kept["facts"] = RunFacts.from_values(values["facts"])
        return cls(**kept)

    def to_line(self, trace_end: int) -> dict[str, Any]:
        """Return the line's values; `trace_end` is the trace's length with this problem's part."""
        return {**asdict(self), "trace_end": trace_end}


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run as it was found on disk.

    Attributes:
        folder: Where.
        config: What was to be run.
        records: What is finished, in order of completion.
        seconds: Time that all its sessions took.
        summary: The figures, if it was finished.
        versions: Of the packages that ran and graded it.
    """

    folder: Path
    config: Mapping[str, Any]
    records: tuple[Record, ...]
    seconds: float
    summary: Mapping[str, Any] | None
    versions: Mapping[str, Any] = field(default_factory=dict)


def load_run(folder: Path) -> StoredRun:
    """Read a run without touching it.

    Raises:
        StoreError: There is no run, or it is damaged.
    """
    head = read_json(folder / _RUN)
    if head is None:
        raise StoreError(f"{folder}: no run here ({_RUN} is missing)")
    lines = read_lines(folder / _PROBLEMS).values
    return StoredRun(
        folder=folder,
        config=head["config"],
        records=tuple(Record.from_line(line) for line in lines),
        seconds=sum(_session_seconds(folder, session) for session in head["sessions"]),
        summary=read_json(folder / _SUMMARY),
        versions=head.get("versions", {}),
    )


def read_events(folder: Path, kind: str) -> Iterator[dict[str, Any]]:
    """Yield the events of one kind from a run's trace; each names its `problem` and `repeat`.

    A last line that a killed process left unfinished is passed over.

    Raises:
        StoreError: There is no trace.
    """
    name = f'"{kind}"'  # cheap: a trace holds far more other events
    try:
        with (folder / _TRACE).open(encoding="utf-8") as file:
            for line in file:
                if name not in line or not line.endswith("\n"):
                    continue
                event = json.loads(line)
                if event.get("kind") == kind:
                    yield event
    except OSError as error:
        raise StoreError(f"cannot read the run's trace: {error}") from error


def folder_name(config: Mapping[str, Any]) -> str:
    """Return the name of a run's folder: benchmark, preset, hash of the whole configuration."""
    text = json.dumps(config, sort_keys=True)
    digest = hashlib.blake2b(text.encode(), digest_size=5).hexdigest()
    words = (re.sub(r"[^\w.]+", "_", str(config[key]))[-60:] for key in ("benchmark", "preset"))
    return "-".join((*words, digest))


class RunStore:
    """A run's folder, open for writing by this process alone.

    Args:
        root: Holds the folders of runs.
        config: All that decides the run's figures; JSON values, with `benchmark` and `preset`.

    Raises:
        StoreError: Another process works there, the disk is full, or a file is damaged.
    """

    def __init__(self, root: Path, config: Mapping[str, Any]) -> None:
        self.folder = root / folder_name(config)
        with contextlib.ExitStack() as opened:
            opened.callback(os.close, _lock(self.folder))
            self._head = self._begin_session(json.loads(json.dumps(config)))
            problems = read_lines(self.folder / _PROBLEMS)
            trace_end = problems.values[-1]["trace_end"] if problems.values else 0
            self.records = {(r.id, r.repeat): r for r in map(Record.from_line, problems.values)}
            self.log = LogFile(self.folder / GENERATIONS)
            opened.callback(self._close_log)
            self._problems = LineWriter(self.folder / _PROBLEMS, problems.end)
            opened.callback(self._problems.close)
            self._trace = LineWriter(self.folder / _TRACE, trace_end)
            opened.callback(self._trace.close)
            self._opened = opened.pop_all()

    @property
    def config(self) -> Mapping[str, Any]:
        """All that decides the run's figures."""
        config: Mapping[str, Any] = self._head["config"]
        return config

    @property
    def seconds(self) -> float:
        """The time that this session and those before it took."""
        *before, _ = self._head["sessions"]
        return sum(float(s["seconds"]) for s in before) + self._session_seconds()

    def add(self, record: Record, events: Iterable[Event]) -> None:
        """Keep a finished problem and its trace.

        Raises:
            StoreError: It cannot be written; what was written before is kept.
        """
        place = {"problem": record.id, "repeat": record.repeat}
        self._trace.append(b"".join(_event_line(place, event) for event in events))
        self._problems.append(encode_line(record.to_line(self._trace.size)))
        self.records[record.id, record.repeat] = record

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Keep the figures.

        Raises:
            StoreError: They cannot be written.
        """
        write_json(self.folder / _SUMMARY, summary)

    def close(self) -> None:
        """Note how long the session took and let others in."""
        self._head["sessions"][-1]["seconds"] = self._session_seconds()
        with self._opened, contextlib.suppress(StoreError):
            # Where the disk is full, the next session works this out from the files' times.
            write_json(self.folder / _RUN, self._head)

    def __enter__(self) -> Self:
        """Return the store."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def _begin_session(self, config: Mapping[str, Any]) -> dict[str, Any]:
        head = read_json(self.folder / _RUN) or {
            "schema": 1,
            "config": config,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": versions(),
            "environment": describe_machine(),
            "sessions": [],
        }
        if head["config"] != config:
            raise StoreError(f"{self.folder / _RUN}: another configuration lies here; move it away")
        for session in head["sessions"]:
            session["seconds"] = _session_seconds(self.folder, session)
        self._started = time.monotonic()
        head["sessions"].append({"started": time.time(), "seconds": None, "process": os.getpid()})
        write_json(self.folder / _RUN, head)
        return head

    def _close_log(self) -> None:
        # A full disk has been reported where it was met, and the torn line will be dropped.
        with contextlib.suppress(OSError):
            self.log.close()

    def _session_seconds(self) -> float:
        return round(time.monotonic() - self._started, 3)


def _session_seconds(folder: Path, session: Mapping[str, Any]) -> float:
    """Return how long a session took; of one that was killed, until it last wrote anything."""
    if session["seconds"] is not None:
        return float(session["seconds"])
    files = [folder / name for name in (GENERATIONS, _PROBLEMS, _TRACE)]
    last = max((file.stat().st_mtime for file in files if file.exists()), default=0.0)
    return round(max(0.0, last - float(session["started"])), 3)


def _event_line(place: Mapping[str, Any], event: Event) -> bytes:
    values = {"seconds": round(event.seconds, 6), "kind": event.kind, "node": event.node}
    return encode_json({**place, **values, **event.fields}) + b"\n"


def _lock(folder: Path) -> int:
    """Lock a folder, made if missing; the lock goes with the process, however it ends.

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
