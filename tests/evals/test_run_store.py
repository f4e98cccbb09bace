"""A run on disk survives whatever happens to the process: cut off at any byte, locked, full."""

import json
import os
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tts.engine.scripted import ALL, INFO
from tts.errors import StoreError
from tts.evals.records import Record, Sample
from tts.evals.run_names import folder_name
from tts.evals.run_store import RunStore
from tts.evals.stored_run import load_run, log_of, read_events
from tts.protocols import EngineFacts
from tts.storage.sealed_lines import decode_line, encode_line, read_lines
from tts.types import Completion, Event, Message, Problem, Usage

CONFIG = {
    "benchmark": "chain",
    "preset": "single",
    "model": "m",
    "engine": "scripted",
    "seed": 0,
    "problems": 3,
    "repeats": 1,
}
NAMES = ("run.json", "problems.jsonl", "trace.jsonl", "generations.jsonl")


@pytest.fixture(autouse=True)
def _no_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)


def record(number: int) -> Record:
    sample = Sample(answer="ä 7", answer_class=0, correct=True, tokens=5)
    return Record(
        id=f"p/{number}",
        repeat=0,
        answer="ä 7",
        correct=True,
        usage=Usage(generated_tokens=5, calls=1, usd=None),
        seconds=0.5,
        error="",
        samples=(sample,),
        is_cut=False,
    )


def events(number: int) -> list[Event]:
    return [Event(0.25, "start", "sample"), Event(0.5, "end", "sample", {"n": number})]


def fill(root: Path, *numbers: int) -> Path:
    with RunStore(root, CONFIG) as store:
        for number in numbers:
            store.add(record(number), events(number))
    return store.folder


def trace_ids(folder: Path) -> list[str]:
    return [
        json.loads(line)["problem"] for line in (folder / "trace.jsonl").read_text().splitlines()
    ]


def test_reopened_run_holds_what_was_added(tmp_path: Path) -> None:
    folder = fill(tmp_path, 0, 1)
    with RunStore(tmp_path, CONFIG) as store:
        assert list(store.records.values()) == [record(0), record(1)]
        store.add(record(2), events(2))
    assert load_run(folder).records == (record(0), record(1), record(2))
    assert trace_ids(folder) == ["p/0", "p/0", "p/1", "p/1", "p/2", "p/2"]


def test_each_session_keeps_what_its_engines_ran_with(tmp_path: Path) -> None:
    for threads in (1, 2):
        RunStore(tmp_path, CONFIG, engines={"": {"cpu_threads": threads}}).close()
    (file,) = tmp_path.glob("*/run.json")
    sessions = json.loads(file.read_text())["sessions"]
    assert [one["engines"][""]["cpu_threads"] for one in sessions] == [1, 2]


def line_ends(path: Path) -> list[int]:
    return [i + 1 for i, byte in enumerate(path.read_bytes()) if byte == ord("\n")]


def test_cut_off_at_any_byte_a_run_is_read_without_what_was_cut(tmp_path: Path) -> None:
    folder = fill(tmp_path, 0, 1)
    problems, trace = folder / "problems.jsonl", folder / "trace.jsonl"
    ends = line_ends(problems)
    for size in reversed(range(ends[-1])):
        os.truncate(problems, size)
        assert len(load_run(folder).records) == sum(end <= size for end in ends)
    ends = line_ends(trace)
    for size in reversed(range(ends[-1])):
        os.truncate(trace, size)
        kinds = [event for kind in ("start", "end") for event in read_events(folder, kind)]
        assert len(kinds) == sum(end <= size for end in ends)


@pytest.mark.parametrize("name", ["problems.jsonl", "trace.jsonl"])
def test_cut_off_within_any_line_a_run_goes_on_and_is_whole_again(
    tmp_path: Path, name: str
) -> None:
    folder = fill(tmp_path / "whole", 0, 1)
    ends = line_ends(folder / "problems.jsonl")
    for end in line_ends(folder / name):
        # Half of a line, a line without its end, the end alone, and one byte of the next line.
        for size in (end - 20, end - 2, end - 1, end, end + 1):
            torn = tmp_path / str(size) / folder.name
            shutil.copytree(folder, torn)
            os.truncate(torn / name, min(size, (folder / name).stat().st_size))
            with RunStore(torn.parent, CONFIG) as store:
                known = len(store.records)
                for number in range(known, 2):
                    store.add(record(number), events(number))
            if name == "problems.jsonl":
                assert known == sum(end <= size for end in ends)
                assert trace_ids(torn) == trace_ids(folder)
            assert load_run(torn).records == (record(0), record(1))


def test_trace_of_a_problem_that_was_not_finished_is_dropped(tmp_path: Path) -> None:
    folder = fill(tmp_path, 0)
    with (folder / "trace.jsonl").open("a") as file:
        file.write('{"problem":"p/1","kind":"sta')
    fill(tmp_path, 1)
    assert trace_ids(folder) == ["p/0", "p/0", "p/1", "p/1"]


def test_events_of_a_kind_are_read_up_to_a_torn_line(tmp_path: Path) -> None:
    folder = fill(tmp_path, 0, 1)
    with (folder / "trace.jsonl").open("a") as file:
        file.write('{"problem":"p/2","kind":"start","sec')
    assert [event["problem"] for event in read_events(folder, "start")] == ["p/0", "p/1"]
    assert list(read_events(folder, "p/0")) == []
    with pytest.raises(StoreError, match="trace"):
        next(read_events(tmp_path / "nowhere", "start"))


def test_damaged_line_in_the_middle_is_named(tmp_path: Path) -> None:
    folder = fill(tmp_path, 0, 1)
    path = folder / "problems.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"p/0"', b'"p/9"'))
    with pytest.raises(StoreError, match=r"problems\.jsonl:1: damaged line"):
        RunStore(tmp_path, CONFIG)
    fill_again = path.read_bytes().replace(b'"p/9"', b'"p/0"')
    path.write_bytes(fill_again)
    fill(tmp_path, 2)  # the failed attempt has left no lock behind


def test_every_single_damaged_byte_is_noticed() -> None:
    line = encode_line({"id": "x", "tokens": 5})
    assert decode_line(line) == {"id": "x", "tokens": 5}
    for index in range(len(line)):
        damaged = bytearray(line)
        damaged[index] ^= 1
        assert decode_line(bytes(damaged)) is None


def test_names_of_models_stand_once_in_a_session(tmp_path: Path) -> None:
    facts = EngineFacts(INFO, ALL)
    notes: list[dict[str, Any]] = [
        {"facts": {"": facts, "draft": facts}},
        {"facts": {}},  # of servers
        {"facts": {"": facts}},
    ]
    found = []
    for note in notes:
        names = {"": INFO.name, "draft": INFO.name}
        with RunStore(tmp_path, CONFIG, models=names, **note) as store:
            session = json.loads((store.folder / "run.json").read_text())["sessions"][-1]
        found.append(sorted(session.get("models", ())))
        assert load_run(store.folder).models == names
    assert found == [[], ["", "draft"], ["draft"]]


def test_lines_are_plain_json_for_other_tools(tmp_path: Path) -> None:
    folder = fill(tmp_path, 0)
    (line,) = (folder / "problems.jsonl").read_text().splitlines()
    assert json.loads(line)["problem"] == "p/0"
    assert list(read_lines(folder / "no such file")) == []


def test_two_processes_cannot_share_a_folder(tmp_path: Path) -> None:
    with (
        RunStore(tmp_path, CONFIG),
        pytest.raises(StoreError, match=f"process {os.getpid()} works there"),
    ):
        RunStore(tmp_path, CONFIG)
    fill(tmp_path, 0)


def test_another_configuration_is_another_folder(tmp_path: Path) -> None:
    assert folder_name(CONFIG) != folder_name({**CONFIG, "seed": 1})
    assert folder_name(CONFIG) == folder_name(dict(reversed(CONFIG.items())))
    assert folder_name({**CONFIG, "preset": "../a b"}).startswith("chain-.._a_b-")
    assert "/" not in folder_name({**CONFIG, "benchmark": "a/b"})


def test_half_written_json_is_never_seen(tmp_path: Path) -> None:
    folder = fill(tmp_path, 0)
    (folder / "run.json.new").write_text('{"schema": 1, "con')
    assert load_run(folder).config == CONFIG
    (folder / "run.json").write_text("{")
    with pytest.raises(StoreError, match=r"run\.json: not valid JSON"):
        load_run(folder)


def test_a_folder_of_another_version_is_refused_in_one_sentence(tmp_path: Path) -> None:
    folder = fill(tmp_path, 0)
    head = json.loads((folder / "run.json").read_text())
    old = {**head, "schema": 1, "versions": {"tts": "0.1.0"}}
    (folder / "run.json").write_text(json.dumps(old))
    message = "written by tts 0.1.0 in a form that this version does not read; run it into a new"
    for refused in (lambda: load_run(folder), lambda: RunStore(tmp_path, CONFIG)):
        with pytest.raises(StoreError, match=message):
            refused()
    with pytest.raises(StoreError, match=message):
        log_of(folder)


def test_versions_of_sessions_are_all_named(tmp_path: Path) -> None:
    folder = fill(tmp_path, 0)
    head = json.loads((folder / "run.json").read_text())
    first = {**head["sessions"][0], "versions": {"tts": "0.1.0", "numpy": "2"}}
    head["sessions"] = [first, {**first, "versions": {"tts": "0.2.0", "numpy": "2"}}]
    (folder / "run.json").write_text(json.dumps(head))
    assert load_run(folder).versions == {"tts": "0.1.0, 0.2.0", "numpy": "2"}


def test_problems_are_written_down_once(tmp_path: Path) -> None:
    problems = [
        Problem("p/0", "What is 1?", reference="1", metadata={"level": 2}),
        Problem("p/1", messages=(Message("user", "\ud800 hi"),)),
    ]
    path = tmp_path / folder_name(CONFIG) / "statements.jsonl"
    for _ in range(2):
        RunStore(tmp_path, CONFIG, problems).close()
    first, second = (line.values for line in read_lines(path))
    assert (first["problem"], first["statement"], first["reference"]) == ("p/0", "What is 1?", "1")
    assert first["metadata"] == {"level": 2}
    assert second["messages"] == [{"role": "user", "content": "\ud800 hi"}]
    path.write_bytes(path.read_bytes()[:-5])  # killed while it was written
    with RunStore(tmp_path, CONFIG, problems):
        assert len(list(read_lines(path))) == 2


@pytest.mark.parametrize("name", ["problems.jsonl", "trace.jsonl", "generations.jsonl"])
def test_every_line_is_json_that_names_its_problem(tmp_path: Path, name: str) -> None:
    with RunStore(tmp_path, CONFIG) as store:
        drawn = Completion(0, "4", "stop", Usage(generated_tokens=1, calls=1))
        store.log.of("p/0", 0).record("k", 7, drawn, node="sample", at=0.0)
        store.add(record(0), events(0))
    lines = [json.loads(line) for line in (store.folder / name).read_text().splitlines()]
    assert lines and all((line["problem"], line["repeat"]) == ("p/0", 0) for line in lines)
    assert all(list(line)[-1] == "crc32" for line in lines)


def test_completions_leave_the_memory_with_their_problem(tmp_path: Path) -> None:
    drawn = Completion(0, "4", "stop", Usage(generated_tokens=1, calls=1))
    with RunStore(tmp_path, {**CONFIG, "seed": 5}) as store:
        for number in (0, 1):
            store.log.of(f"p/{number}", 5).record(f"k{number}", 7, drawn, node="sample", at=0.0)
        store.add(record(0), events(0))
        left = [bool(store.log.of(f"p/{n}", 5).find(f"k{n}", [7])) for n in (0, 1)]
    assert left == [False, True]
    with RunStore(tmp_path, {**CONFIG, "seed": 5}) as store:  # nor do they come back
        left = [bool(store.log.of(f"p/{n}", 5).find(f"k{n}", [7])) for n in (0, 1)]
    assert left == [False, True]


def test_a_damaged_line_of_a_trace_is_named(tmp_path: Path) -> None:
    folder = fill(tmp_path, 0, 1)
    path = folder / "trace.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"p/0"', b'"p/9"', 1))
    with pytest.raises(StoreError, match=r"trace\.jsonl:1: damaged line"):
        list(read_events(folder, "end"))


def test_no_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"no run here \(run.json is missing\)"):
        load_run(tmp_path)


def test_root_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    with pytest.raises(StoreError, match=r"cannot be written: .*; name a place"):
        RunStore(tmp_path / "runs", CONFIG)


@contextmanager
def full_disk(num_bytes: int) -> Iterator[None]:
    """Let no file grow beyond this size."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_full_disk_loses_nothing_that_was_finished(tmp_path: Path) -> None:
    with RunStore(tmp_path, CONFIG) as store:
        store.add(record(0), events(0))
        size = (store.folder / "problems.jsonl").stat().st_size
        with full_disk(size + 100), pytest.raises(StoreError, match=r"run the same command again"):
            store.add(record(1), events(1))
        with pytest.raises(StoreError, match=r"File too large.*make room"):
            store.add(record(2), events(2))
    assert load_run(store.folder).records == (record(0),)
    fill(tmp_path, 1)
    assert load_run(store.folder).records == (record(0), record(1))
    assert trace_ids(store.folder) == ["p/0", "p/0", "p/1", "p/1"]


def test_time_of_a_killed_session_is_counted_until_its_last_write(tmp_path: Path) -> None:
    folder = fill(tmp_path, 0)
    head = json.loads((folder / "run.json").read_text())
    head["sessions"] = [{"started": 1000.0, "seconds": None, "process": 1, "versions": {}}]
    (folder / "run.json").write_text(json.dumps(head))
    for name in NAMES[1:]:
        os.utime(folder / name, (1007.5, 1007.5))
    assert load_run(folder).seconds == 7.5
    with RunStore(tmp_path, CONFIG) as store:
        assert 7.5 <= store.seconds < 60
