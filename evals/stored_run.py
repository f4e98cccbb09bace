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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from tts.costs.flops import SparseReading
from tts.errors import StoreError
from tts.evals.records import Record
from tts.evals.run_names import by_content, folder_prefix
from tts.protocols import EngineFacts
from tts.storage.sealed_lines import read_json, read_lines
from tts.types import ModelInfo
from tts.types.figures import Summary

SCHEMA = 2
GENERATIONS = "generations.jsonl"
MEMORY = "memory.jsonl"
STATEMENTS, PROBLEMS, TRACE = "statements.jsonl", "problems.jsonl", "trace.jsonl"
RUN, SUMMARY = "run.json", "summary.json"
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
    head = load_head(folder)
    if head is None:
        raise StoreError(f"{folder}: no run here ({RUN} is missing)")
    records, end = (list(earlier.records), earlier.read_bytes) if earlier else ([], 0)
    for line in read_lines(folder / PROBLEMS, start=end):
        records.append(Record.from_line(line.values))
        end = line.end
    return StoredRun(
        folder=folder,
        config=head["config"],
        records=tuple(records),
        seconds=sum(session_seconds(folder, session) for session in head["sessions"]),
        summary=whole_summary(folder, len(records)),
        versions=_versions_of(head["sessions"]),
        lost_tokens=head["sessions"][-1].get("lost_tokens", 0),
        joules=total_joules(session.get("joules") for session in head["sessions"]),
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
    names = (RUN, STATEMENTS, GENERATIONS, PROBLEMS, TRACE, SUMMARY)
    return Parts(*(folder / name for name in names))


def log_of(folder: Path) -> Path:
    """Return the file of a run's generations.

    Raises:
        StoreError: There is no run, or another version of tts wrote it.
    """
    if load_head(folder) is None:
        raise StoreError(f"{folder}: no run here ({RUN} is missing)")
    if not (folder / GENERATIONS).is_file():
        raise StoreError(f"{folder}: its samples are gone ({GENERATIONS} is missing)")
    return folder / GENERATIONS


def read_statements(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield what a run solves, in order: `problem` (its id), `statement`, `reference`, and so on.

    Raises:
        StoreError: A line is damaged.
    """
    return (line.values for line in read_lines(folder / STATEMENTS))


def read_events(folder: Path, kind: str) -> Iterator[dict[str, Any]]:
    """Yield the events of one kind from a run's trace; each names its `problem` and `repeat`.

    A last line that a killed process left unfinished is passed over.

    Raises:
        StoreError: There is no trace, or a line of it is damaged.
    """
    if not (folder / TRACE).is_file():
        raise StoreError(f"{folder}: no trace here ({TRACE} is missing)")
    for line in read_lines(folder / TRACE, holding=f'"{kind}"'):  # a trace is mostly other events
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
    for path in sorted(root.glob(f"{glob.escape(folder_prefix(asked))}-*/{RUN}")):
        with contextlib.suppress(StoreError):
            head = load_head(path.parent) or {"config": {}, "sessions": []}
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
    for session in (load_head(log.parent) or {"sessions": []})["sessions"]:
        then = session.get("made_of") or {"engines": {}}
        if any(then.get(key) != now[key] for key in _MACHINE):
            continue
        for name, engine in now["engines"].items():
            for before, told in session.get("facts", {}).items():
                is_it = then["engines"].get(before) == engine
                if is_it and (facts := EngineFacts.from_values(told)):
                    found[name] = facts
    return found


def load_head(folder: Path) -> dict[str, Any] | None:
    """Return what `run.json` holds; None if it is missing.

    Raises:
        StoreError: Another version of tts wrote it.
    """
    head = read_json(folder / RUN)
    if head is not None and head.get("schema") != SCHEMA:
        wrote = head.get("versions", {}).get("tts", "another version")
        raise StoreError(
            f"{folder}: written by tts {wrote} in a form that this version does not read; run it "
            "into a new folder"
        )
    return head


def whole_summary(folder: Path, num_records: int) -> Summary | None:
    """Return a run's figures, if they are of all records that are there."""
    values = read_json(folder / SUMMARY)
    if values is None:
        return None
    summary = Summary.from_json(values, str(folder / SUMMARY))
    return summary if summary.done == num_records else None


def session_seconds(folder: Path, session: Mapping[str, Any]) -> float:
    """Return how long a session took; of one that was killed, until it last wrote anything."""
    if session["seconds"] is not None:
        return float(session["seconds"])
    files = [folder / name for name in (GENERATIONS, PROBLEMS, TRACE)]
    last = max((file.stat().st_mtime for file in files if file.exists()), default=0.0)
    return round(max(0.0, last - float(session["started"])), 3)


def total_joules(joules: Iterable[float | None]) -> float | None:
    """Return the sum; None where one is not known."""
    known = list(joules)
    return None if None in known else sum(value or 0.0 for value in known)


def _shape_of(head: Mapping[str, Any]) -> ModelInfo | None:
    config, known = head["config"], [s["shape"] for s in head["sessions"] if s.get("shape")]
    return ModelInfo(config["model"], config["fingerprint"], **known[-1]) if known else None


def _sparse_of(sessions: Sequence[Mapping[str, Any]]) -> SparseReading | None:
    own = sessions[-1].get("engines", {}).get("", {})
    return SparseReading(**own["sparse"]) if own.get("sparse") else None


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
