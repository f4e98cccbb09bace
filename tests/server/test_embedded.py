"""`tts serve` with a real vLLM in its process."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.serving import Serving, content, serving
from tts.engine.vllm import VLLMEngine

pytestmark = [pytest.mark.engine, pytest.mark.slow]
QUESTION = [{"role": "user", "content": "Begin at 20. Increase it by 8. Which number do you get?"}]


@pytest.fixture(scope="module")
def server() -> Iterator[Serving]:
    engine = VLLMEngine("bundled:reasoner", dtype="float32", max_model_len=2048, cpu_threads=1)
    with serving(engine, ("self_consistency", "early_stop")) as running:
        yield running


def test_tokens_come_one_by_one_and_are_those_of_the_whole_answer(server: Serving) -> None:
    fields: dict[str, Any] = {"messages": QUESTION, "seed": 3, "max_tokens": 40}
    parts = content(server.lines("bundled:reasoner", **fields))
    whole = server.chat("bundled:reasoner", **fields).body
    assert len(parts) > 5
    assert "".join(parts) == whole["choices"][0]["message"]["content"]


def test_a_vote_is_counted_to_the_token(server: Serving) -> None:
    extension = {"return": ["attempts"]}
    found = server.chat("self_consistency", messages=QUESTION, tts=extension).body
    tokens = [attempt["tokens"] for attempt in found["tts"]["attempts"]]
    assert len(tokens) == 16 and sum(tokens) == found["usage"]["completion_tokens"]


def test_a_form_of_answer_is_held_to(server: Serving) -> None:
    # Not a schema: the small model fills what that leaves open with spaces, without end.
    form = {"choice": ['{"n": 28}', '{"n": 29}']}
    extension = {"set": ["n=4"], "return": ["support"], "compare": {"json_path": "n"}}
    fields: dict[str, Any] = {"messages": QUESTION, "structured_outputs": form, "tts": extension}
    found = server.chat("self_consistency", **fields).body
    assert "choices" in found, found
    assert json.loads(found["choices"][0]["message"]["content"])["n"] in (28, 29)
    assert found["tts"]["support"]["voters"] == 4


def test_a_form_that_cannot_be_read_is_refused_and_the_engine_goes_on(server: Serving) -> None:
    fields: dict[str, Any] = {"messages": QUESTION, "structured_outputs": {"regex": "("}}
    assert server.chat("bundled:reasoner", **fields).status == 400
    assert server.chat("bundled:reasoner", messages=QUESTION).status == 200


def test_a_client_that_leaves_leaves_no_blocks_behind(server: Serving) -> None:
    engine = server.server.service.engine
    endless: dict[str, Any] = {"messages": QUESTION, "max_tokens": 1500, "ignore_eos": True}
    with server.open("bundled:reasoner", n=8, **endless) as answer:
        answer.readline()
        assert engine.tokens_in_flight() > 0
    deadline = time.monotonic() + 20
    while engine.tokens_in_flight() or engine.kv_usage():
        assert time.monotonic() < deadline
        time.sleep(0.01)
