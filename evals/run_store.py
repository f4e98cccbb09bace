"""A run on disk: what was run, with what, and how far it came.

DIR/<benchmark>-<preset>-<hash of its configuration>/
    run.json            configuration, versions, environment, sessions
    statements.jsonl    every problem: its statement, reference and metadata
    generations.jsonl   requests as they are sent, and every finished completion with its text
                        (`tts.runtime.log_file`); `kind` tells which
    problems.jsonl      one line per finished problem and repeat, with its samples
    trace.jsonl         what happened to each finished problem
    memory.jsonl        what problems kept for those after them, if they did (`tts.runtime.memory`)
    summary.json        the figures, once every problem is finished
    lock                held while a process works here

Every line of a .jsonl file is a JSON object that ends in its own checksum, `crc32`. Lines name
their `problem`, and where it applies their `repeat`, `node` and `seed`, by which the files join. A
process may be killed at any byte: a torn last line is dropped, and JSON files are replaced whole.
"""

import contextlib
import glob
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, Self

from tts.costs.energy import EnergyMeter
from tts.costs.flops import SparseReading
from tts.errors import StoreError
from tts.evals.environment import describe_machine, versions
from tts.evals.records import Record
from tts.evals.run_names import by_content, folder_name, folder_prefix
from tts.protocols import EngineFacts
from tts.runtime.log_file import LogFile
from tts.runtime.memory import MemoryFile
from tts.runtime.trace import never_loading, working
from tts.storage.folder_lock import lock_folder
from tts.storage.sealed_lines import (
    LineWriter,
    encode_line,
    read_json,
    read_lines,
    write_json,
)
from tts.types import Event, Message, ModelInfo, Problem
from tts.types.figures import Summary

SCHEMA = 2
GENERATIONS = "generations.jsonl"
MEMORY = "memory.jsonl"
_STATEMENTS, _PROBLEMS, _TRACE = "statements.jsonl", "problems.jsonl", "trace.jsonl"
_RUN, _SUMMARY = "run.json", "summary.json"
_MACHINE = ("vllm", "gpu_bytes", "bfloat16")  # of what an engine is made of


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run as it was found on disk.

    Attributes:
        folder: Where.
        config: What was to be run.
        records: What is finished, in order of completion.
        seconds: Wall time that all its sessions took.
        summary: The figures, if it was finished.
        versions: Of the packages that ran and graded it; several, with commas between, where its
            sessions had different ones.
        lost_tokens: Generated tokens that were in flight when a session ended, as the last session
            found them; partly an estimate.
        joules: That the machine took in all sessions; None where one did not count them.
        shape: Of the run's own model; None where the run did not write it down.
        sparse: What its decoding read of the KV cache; None for all.
        models: Names of the models that its last session asked, by engine.
        read_bytes: Of its finished problems' file, for `load_run(earlier=)`.
    """

    folder: Path
    config: Mapping[str, Any]
    records: tuple[Record, ...]
    seconds: float
    summary: Summary | None
    versions: Mapping[str, str] = field(default_factory=dict)
    lost_tokens: int = 0
    joules: float | None = None
    shape: ModelInfo | None = None
    sparse: SparseReading | None = None
    models: Mapping[str, str] = field(default_factory=dict)
    read_bytes: int = 0

    @property
    def joules_each(self) -> float | None:
        """Joules of one problem and repeat; None where they are not known."""
        return None if self.joules is None or not self.records else self.joules / len(self.records)

    @property
    def is_finished(self) -> bool:
        """Whether nothing of the run is left to do."""
        return len(self.records) == self.planned

    @property
    def planned(self) -> int:
        """Problems times repeats that the run has in all."""
        return int(self.config["problems"]) * int(self.config["repeats"])


def load_run(folder: Path, *, earlier: StoredRun | None = None) -> StoredRun:
    """Read a run without touching it.

    Args:
        folder: Where.
        earlier: The same run as it was read before, so that only what it has added is read.

    Raises:
        StoreError: There is no run, it is damaged, or another version of tts wrote it.
    """
    head = _load_head(folder)
    if head is None:
        raise StoreError(f"{folder}: no run here ({_RUN} is missing)")
    records, end = (list(earlier.records), earlier.read_bytes) if earlier else ([], 0)
    for line in read_lines(folder / _PROBLEMS, start=end):
        records.append(Record.from_line(line.values))
        end = line.end
    return StoredRun(
        folder=folder,
        config=head["config"],
        records=tuple(records),
        seconds=sum(_session_seconds(folder, session) for session in head["sessions"]),
        summary=_whole_summary(folder, len(records)),
        versions=_versions_of(head["sessions"]),
        lost_tokens=head["sessions"][-1].get("lost_tokens", 0),
        joules=_total(session.get("joules") for session in head["sessions"]),
        shape=_shape_of(head),
        sparse=_sparse_of(head["sessions"]),
        models=_models_of(head["sessions"][-1]),
        read_bytes=end,
    )


class Parts(NamedTuple):
    """The files of a run that are read while it may go on."""

    head: Path
    statements: Path
    log: Path
    problems: Path
    trace: Path
    summary: Path


def parts_of(folder: Path) -> Parts:
    """Return where the files of a run lie; some are made late, or never."""
    names = (_RUN, _STATEMENTS, GENERATIONS, _PROBLEMS, _TRACE, _SUMMARY)
    return Parts(*(folder / name for name in names))


def log_of(folder: Path) -> Path:
    """Return the file of a run's generations.

    Raises:
        StoreError: There is no run, or another version of tts wrote it.
    """
    if _load_head(folder) is None:
        raise StoreError(f"{folder}: no run here ({_RUN} is missing)")
    if not (folder / GENERATIONS).is_file():
        raise StoreError(f"{folder}: its samples are gone ({GENERATIONS} is missing)")
    return folder / GENERATIONS


def read_statements(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield what a run solves, in order: `problem` (its id), `statement`, `reference`, and so on.

    Raises:
        StoreError: A line is damaged.
    """
    return (line.values for line in read_lines(folder / _STATEMENTS))


def read_events(folder: Path, kind: str) -> Iterator[dict[str, Any]]:
    """Yield the events of one kind from a run's trace; each names its `problem` and `repeat`.

    A last line that a killed process left unfinished is passed over.

    Raises:
        StoreError: There is no trace, or a line of it is damaged.
    """
    if not (folder / _TRACE).is_file():
        raise StoreError(f"{folder}: no trace here ({_TRACE} is missing)")
    for line in read_lines(folder / _TRACE, holding=f'"{kind}"'):  # a trace is mostly other events
        if line.values["kind"] == kind:
            yield line.values


def find_finished(
    root: Path, asked: Mapping[str, Any], made_of: Mapping[str, Any]
) -> Summary | None:
    """Return the figures of a finished run, found by what is known before an engine starts.

    Args:
        root: Holds the folders of runs.
        asked: The part of a run's configuration that was asked for.
        made_of: What decides the outputs of its engines, as sessions have noted it.

    Returns:
        None where there is no such run, it is not finished, or it cannot be read.
    """
    asked, made_of = (json.loads(json.dumps(values)) for values in (asked, made_of))
    for path in sorted(root.glob(f"{glob.escape(folder_prefix(asked))}-*/{_RUN}")):
        with contextlib.suppress(StoreError):
            head = _load_head(path.parent) or {"config": {}, "sessions": []}
            is_it = by_content(asked).items() <= by_content(head["config"]).items()
            if is_it and any(one.get("made_of") == made_of for one in head["sessions"]):
                run = load_run(path.parent)
                if run.summary is not None and run.summary.is_finished:
                    return replace(run.summary, out=str(run.folder))
    return None


def facts_of(log: Path, made_of: Mapping[str, Any]) -> dict[str, EngineFacts]:
    """Return what engines told of themselves in a run, of those that are made of the same now.

    Args:
        log: The run's generations, as `log_of` returns them.
        made_of: What decides the outputs of today's engines (`find_finished`).

    Returns:
        By the names that the engines have now.
    """
    now, found = json.loads(json.dumps(made_of)), dict[str, EngineFacts]()
    for session in (_load_head(log.parent) or {"sessions": []})["sessions"]:
        then = session.get("made_of") or {"engines": {}}
        if any(then.get(key) != now[key] for key in _MACHINE):
            continue
        for name, engine in now["engines"].items():
            for before, told in session.get("facts", {}).items():
                is_it = then["engines"].get(before) == engine
                if is_it and (facts := EngineFacts.from_values(told)):
                    found[name] = facts
    return found


class RunStore:
    """A run's folder, open for writing by this process alone.

    A run that is finished is only read: its time and its figures stay what they are.

    Args:
        root: Holds the folders of runs.
        config: All that decides the run's figures; JSON values, with `benchmark`, `preset` and
            `seed`.
        problems: What is solved; written down once, for people.
        engines: What each engine of this session runs with, by name; it decides no figure.
        shape: Of the run's own model, as `ModelInfo.shape`.
        pipeline: The graph that solves them, as a preset writes it; noted for people.
        made_of: What decides the outputs of the engines of this session (`find_finished`).
        models: Names of the models that this session asks, by engine; noted where `facts` do not
            tell them.
        facts: What these engines tell of themselves, by name.
        loading: Returns the seconds in which models were loaded so far; a session leaves them out.

    Raises:
        StoreError: Another process works there, the disk is full, a file is damaged, or another
            version of tts wrote it.
    """

    def __init__(
        self,
        root: Path,
        config: Mapping[str, Any],
        problems: Sequence[Problem] = (),
        engines: Mapping[str, Mapping[str, Any]] | None = None,
        shape: Mapping[str, Any] | None = None,
        pipeline: Mapping[str, Any] | None = None,
        made_of: Mapping[str, Any] | None = None,
        models: Mapping[str, str] | None = None,
        facts: Mapping[str, EngineFacts] | None = None,
        loading: Callable[[], float] = never_loading,
    ) -> None:
        self._engines, self._made_of = engines or {}, made_of
        self._facts = facts or {}
        self._models = {n: m for n, m in (models or {}).items() if n not in self._facts}
        self._shape, self._pipeline = shape or {}, pipeline or {}
        self.folder = root / folder_name(config)
        with contextlib.ExitStack() as opened:
            opened.callback(os.close, lock_folder(self.folder))
            head = self._head_for(json.loads(json.dumps(config)))
            lines = list(read_lines(self.folder / _PROBLEMS))
            self.records = {
                (r.id, r.repeat): r for r in (Record.from_line(line.values) for line in lines)
            }
            self.summary = _whole_summary(self.folder, len(self.records))
            self._clock = working(loading)
            self._started = self._clock()
            # A server elsewhere has no settings here, and its joules are not this machine's.
            is_here = bool(self._engines) and all(self._engines.values())
            self._meter = EnergyMeter() if is_here else None
            for session in head["sessions"]:  # before opening the files makes them younger
                session["seconds"] = _session_seconds(self.folder, session)
            seed, finished = int(config["seed"]), self.records.keys()
            self.log = LogFile(self.folder / GENERATIONS, seed=seed, finished=finished)
            opened.callback(self.log.close)
            self.memory = MemoryFile(self.folder / MEMORY)
            opened.callback(self.memory.close)
            self._head = head if self.summary is not None else self._with_session(head)
            _write_statements(self.folder / _STATEMENTS, problems)
            self._problems = LineWriter(self.folder / _PROBLEMS, lines[-1].end if lines else 0)
            opened.callback(self._problems.close)
            trace_end = lines[-1].values["trace_end"] if lines else 0
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
        known = (session["seconds"] for session in self._head["sessions"])
        return sum(self._session_seconds() if s is None else float(s) for s in known)

    @property
    def joules(self) -> float | None:
        """What the machine took in this session and those before it; None where not counted."""
        *before, _ = self._head["sessions"]
        return _total([*(session.get("joules") for session in before), self._session_joules()])

    def add(self, record: Record, events: Iterable[Event]) -> None:
        """Keep a finished problem and its trace; its generations leave the memory.

        Raises:
            StoreError: It cannot be written; what was written before is kept.
        """
        place = {"problem": record.id, "repeat": record.repeat}
        self._trace.append(b"".join(_event_line(place, event) for event in events))
        self._problems.append(encode_line(record.to_line(self._trace.size)))
        self.records[record.id, record.repeat] = record
        self.log.forget(record.id, self.config["seed"] + record.repeat)

    def finish(self, summary: Summary) -> None:
        """Keep the figures.

        Raises:
            StoreError: They cannot be written.
        """
        write_json(self.folder / _SUMMARY, summary.to_json())

    def close(self) -> None:
        """Note how long the session took and let others in."""
        with self._opened, contextlib.suppress(StoreError):
            if self.summary is None:
                now = {"seconds": self._session_seconds(), "joules": self._session_joules()}
                self._head["sessions"][-1].update(now)
                # Where the disk is full, the next session works this out from the files' times.
                write_json(self.folder / _RUN, self._head)

    def __enter__(self) -> Self:
        """Return the store."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def _head_for(self, config: dict[str, Any]) -> dict[str, Any]:
        head = _load_head(self.folder) or {
            "schema": SCHEMA,
            "config": config,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "environment": describe_machine(),
            "pipeline": self._pipeline,
            "sessions": [],
        }
        if by_content(head["config"]) != by_content(config):
            raise StoreError(f"{self.folder / _RUN}: another configuration lies here; move it away")
        return head

    def _with_session(self, head: dict[str, Any]) -> dict[str, Any]:
        lost = self.log.lost.generated_tokens or 0
        now = {
            "started": time.time(),
            "seconds": None,
            "process": os.getpid(),
            "lost_tokens": lost,
            "engines": self._engines,
            "shape": self._shape,
            "made_of": self._made_of,
            **({"models": self._models} if self._models else {}),
            "facts": {name: facts.to_values() for name, facts in self._facts.items()},
        }
        head["sessions"].append({**now, "versions": versions()})
        write_json(self.folder / _RUN, head)
        return head

    def _session_joules(self) -> float | None:
        return None if self._meter is None else self._meter.joules()

    def _session_seconds(self) -> float:
        return round(self._clock() - self._started, 3)


def _load_head(folder: Path) -> dict[str, Any] | None:
    """Return what `run.json` holds; None if it is missing."""
    head = read_json(folder / _RUN)
    if head is not None and head.get("schema") != SCHEMA:
        wrote = head.get("versions", {}).get("tts", "another version")
        raise StoreError(
            f"{folder}: written by tts {wrote} in a form that this version does not read; run it "
            "into a new folder"
        )
    return head


def _shape_of(head: Mapping[str, Any]) -> ModelInfo | None:
    config, known = head["config"], [s["shape"] for s in head["sessions"] if s.get("shape")]
    return ModelInfo(config["model"], config["fingerprint"], **known[-1]) if known else None


def _sparse_of(sessions: Sequence[Mapping[str, Any]]) -> SparseReading | None:
    own = sessions[-1].get("engines", {}).get("", {})
    return SparseReading(**own["sparse"]) if own.get("sparse") else None


def _total(joules: Iterable[float | None]) -> float | None:
    known = list(joules)
    return None if None in known else sum(value or 0.0 for value in known)


def _whole_summary(folder: Path, num_records: int) -> Summary | None:
    """Return a run's figures, if they are of all records that are there."""
    values = read_json(folder / _SUMMARY)
    if values is None:
        return None
    summary = Summary.from_json(values, str(folder / _SUMMARY))
    return summary if summary.done == num_records else None


def _versions_of(sessions: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for session in sessions:
        for name, version in session["versions"].items():
            found.setdefault(name, []).append(version)
    return {name: ", ".join(dict.fromkeys(several)) for name, several in found.items()}


def _models_of(session: Mapping[str, Any]) -> dict[str, str]:
    """Return the names of a session's models by engine, which its engines' facts may tell."""
    told = {name: facts["info"]["name"] for name, facts in session.get("facts", {}).items()}
    return {**told, **session.get("models", {})}


def _write_statements(path: Path, problems: Sequence[Problem]) -> None:
    """Write what is to be solved, unless it stands there already."""
    if not problems or sum(1 for _ in read_lines(path)) == len(problems):
        return
    with contextlib.closing(LineWriter(path, 0)) as file:
        file.append(b"".join(encode_line(_statement(problem)) for problem in problems))


def _message(message: Message) -> dict[str, str]:
    return {key: value for key, value in asdict(message).items() if value or key != "extra"}


def _statement(problem: Problem) -> dict[str, Any]:
    return {
        "problem": problem.id,
        "statement": problem.statement,
        "messages": [_message(message) for message in problem.messages],
        "reference": problem.reference,
        "answer_type": problem.answer_type,
        "metadata": problem.metadata,
    }


def _session_seconds(folder: Path, session: Mapping[str, Any]) -> float:
    """Return how long a session took; of one that was killed, until it last wrote anything."""
    if session["seconds"] is not None:
        return float(session["seconds"])
    files = [folder / name for name in (GENERATIONS, _PROBLEMS, _TRACE)]
    last = max((file.stat().st_mtime for file in files if file.exists()), default=0.0)
    return round(max(0.0, last - float(session["started"])), 3)


def _event_line(place: Mapping[str, Any], event: Event) -> bytes:
    values = {"seconds": round(event.seconds, 6), "kind": event.kind, "node": event.node}
    return encode_line({**place, **values, **event.fields})
