"""Generations by content: what makes a killed run resume and a re-vote free.

A completion's key is a hash of all that decides its text: engine fingerprint, prompt, sampling and
seed. Who asked for it (problem, repeat, node) is written beside it, so that the lines of a file
join those of the run's other files, and so that what a finished problem asked can be forgotten.

Requests are written when they are sent, so that after a kill it is known what was in flight. A
session that follows charges it (`GenerationLog.lost`), and grants what had been granted, so that
what was recorded is found under its key whatever is left of the budget by then.
"""

import hashlib
import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Self

from tts.errors import StoreError
from tts.runtime.in_flight import InFlight
from tts.storage.sealed_lines import Line, LineWriter, decode_line, encode_line, read_lines
from tts.types import PER_TOKEN, Completion, GenerationRequest, Usage


def request_key(fingerprint: str, request: GenerationRequest) -> str:
    """Return the key of a request, its seed and `n` left out.

    Fields that have their default do not enter, so that a field which is added later leaves the
    keys of logs on disk as they are.
    """
    content = [fingerprint, request.prompt, request.sampling, request.keep_free]
    text = _KEY_JSON.encode(content)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


class Sent(NamedTuple):
    """A request as it was sent.

    Attributes:
        seeds: Of the completions that the engine was asked for.
        n: Completions that the budget let through, recorded ones included.
        max_tokens: Limit of each.
        prompt_tokens: Most that each reads.
        asked_key: Key of the request before the budget shortened its completions.
        asked: Completions that the node wanted.
        limits: The budgets that it was held against; empty where there were none.
    """

    seeds: tuple[int, ...]
    n: int
    max_tokens: int
    prompt_tokens: int
    asked_key: str
    asked: int
    limits: str


class GenerationLog:
    """Completions by key, in memory; `LogFile` keeps them on disk instead.

    Attributes:
        lost: What earlier sessions had asked for, paid and never seen the end of.
    """

    def __init__(self) -> None:
        self.lost = Usage()
        self._arrivals: dict[str, list[str]] = {}
        self._sent: dict[str, Sent] = {}  # by the key of what was asked for, and its base seed
        self._places: dict[str, tuple[int, Any]] = {}  # of completions: their order, and where
        self._aborted: dict[str, Usage] = {}
        self._problems: dict[tuple[str, int], ProblemLog] = {}
        self._count = 0

    def of(self, problem_id: str, seed: int) -> "ProblemLog":
        """Return the log as one problem sees it.

        Args:
            problem_id: Of the problem.
            seed: That its job runs with; repeats of a problem have different ones.
        """
        return self._problems.setdefault((problem_id, seed), ProblemLog(self, problem_id, seed))

    def forget(self, problem_id: str, seed: int) -> None:
        """Drop from memory all that a problem asked for: it is finished."""
        known = self._problems.pop((problem_id, seed), None)
        for name in () if known is None else known.names:
            self._places.pop(name, None)
            self._aborted.pop(name, None)
            self._sent.pop(name, None)
            self._arrivals.pop(name, None)

    def find(self, names: Mapping[str, int]) -> list[tuple[int, Completion]]:
        """Return (seed, completion) of the names that are recorded, in their recorded order."""
        found = [(self._places[name], seed) for name, seed in names.items() if name in self._places]
        found.sort(key=lambda entry: entry[0][0])
        return [(seed, self._read(place)) for (_, place), seed in found]

    def find_aborted(self, name: str) -> Usage | None:
        """Return what the aborted part of a request had cost."""
        return self._aborted.get(name)

    def find_sent(self, name: str) -> Sent | None:
        """Return how a request with limits was sent before."""
        return self._sent.get(name)

    def find_arrivals(self, name: str) -> list[str]:
        """Return what a node has dealt with, in order."""
        return self._arrivals.get(name, [])

    def record_arrival(self, entry: "Entry", place: int, name: str) -> None:
        """Keep what a node deals with next, at a place in its order; what was after it goes."""
        self._arrivals.setdefault(entry.name, [])[place:] = [name]

    def record_sent(self, entry: "Entry", sent: Sent) -> None:
        """Keep that a request is about to be sent."""
        if sent.limits:
            self._sent[_name(sent.asked_key, entry.seed)] = sent

    def record_lost(self, entry: "Entry", usage: Usage) -> None:
        """Note what a request had cost that was given up with the run, and gave nothing to keep."""

    def record_failed(self, entry: "Entry", usage: Usage, error: str) -> None:
        """Note what a completion that failed had cost."""

    def record(self, entry: "Entry", completion: Completion) -> None:
        """Keep a finished completion."""
        self._put(entry.name, completion)

    def record_aborted(self, entry: "Entry", usage: Usage) -> None:
        """Keep what the aborted part of a request had cost."""
        self._aborted[entry.name] = usage

    def _put(self, name: str, place: Any) -> None:
        self._places[name] = (self._count, place)
        self._count += 1

    def _read(self, place: Any) -> Completion:
        completion: Completion = place
        return completion


class Entry(NamedTuple):
    """What a line of a log is about.

    Attributes:
        problem_id: Of the problem.
        problem_seed: That the problem's job runs with.
        node: Path of the node that asked.
        key: Of the request.
        seed: Of the sample; of an aborted request, its base seed.
    """

    problem_id: str
    problem_seed: int
    node: str
    key: str
    seed: int

    @property
    def name(self) -> str:
        """What it is found by."""
        return _name(self.key, self.seed)


class ProblemLog:
    """A generation log as one problem sees it; it remembers what the problem asked for."""

    def __init__(self, log: GenerationLog, problem_id: str, seed: int) -> None:
        self.names: set[str] = set()
        self._log = log
        self._problem_id = problem_id
        self._seed = seed

    def find(self, key: str, seeds: Iterable[int]) -> list[tuple[int, Completion]]:
        """Return the recorded (seed, completion) pairs of a request, in their recorded order."""
        names = {_name(key, seed): seed for seed in seeds}
        self.names.update(names)
        return self._log.find(names)

    def find_aborted(self, key: str, seed: int) -> Usage | None:
        """Return what the aborted part of the request with this base seed had cost."""
        return self._log.find_aborted(_name(key, seed))

    def find_sent(self, asked_key: str, seed: int) -> Sent | None:
        """Return how the request with this base seed was sent before, if a budget limited it."""
        name = _name(asked_key, seed)
        self.names.add(name)
        return self._log.find_sent(name)

    def arrivals(self, key: str, seed: int, *, node: str) -> "Arrivals":
        """Return the order in which a node deals with what arrives, past and to come."""
        entry = self._entry(node, key, seed)
        return Arrivals(self._log, entry)

    def record_sent(self, key: str, seed: int, sent: Sent, *, node: str) -> None:
        """Keep that the request with this base seed is about to be sent."""
        self._log.record_sent(self._entry(node, key, seed), sent)

    def record_lost(self, key: str, seed: int, usage: Usage, *, node: str) -> None:
        """Note what a request had cost that was given up with the run."""
        self._log.record_lost(self._entry(node, key, seed), usage)

    def record_failed(self, key: str, seed: int, completion: Completion, *, node: str) -> None:
        """Note what a completion that failed had cost."""
        entry = self._entry(node, key, seed)
        self._log.record_failed(entry, completion.usage, completion.error or "")

    def record(self, key: str, seed: int, completion: Completion, *, node: str) -> None:
        """Keep a finished completion of a node; with a `LogFile`, on disk before it is seen."""
        self._log.record(self._entry(node, key, seed), completion)

    def record_aborted(self, key: str, seed: int, usage: Usage, *, node: str) -> None:
        """Keep what the aborted part of the request with this base seed had cost."""
        self._log.record_aborted(self._entry(node, key, seed), usage)

    def _entry(self, node: str, key: str, seed: int) -> Entry:
        entry = Entry(self._problem_id, self._seed, node, key, seed)
        self.names.add(entry.name)
        return entry


class Arrivals:
    """The order in which one node deals with what arrives: as recorded, then as it comes.

    Args:
        log: Keeps it.
        entry: The node.
    """

    def __init__(self, log: GenerationLog, entry: Entry) -> None:
        self._log = log
        self._entry = entry
        self._past = tuple(log.find_arrivals(entry.name))
        self._next = 0

    @property
    def expected(self) -> str:
        """Name of what the recorded run dealt with next; empty after its end."""
        return self._past[self._next] if self._next < len(self._past) else ""

    def note(self, name: str) -> None:
        """Say what is dealt with next; where that is not what was expected, the rest is void."""
        if name != self.expected:
            self._past = self._past[: self._next]
            self._log.record_arrival(self._entry, self._next, name)
        self._next += 1


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
        self._files: list[int] = []
        end = self._resume(path, finished) if path.exists() else 0
        self._writer = LineWriter(path, end)
        self._own = self._open(path)

    def load(self, path: Path) -> None:
        """Add the completions of another run's file.

        Raises:
            StoreError: The file cannot be read, or a line other than the last is damaged.
        """
        file = self._open(path)
        for line in read_lines(path):
            self._keep(file, line)

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
        name = _name(values["key"], values["seed"])
        if values["kind"] == "completion":
            self._put(name, _Place(file, start, end - start))
        elif values["kind"] == "aborted":
            self._aborted[name] = Usage(**values["usage"])
        elif file != self._files[0]:  # what follows concerns the run itself
            return
        elif values["kind"] == "arrived":
            self._arrivals.setdefault(name, [])[values["place"] :] = [values["what"]]
        elif values["kind"] == "sent":
            sent = _to_sent(values)
            if sent.limits:
                self._sent[_name(sent.asked_key, values["seed"])] = sent

    def record(self, entry: Entry, completion: Completion) -> None:
        """Keep a finished completion, on disk before anybody acts on it."""
        said = {f: v for f in _COMPLETION if (v := getattr(completion, f)) not in _NOTHING}
        start = self._writer.size
        self._append("completion", entry, said)
        self._put(entry.name, _Place(self._own, start, self._writer.size - start))

    def record_aborted(self, entry: Entry, usage: Usage) -> None:
        """Keep what an aborted request had cost."""
        self._append("aborted", entry, {"usage": usage})
        super().record_aborted(entry, usage)

    def record_sent(self, entry: Entry, sent: Sent) -> None:
        """Keep that a request is about to be sent, on disk before it is."""
        said = {**sent._asdict(), "session": self._session}
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
        }
        self._writer.append(encode_line({**ids, **said}))

    def _read(self, place: _Place) -> Completion:
        values = decode_line(os.pread(place.file, place.size, place.start))
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


_COMPLETION = tuple(f.name for f in fields(Completion) if f.name != "is_unanswered")
_SEQUENCES = ("prompt_token_ids", "token_ids", "step_scores", *PER_TOKEN)
_NOTHING = (None, ())


def _name(key: str, seed: int) -> str:
    return f"{key}-{seed}"


def _to_completion(values: Mapping[str, Any]) -> Completion:
    said = {name: values[name] for name in _COMPLETION if name in values}
    sequences = {name: tuple(said[name]) for name in _SEQUENCES if name in said}
    usage = Usage(**values["usage"])
    usage = replace(usage, reused_tokens=usage.generated_tokens or 0)
    return Completion(**{**said, **sequences, "usage": usage})


def _plain(value: Any) -> Any:
    """Return what a key's JSON has in place of a dataclass, or of what it does not know."""
    if not is_dataclass(value) or isinstance(value, type):
        return str(value)
    held = ((field, getattr(value, field.name)) for field in fields(value))
    return {field.name: part for field, part in held if part != _default(field)}


def _default(field: Field[Any]) -> Any:
    """Return what a dataclass's field is where nothing is said; no value where that is refused."""
    return field.default if field.default_factory is MISSING else field.default_factory()


_KEY_JSON = json.JSONEncoder(sort_keys=True, ensure_ascii=False, default=_plain)
