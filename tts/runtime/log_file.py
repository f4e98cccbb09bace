"""A generation log in a file: what was asked for, what came of it, and when."""

import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, NamedTuple, Self

from tts.errors import StoreError
from tts.runtime.in_flight import InFlight
from tts.runtime.log import Entry, Found, GenerationLog, Recorded, Sent, entry_name
from tts.storage.sealed_lines import Line, LineWriter, decode_line, encode_line, read_lines
from tts.types import PER_TOKEN, Completion, States, Usage

_COMPLETION = tuple(f.name for f in fields(Completion) if f.name != "is_unanswered")
_SEQUENCES = ("prompt_token_ids", "token_ids", "offsets", "step_scores", *PER_TOKEN)
_NOTHING = (None, ())


class _Place(NamedTuple):
    """Where a completion's line lies: file descriptor, first byte, bytes."""

    file: int
    start: int
    size: int


class LogFile(GenerationLog):
    """A generation log in a JSON Lines file; memory holds only where each line lies.

    Args:
        path: The file; made if missing.
        seed: Of the run's first repeat: that of repeat r is r more.
        finished: (problem, repeat) whose lines are not wanted any more.

    Raises:
        StoreError: The file cannot be opened, or a line other than the last is damaged.
    """

    def __init__(
        self, path: Path, *, seed: int = 0, finished: Collection[tuple[str, int]] = ()
    ) -> None:
        super().__init__()
        self.path = path
        self._seed = seed
        self._session = 1
        self._prompted: dict[tuple[str, int], set[str]] = {}  # keys whose prompt is written
        self._files: list[int] = []
        self._others: set[int] = set()  # those of them that are other runs'
        end = self._resume(path, finished) if path.exists() else 0
        self._writer = LineWriter(path, end)
        self._own = self._open(path)

    def load(self, path: Path) -> None:
        """Add the completions of another run's file.

        Raises:
            StoreError: The file cannot be read, or a line other than the last is damaged.
        """
        file = self._open(path)
        self._others.add(file)
        for line in read_lines(path):
            self._keep_other(file, line)

    def _resume(self, path: Path, finished: Collection[tuple[str, int]]) -> int:
        """Read what this run has written so far; returns the file's valid length."""
        file, end, flights = self._open(path), 0, InFlight()
        for line in read_lines(path):
            end, place = line.end, (line.values["problem"], line.values["repeat"])
            _follow(flights, place, line.values)
            if place not in finished:
                self._keep(file, line)
        self._session = flights.session + 1
        self.lost = flights.lost(finished)
        return end

    def _keep(self, file: int, line: Line) -> None:
        """Remember where a completion lies, or what else a line says."""
        start, end, values = line
        repeat, at = values["repeat"] + self._seed, values.get("at", 0.0)
        entry = Entry(values["problem"], repeat, values["node"], values["key"], values["seed"], at)
        if values["kind"] == "completion":
            self._put(entry, _Place(file, start, end - start))
        elif values["kind"] == "aborted":
            super().record_aborted(entry, Usage(**values["usage"]))
        elif values["kind"] == "arrived":
            super().record_arrival(entry, values["place"], values["what"])
        elif values["kind"] == "failed":
            super().record_failed(entry, Usage(**values["usage"]), values["error"])
        elif values["kind"] == "sent":
            super().record_sent(entry, _to_sent(values))

    def _keep_other(self, file: int, line: Line) -> None:
        """Remember where a completion of another run lies, or that it was not wanted.

        What this run has itself stays, with the time at which it came.
        """
        start, end, values = line
        name = entry_name(values["key"], values["seed"])
        if values["kind"] == "completion":
            found = Found(next(self._order), 0.0, _Place(file, start, end - start))
            self._places.setdefault(name, found)
            self._seeds.add(values["seed"])
        elif values["kind"] == "aborted":
            self._aborted.setdefault(name, (Usage(**values["usage"]), 0.0))

    def record(self, entry: Entry, completion: Completion) -> None:
        """Keep a finished completion, on disk before anybody acts on it."""
        said = {f: v for f in _COMPLETION if (v := getattr(completion, f)) not in _NOTHING}
        if completion.states is not None:
            said["states"] = completion.states.to_mapping()
        start = self._writer.size
        self._append("completion", entry, said)
        self._put(entry, _Place(self._own, start, self._writer.size - start))

    def adopt(self, entry: Entry, found: Recorded) -> None:
        """Write down what is used of another run, so that this run's folder is whole."""
        if self._places[found.name].where.file in self._others:
            self.record(entry, found.completion)

    def record_aborted(self, entry: Entry, usage: Usage) -> None:
        """Keep what an aborted request had cost."""
        self._append("aborted", entry, {"usage": usage})
        super().record_aborted(entry, usage)

    def record_sent(self, entry: Entry, sent: Sent) -> None:
        """Keep that a request is about to be sent, on disk before it is."""
        said = {**sent._asdict(), "session": self._session}
        written = self._prompted.setdefault((entry.problem_id, entry.problem_seed), set())
        if entry.key in written:  # it stands in an earlier line of the problem
            del said["prompt"]
        written.add(entry.key)
        self._append("sent", entry, {f: v for f, v in said.items() if v != ""})
        super().record_sent(entry, sent)

    def record_arrival(self, entry: Entry, place: int, name: str) -> None:
        """Keep what a node deals with next, on disk before it does."""
        self._append("arrived", entry, {"place": place, "what": name})
        super().record_arrival(entry, place, name)

    def record_lost(self, entry: Entry, usage: Usage) -> None:
        """Keep what a request had cost that was given up with the run."""
        self._append("lost", entry, {"usage": usage})

    def record_failed(self, entry: Entry, usage: Usage, error: str) -> None:
        """Keep what a completion that failed had cost."""
        self._append("failed", entry, {"usage": usage, "error": error})
        super().record_failed(entry, usage, error)

    def forget(self, problem_id: str, seed: int) -> None:
        """Drop from memory all that a problem asked for: it is finished."""
        super().forget(problem_id, seed)
        self._prompted.pop((problem_id, seed), None)

    def close(self) -> None:
        """Close the files."""
        self._writer.close()
        while self._files:
            os.close(self._files.pop())

    def __enter__(self) -> Self:
        """Return the log."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the files."""
        self.close()

    def _append(self, kind: str, entry: Entry, said: Mapping[str, Any]) -> None:
        ids = {
            "kind": kind,
            "problem": entry.problem_id,
            "repeat": entry.problem_seed - self._seed,
            "node": entry.node,
            "seed": entry.seed,
            "key": entry.key,
            "at": round(entry.at, 6),
        }
        self._writer.append(encode_line({**ids, **said}))

    def _read(self, where: _Place) -> Completion:
        values = decode_line(os.pread(where.file, where.size, where.start))
        if values is None:
            raise StoreError(f"{self.path}: changed while the run was reading it; run it again")
        return _to_completion(values)

    def _open(self, path: Path) -> int:
        try:
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise StoreError(f"{path}: cannot be read: {error.strerror}") from error
        self._files.append(file)
        return file


def read_completions(path: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the lines of a log file that hold finished completions, as they were written.

    Raises:
        StoreError: The file cannot be read, or a line other than the last is damaged.
    """
    return (line.values for line in read_lines(path) if line.values["kind"] == "completion")


def _follow(flights: InFlight, place: tuple[str, int], values: Mapping[str, Any]) -> None:
    """Tell a line of a log to what follows the calls in flight."""
    kind, key, seed = values["kind"], values["key"], values["seed"]
    if kind == "sent":
        sent = _to_sent(values)
        each = Usage(
            prompt_tokens=sent.prompt_tokens,
            generated_tokens=sent.max_tokens,
            calls=1,
            estimated_tokens=sent.max_tokens,
            estimated_calls=1,
        )
        flights.sent(place, values["session"], key, seed, sent.seeds, each)
    elif kind == "completion":
        flights.came(place, key, seed)
    elif kind == "failed":
        flights.failed(place, key, seed, Usage(**values["usage"]))
    elif kind == "lost":
        flights.closed(place, key, seed, Usage(**values["usage"]))
    elif kind == "aborted":
        flights.decided(place, key, seed)


def _to_sent(values: Mapping[str, Any]) -> Sent:
    said = {name: values.get(name, "") for name in Sent._fields}
    return Sent(**{**said, "seeds": tuple(values["seeds"])})


def _to_completion(values: Mapping[str, Any]) -> Completion:
    said = {name: values[name] for name in _COMPLETION if name in values}
    sequences = {name: tuple(said[name]) for name in _SEQUENCES if name in said}
    if "states" in said:
        said["states"] = States.from_mapping(said["states"])
    usage = Usage(**values["usage"])
    usage = replace(usage, reused_tokens=usage.generated_tokens or 0)
    return Completion(**{**said, **sequences, "usage": usage})
