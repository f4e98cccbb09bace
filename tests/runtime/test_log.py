"""The generation log survives being cut anywhere."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.values import completion
from tts.errors import StoreError
from tts.runtime.log import GenerationLog, LogFile, request_key
from tts.types import GenerationRequest, Message, Prompt, Sampling, Usage

REQUEST = GenerationRequest(Prompt(text="1 + 1"), Sampling(), n=2, seed=7)


def filled(path: Path) -> list[int]:
    """Write three completions and an abort; returns the file's length after each line."""
    lengths = []
    with LogFile(path) as log:
        for index in range(3):
            log.record("k", 7 + index, replace(completion(index), logprobs=(-0.5,) * 5))
            lengths.append(path.stat().st_size)
        log.record_aborted("k", 7, Usage(generated_tokens=9, calls=2))
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
        (Prompt(text="1 + 1"), "897d275198c333b12d0e291bfbf7b191"),
        (Prompt(token_ids=(3, 1, 2)), "8592afef8fafde10fe70afea0d0cee3f"),
        (Prompt(messages=(Message("user", "1 + 1 \u00e4"),)), "a0a46d8ca615b193876ee6ebb92097bb"),
    ],
)
def test_keys_stay_what_they_are(prompt: Prompt, key: str) -> None:
    # Logs on disk are found by them.
    sampling = Sampling(max_tokens=9, stop=("x",), extra_body={"ignore_eos": True})
    assert request_key("model", GenerationRequest(prompt, sampling)) == key


def test_what_was_recorded_is_found_again_and_marked_as_reused(tmp_path: Path) -> None:
    filled(tmp_path / "log.jsonl")
    with LogFile(tmp_path / "log.jsonl") as log:
        found = log.find("k", iter([9, 7, 100]))
        assert [seed for seed, _ in found] == [7, 9], "recorded order, missing ones left out"
        assert found[0][1].logprobs == (-0.5,) * 5
        assert found[0][1].token_ids == (1, 2, 3, 4, 5)
        assert found[0][1].usage.reused_tokens == 5
        assert log.find_aborted("k", 7) == Usage(generated_tokens=9, calls=2)
        assert log.find("other", iter([7])) == []


def test_cut_at_every_byte_it_loads_all_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    lengths = filled(path)
    data = path.read_bytes()
    for cut in range(0, len(data) + 1, 7):
        path.write_bytes(data[:cut])
        whole = sum(length <= cut for length in lengths[:3])
        with LogFile(path) as log:
            assert len(log.find("k", iter([7, 8, 9]))) == whole
            log.record("k", 50, completion(0))
        with LogFile(path) as log:
            assert len(log.find("k", iter([7, 8, 9, 50]))) == whole + 1


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


def test_a_log_in_memory_keeps_the_order_of_recording() -> None:
    log = GenerationLog()
    log.record("k", 2, completion(2))
    log.record("k", 1, completion(1))
    assert [seed for seed, _ in log.find("k", iter([1, 2]))] == [2, 1]
