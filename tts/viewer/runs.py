"""Run folders that are looked at: found below folders, read as they grow."""

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tts.errors import InputError, StoreError, TTSError
from tts.evals.records import Record
from tts.evals.report import summary_of
from tts.evals.stored_run import StoredRun, load_run, parts_of, read_statements
from tts.evals.units import cost_of
from tts.storage.sealed_lines import read_json
from tts.types.card import shorten
from tts.types.figures import UNITS, Summary, is_replay
from tts.viewer.lines import LineIndex

_DEPTH = 3  # folders within folders that are searched for runs
_EXCERPT = 160  # characters of a statement in a list
_FRESH_SECONDS = 60.0  # since the last line of a run that is taken to go on


class OpenRun:
    """One run folder, read when somebody asks, and again when it has grown.

    Args:
        folder: Where.
        name: What it is called in addresses.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.name = name
        self._parts = parts_of(folder)
        self.log, self.trace = LineIndex(self._parts.log), LineIndex(self._parts.trace)
        self._stored: StoredRun | None = None
        self._is_read = False  # `_stored` is what the folder holds now
        self._statements: dict[str, dict[str, Any]] = {}
        self._seen: dict[Path, tuple[int, int]] = {}
        self._row: dict[str, Any] | None = None

    @property
    def stored(self) -> StoredRun:
        """What is finished of the run.

        Raises:
            StoreError: It is damaged, or another version wrote it.
        """
        self._refresh()
        if self._stored is None or not self._is_read:
            self._stored = load_run(self.folder, earlier=self._stored)
            self._is_read = True
        return self._stored

    @property
    def statements(self) -> Mapping[str, dict[str, Any]]:
        """What is solved, by id."""
        self._refresh()
        if not self._statements:
            self._statements = {line["problem"]: line for line in read_statements(self.folder)}
        return self._statements

    @property
    def config(self) -> Mapping[str, Any]:
        """What was to be run."""
        return self.stored.config

    @property
    def pipeline(self) -> Mapping[str, Any]:
        """The graph that solved it, as a preset writes it; empty where the run did not note it."""
        return (read_json(self._parts.head) or {}).get("pipeline") or {}

    @property
    def is_going_on(self) -> bool:
        """Whether it was written to a moment ago and is not finished."""
        return self._age() < _FRESH_SECONDS and not self._parts.summary.exists()

    def row(self) -> dict[str, Any]:
        """Return the run's figures, for a list of runs; `fault` says why there are none."""
        self._refresh()
        if self._row is None:
            self._row = self._figures()
        return {**self._row, "live": self.is_going_on, "age": round(self._age())}

    def _figures(self) -> dict[str, Any]:
        row: dict[str, Any] = {"id": self.name, "folder": str(self.folder), "fault": ""}
        try:
            head = read_json(self._parts.head) or {}
            row |= {"created": head.get("created", ""), "commit": _commit(head)}
            config = head.get("config", {})
            planned = int(config.get("problems", 0)) * int(config.get("repeats", 1))
            row |= {key: config.get(key, "") for key in ("benchmark", "preset", "model", "seed")}
            row |= {"done": 0, "planned": planned, "engine": config.get("engine", "")}
            row |= self._summary(planned)
        except (TTSError, KeyError, TypeError, ValueError) as error:
            row["fault"] = str(error)
        return row

    def _summary(self, planned: int) -> dict[str, Any]:
        """Return the figures of what is finished; a finished run has them in a file."""
        values = read_json(self._parts.summary)
        if values is not None and values.get("done") == planned:
            return Summary.from_json(values, str(self._parts.summary)).to_json()
        return summary_of(self.stored).to_json() if self.stored.records else {}

    def problems(self) -> Iterator[dict[str, Any]]:
        """Yield what a list of problems shows of each repeat, in the order of the statements."""
        stored, records = self.stored, {(r.id, r.repeat): r for r in self.stored.records}
        begun = self._begun() if not stored.is_finished else set()
        replayed = is_replay(stored.config["engine"])
        for repeat in range(int(stored.config["repeats"])):
            for name, line in self.statements.items():
                row = {
                    "id": name,
                    "repeat": repeat,
                    "statement": _excerpt(line),
                    "reference": line["reference"],
                }
                record = records.get((name, repeat))
                if record is not None:
                    row |= _record_row(record, is_replay=replayed)
                else:
                    row["state"] = "running" if (name, repeat) in begun else "waiting"
                yield row

    def record_of(self, problem: str, repeat: int) -> Record | None:
        """Return what came of a problem; None while it is not finished."""
        for record in self.stored.records:
            if (record.id, record.repeat) == (problem, repeat):
                return record
        return None

    def _begun(self) -> set[tuple[str, int]]:
        self.log.refresh()
        return self.log.places()

    def _refresh(self) -> None:
        """Forget what was read, if the folder has changed since; records only if it is another."""
        stats = {path: path.stat() for path in self._parts if path.exists()}
        seen = {path: (stat.st_ino, stat.st_size) for path, stat in stats.items()}
        if seen == self._seen:
            return
        problems = self._parts.problems
        (was, before), (now, size) = self._seen.get(problems, (0, 0)), seen.get(problems, (0, 0))
        if was != now or size < before:
            self._stored = None
        self._statements, self._row, self._seen, self._is_read = {}, None, seen, False

    def _age(self) -> float:
        times = [path.stat().st_mtime for path in self._parts if path.exists()]
        return max(0.0, time.time() - max(times, default=0.0))


class Library:
    """The runs below some folders, by name.

    Args:
        paths: Run folders, or folders that hold some.

    Raises:
        InputError: One of them does not exist.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        for path in paths:
            if not path.is_dir():
                raise InputError(f"{path}: no such folder; tts eval makes run folders in runs/")
        self._paths = [path.resolve() for path in paths]
        self._runs: dict[str, OpenRun] = {}

    def runs(self) -> Mapping[str, OpenRun]:
        """Return the runs that are there now, newest first, by the names in their addresses."""
        folders = dict.fromkeys(f for path in self._paths for f in _run_folders(path, _DEPTH))
        named = dict(zip(_names(list(folders)), folders, strict=True))
        known = {run.folder: run for run in self._runs.values()}
        self._runs = {
            name: run if (run := known.get(folder)) and run.name == name else OpenRun(folder, name)
            for name, folder in named.items()
        }
        return self._runs

    def run(self, name: str) -> OpenRun:
        """Return the run of a name.

        Raises:
            InputError: There is none.
        """
        found = self._runs.get(name) or self.runs().get(name)
        if found is None:
            raise InputError(f"there is no run {name!r} here")
        return found


def _run_folders(folder: Path, depth: int) -> Iterator[Path]:
    if (folder / "run.json").is_file():
        yield folder
    elif depth:
        try:
            below = sorted(path for path in folder.iterdir() if path.is_dir())
        except OSError:
            return
        for path in below:
            yield from _run_folders(path, depth - 1)


def _names(folders: Sequence[Path]) -> list[str]:
    """Return the name of each folder, with those above it where several have the same."""
    names = [folder.name for folder in folders]
    return [
        name if names.count(name) == 1 else "/".join(folder.parts[1:])
        for name, folder in zip(names, folders, strict=True)
    ]


def _record_row(record: Record, *, is_replay: bool) -> dict[str, Any]:
    answered = [sample for sample in record.samples if sample.answer is not None]
    chosen = {sample.answer_class for sample in answered if sample.answer == record.answer}
    cost = cost_of(record, is_replay=is_replay)
    return {
        "state": "finished",
        "correct": record.correct,
        "answer": record.answer,
        "agree": sum(s.answer_class in chosen for s in answered),
        "answered": len(answered),
        "right": sum(sample.correct for sample in record.samples),
        "samples": len(record.samples),
        "cost": {unit: cost.of(unit) for unit in UNITS},
        "stops": list(dict.fromkeys(stop.rule for stop in record.facts.stopped_by)),
        "error": record.error,
        "is_search": bool(record.facts.searches),
    }


def _excerpt(line: Mapping[str, Any]) -> str:
    text = line["statement"] or " / ".join(turn["content"] for turn in line["messages"])
    return shorten(str(text), _EXCERPT)


def _commit(head: Mapping[str, Any]) -> str:
    return str((head.get("environment") or {}).get("commit") or "")[:12]


def named_run(path: Path) -> OpenRun:
    """Return a run folder that was named.

    Raises:
        StoreError: It is none.
    """
    folder = path.resolve()
    if not (folder / "run.json").is_file():
        raise StoreError(f"{folder}: no run here (run.json is missing)")
    return OpenRun(folder, folder.name)
