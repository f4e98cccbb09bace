"""The generation log survives being cut anywhere."""

import json
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.values import completion
from tts.errors import StoreError
from tts.runtime.log import GenerationLog, request_key
from tts.runtime.log_file import LogFile
from tts.types import GenerationRequest, Message, Prompt, Sampling, Usage

REQUEST = GenerationRequest(Prompt(text="1 + 1"), Sampling(), n=2, seed=7)


def filled(path: Path) -> list[int]:
    """Write three completions and an abort; returns the file's length after each line."""
    lengths = []
    with LogFile(path) as file:
        log = file.of("p", 0)
        for index in range(3):
            drawn = replace(completion(index), logprobs=(-0.5,) * 5)
            log.record("k", 7 + index, drawn, node="sample", at=0.0)
            lengths.append(path.stat().st_size)
        log.record_aborted("k", 7, Usage(generated_tokens=9, calls=2), node="sample", at=0.0)
        lengths.append(path.stat().st_size)
    return lengths


def test_what_must_stay_free_is_part_of_a_key() -> None:
    keys = [request_key("m", replace(REQUEST, keep_free=free)) for free in (0, 0, 5, 6)]
    assert keys[0] == keys[1] and len(set(keys)) == 3


def test_how_a_server_or_a_template_is_asked_is_part_of_a_key() -> None:
    samplings = [
        Sampling(),
        Sampling(chat_template_kwargs={"enable_thinking": False}),
        Sampling(chat_template_kwargs={"enable_thinking": True}),
        Sampling(extra_body={"repetition_penalty": 1.1}),
    ]
    assert len({request_key("m", replace(REQUEST, sampling=s)) for s in samplings}) == 4


@pytest.mark.parametrize(
    ("prompt", "key"),
    [
        (Prompt(text="1 + 1"), "d5816b9c09ee4dd95037ca0ce9332fb2"),
        (Prompt(token_ids=(3, 1, 2)), "274fae3dcb94105d0fa8abd4d20f961b"),
        (Prompt(messages=(Message("user", "1 + 1 \u00e4"),)), "f9b94f380ace1ddb5bd1a785ce537991"),
    ],
)
def test_keys_stay_what_they_are(prompt: Prompt, key: str) -> None:
    # Logs on disk are found by them.
    sampling = Sampling(max_tokens=9, stop=("x",), extra_body={"ignore_eos": True})
    assert request_key("model", GenerationRequest(prompt, sampling)) == key


def test_seeds_are_known_until_their_problem_is_forgotten(tmp_path: Path) -> None:
    filled(tmp_path / "log.jsonl")
    with LogFile(tmp_path / "log.jsonl") as own, LogFile(tmp_path / "new.jsonl") as new:
        new.load(tmp_path / "log.jsonl")
        for file in (own, new):
            log = file.of("p", 0)
            assert log.has_any([1, 9]) and not log.has_any([1, 2])
            log.find("k", [7, 8, 9])
            file.forget("p", 0)
            assert not log.has_any([7, 8, 9])


def test_what_was_recorded_is_found_again_and_marked_as_reused(tmp_path: Path) -> None:
    filled(tmp_path / "log.jsonl")
    with LogFile(tmp_path / "log.jsonl") as file:
        log = file.of("p", 0)
        found = log.find("k", [9, 7, 100])
        assert [one.seed for one in found] == [7, 9], "recorded order, missing ones left out"
        assert found[0].completion.logprobs == (-0.5,) * 5
        assert found[0].completion.token_ids == (1, 2, 3, 4, 5)
        assert found[0].completion.usage.reused_tokens == 5
        assert log.find_aborted("k", 7) == (Usage(generated_tokens=9, calls=2), 0.0)
        assert log.find("other", [7]) == []


def test_lines_say_who_asked_for_what(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with LogFile(path, seed=5) as file:
        file.of("p", 7).record("k", 11, completion(0, "so it is 4"), node="map/sample", at=0.0)
    (line,) = map(json.loads, path.read_text().splitlines())
    assert line["kind"] == "completion" and line["text"] == "so it is 4"
    assert (line["problem"], line["repeat"], line["node"], line["seed"]) == (
        "p",
        2,
        "map/sample",
        11,
    )
    assert "logprobs" not in line  # what is not known is left out


def test_cut_at_every_byte_it_loads_all_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    lengths = filled(path)
    data = path.read_bytes()
    for cut in range(0, len(data) + 1, 7):
        path.write_bytes(data[:cut])
        whole = sum(length <= cut for length in lengths[:3])
        with LogFile(path) as file:
            assert len(file.of("p", 0).find("k", [7, 8, 9])) == whole
            file.of("p", 0).record("k", 50, completion(0), node="sample", at=0.0)
        with LogFile(path) as file:
            assert len(file.of("p", 0).find("k", [7, 8, 9, 50])) == whole + 1


@pytest.mark.slow
def test_memory_does_not_grow_with_finished_problems(tmp_path: Path) -> None:
    """2,000 problems of four samples with 500 tokens each, and what is left of them in memory."""
    drawn = replace(completion(0, "x" * 2_000), token_ids=tuple(range(500)), logprobs=(-0.5,) * 500)

    def solve(log: LogFile, numbers: range) -> None:
        for number in numbers:
            one = log.of(f"p{number}", 0)
            for index in range(4):
                one.find(f"k{number}", [index])
                one.record(f"k{number}", index, drawn, node="sample", at=0.0)
            one.record_aborted(f"k{number}", 0, Usage(calls=1), node="sample", at=0.0)
            log.forget(f"p{number}", 0)

    with LogFile(tmp_path / "log.jsonl") as log:
        solve(log, range(10))
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            solve(log, range(10, 2_010))
            after, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    # The four texts of each problem alone are 8 kB.
    assert after - before < 50_000


def test_a_resumed_run_reads_no_more_of_finished_problems(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with LogFile(path, seed=3) as log:
        for seed in (3, 4):
            log.of("p", seed).record("k", seed, completion(0), node="sample", at=0.0)
    with LogFile(path, seed=3, finished={("p", 0)}) as log:
        assert log.of("p", 3).find("k", [3]) == []
        assert [one.seed for one in log.of("p", 4).find("k", [4])] == [4]


def test_a_damaged_line_in_the_middle_is_named(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    filled(path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1].replace(b"text", b"tezt") + lines[2])
    with pytest.raises(StoreError, match=r"log\.jsonl:2: damaged line"):
        LogFile(path)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be"):
        LogFile(tmp_path / "missing" / "log.jsonl")
    with pytest.raises(StoreError, match="cannot be"):
        LogFile(tmp_path)


def test_the_key_holds_all_that_decides_the_text_and_nothing_else() -> None:
    key = request_key("f", REQUEST)
    assert key == request_key("f", replace(REQUEST, n=5, seed=1, priority=3))
    others = [
        request_key("g", REQUEST),
        request_key("f", replace(REQUEST, prompt=Prompt(text="1 + 2"))),
        request_key("f", replace(REQUEST, sampling=Sampling(temperature=0.1))),
        request_key("f", replace(REQUEST, sampling=Sampling(certainties=True))),
    ]
    assert len({key, *others}) == 5


@pytest.mark.parametrize("make", [lambda _: GenerationLog(), LogFile])
def test_a_log_keeps_the_order_of_recording_until_it_forgets(
    make: Callable[[Path], GenerationLog], tmp_path: Path
) -> None:
    log = make(tmp_path / "log.jsonl")
    for name, seeds in (("p", (2, 1)), ("q", (3,))):
        for seed in seeds:
            log.of(name, 0).record("k", seed, completion(seed), node="sample", at=0.0)
    assert [one.seed for one in log.of("p", 0).find("k", [1, 2])] == [2, 1]
    log.forget("p", 0)
    log.forget("never seen", 0)
    assert [one.seed for one in log.of("q", 0).find("k", [1, 2, 3])] == [3]
