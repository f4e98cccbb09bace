"""A run's folder, open for writing; `tts.evals.stored_run` says what lies in it, and reads it."""

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from tts.costs.energy import EnergyMeter
from tts.errors import StoreError
from tts.evals.environment import describe_machine, versions
from tts.evals.records import Record
from tts.evals.run_names import by_content, folder_name
from tts.evals.stored_run import (
    GENERATIONS,
    MEMORY,
    PROBLEMS,
    RUN,
    SCHEMA,
    STATEMENTS,
    SUMMARY,
    TRACE,
    load_head,
    session_seconds,
    total_joules,
    whole_summary,
)
from tts.protocols import EngineFacts
from tts.runtime.log_file import LogFile
from tts.runtime.memory import MemoryFile
from tts.runtime.trace import never_loading, working
from tts.storage.folder_lock import lock_folder
from tts.storage.sealed_lines import LineWriter, encode_line, read_lines, write_json
from tts.types import Event, Message, Problem
from tts.types.figures import Summary


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
            lines = list(read_lines(self.folder / PROBLEMS))
            self.records = {
                (r.id, r.repeat): r for r in (Record.from_line(line.values) for line in lines)
            }
            self.summary = whole_summary(self.folder, len(self.records))
            self._clock = working(loading)
            self._started = self._clock()
            # A server elsewhere has no settings here, and its joules are not this machine's.
            is_here = bool(self._engines) and all(self._engines.values())
            self._meter = EnergyMeter() if is_here else None
            for session in head["sessions"]:  # before opening the files makes them younger
                session["seconds"] = session_seconds(self.folder, session)
            seed, finished = int(config["seed"]), self.records.keys()
            self.log = LogFile(self.folder / GENERATIONS, seed=seed, finished=finished)
            opened.callback(self.log.close)
            self.memory = MemoryFile(self.folder / MEMORY)
            opened.callback(self.memory.close)
            self._head = head if self.summary is not None else self._with_session(head)
            _write_statements(self.folder / STATEMENTS, problems)
            self._problems = LineWriter(self.folder / PROBLEMS, lines[-1].end if lines else 0)
            opened.callback(self._problems.close)
            trace_end = lines[-1].values["trace_end"] if lines else 0
            self._trace = LineWriter(self.folder / TRACE, trace_end)
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
        return total_joules(
            [*(session.get("joules") for session in before), self._session_joules()]
        )

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
        write_json(self.folder / SUMMARY, summary.to_json())

    def close(self) -> None:
        """Note how long the session took and let others in."""
        with self._opened, contextlib.suppress(StoreError):
            if self.summary is None:
                now = {"seconds": self._session_seconds(), "joules": self._session_joules()}
                self._head["sessions"][-1].update(now)
                # Where the disk is full, the next session works this out from the files' times.
                write_json(self.folder / RUN, self._head)

    def __enter__(self) -> Self:
        """Return the store."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def _head_for(self, config: dict[str, Any]) -> dict[str, Any]:
        head = load_head(self.folder) or {
            "schema": SCHEMA,
            "config": config,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "environment": describe_machine(),
            "pipeline": self._pipeline,
            "sessions": [],
        }
        if by_content(head["config"]) != by_content(config):
            raise StoreError(f"{self.folder / RUN}: another configuration lies here; move it away")
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
        write_json(self.folder / RUN, head)
        return head

    def _session_joules(self) -> float | None:
        return None if self._meter is None else self._meter.joules()

    def _session_seconds(self) -> float:
        return round(self._clock() - self._started, 3)


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


def _event_line(place: Mapping[str, Any], event: Event) -> bytes:
    values = {"seconds": round(event.seconds, 6), "kind": event.kind, "node": event.node}
    return encode_line({**place, **values, **event.fields})
