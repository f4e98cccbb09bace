"""The engine's parts that need no engine: environment, context check, errors, seeds, digest."""

import asyncio
import os
import sys
import threading
from functools import cache
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts import prompts
from tts.buffered_stream import BufferedStream
from tts.bundled import resolve
from tts.engine import build, host, kv
from tts.engine.context_room import check_context
from tts.engine.encoder import PromptEncoder
from tts.engine.model_files import folder_digest
from tts.engine.requests import RequestTable, _Entry
from tts.engine.reward_format import RewardFormat
from tts.engine.stepper import Stepper
from tts.engine.translate import Finished, right_column
from tts.errors import CapabilityError, ContextError, EngineError, ModelError
from tts.types import Completion, Message, Problem, Prompt, Usage


@pytest.mark.parametrize(("prompt", "room"), [(0, 8), (7, 1)])
def test_what_a_prompt_leaves_may_be_generated(prompt: int, room: int) -> None:
    assert check_context(prompt, 8) == room


def test_a_prompt_without_room_is_refused_with_both_numbers() -> None:
    with pytest.raises(ContextError, match=r"8 tokens.*context is 8 tokens"):
        check_context(8, 8)
    assert check_context(3, 8, keep_free=4) == 1
    with pytest.raises(ContextError, match="8 tokens, 4 of them kept for what follows; shorten"):
        check_context(4, 8, keep_free=4)


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (OSError("no file named config.json\nmore"), ModelError, "cannot load m: OSError: no file"),
        (ValueError("Available memory on node 0"), EngineError, "lower max_model_len"),
        (ValueError("KV cache is needed"), EngineError, "not enough memory"),
        (MemoryError(), EngineError, "not enough memory"),
    ],
)
def test_what_vllm_says_is_explained(error: Exception, kind: type[Any], message: str) -> None:
    explained = build._explain(error, "m")
    assert type(explained) is kind
    assert message in str(explained)
    assert "\n" not in str(explained)


def test_preempted_requests_are_counted_and_still_preempted() -> None:
    gone: list[tuple[str, float]] = []
    scheduler = SimpleNamespace(_preempt_request=lambda *request: gone.append(request))
    core = SimpleNamespace(engine_core=SimpleNamespace(scheduler=scheduler))
    number = kv.watch_preemptions(SimpleNamespace(engine_core=core))
    assert number() == 0
    scheduler._preempt_request("r0", 1.0)
    scheduler._preempt_request("r1", 2.0)
    assert number() == 2
    assert gone == [("r0", 1.0), ("r1", 2.0)]


def test_building_leaves_the_process_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setitem(sys.modules, "llvmlite", ModuleType("llvmlite"))
    monkeypatch.setenv("TORCHDYNAMO_DISABLE", "0")
    before = (torch.set_num_threads, sys.excepthook)
    with host.building(compiles=False):
        assert "llvmlite" not in sys.modules
        assert os.environ["TORCHDYNAMO_DISABLE"] == "1"
        assert host.STEP_LOCK.locked()
        torch.set_num_threads = sys.excepthook = lambda *_: None
    assert (torch.set_num_threads, sys.excepthook) == before
    assert "llvmlite" in sys.modules
    assert os.environ["TORCHDYNAMO_DISABLE"] == "0"
    assert not host.STEP_LOCK.locked()


class Remains:
    """Stands for vLLM's engine and notes when it is torn down."""

    def __init__(self, name: str, fallen: list[str]) -> None:
        self.engine_core = self
        self.shutdown = lambda: fallen.append(name)


def test_the_last_engine_to_close_tears_all_of_them_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "_open", {})
    monkeypatch.setattr(host, "_parked", [])
    fallen: list[str] = []
    host.register(1, lambda: None)
    host.register(2, lambda: None)
    host.retire(1, Remains("first", fallen))
    host.retire(1, Remains("first", fallen))  # closing twice counts once
    assert fallen == []
    host.retire(2, Remains("second", fallen))
    assert sorted(fallen) == ["first", "second"]


def test_an_engine_that_cannot_be_built_says_why_to_everyone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(host, "_open", {})
    monkeypatch.setattr(host, "_parked", [])

    def fail() -> None:
        raise ModelError("no such model")

    before = set(threading.enumerate())
    told: list[Exception] = []
    stepper = Stepper(fail, deliver=lambda _: None, bury=told.append)
    early = stepper.call(lambda: 1)
    stepper.start()
    for future in (stepper.ready, early, stepper.call(lambda: 1)):
        with pytest.raises(ModelError, match="no such model"):
            future.result(10)
    assert len(told) == 1
    assert host._open == {}
    stepper.stop()
    assert set(threading.enumerate()) <= before


def test_the_digest_follows_names_and_content(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    first = folder_digest(tmp_path)
    (tmp_path / ".lock").write_text("hidden files do not count")
    assert folder_digest(tmp_path) == first
    (tmp_path / "config.json").write_text("[]")
    assert folder_digest(tmp_path) != first


class Letters:
    """A tokenizer of code points, "#" being added; its template upper-cases."""

    chat_template: str | None = "yes"
    calls = 0

    def get_added_vocab(self) -> dict[str, int]:
        return {"#": ord("#")}

    def __call__(self, text: str, add_special_tokens: bool = True) -> dict[str, list[int]]:
        type(self).calls += 1
        return {"input_ids": [0] * add_special_tokens + [ord(c) for c in text]}

    def apply_chat_template(self, messages: list[dict[str, str]], **options: Any) -> str:
        if options.get("refuse"):
            raise ValueError("roles must alternate")
        end: str = options.get("chat_template", ":")
        return "".join(m["content"].upper() for m in messages) + end


def test_a_chat_is_encoded_once_with_its_prefill() -> None:
    encoder = PromptEncoder(Letters())
    chat = Prompt(messages=(Message("user", "hi"),), prefill="so")
    before = Letters.calls
    assert encoder.encode(chat) == encoder.encode(chat) == tuple(map(ord, "HI:so"))
    assert Letters.calls == before + 1
    assert encoder.encode(Prompt(text="a")) == (0, 97)  # raw text gets its special tokens
    assert encoder.encode(Prompt(token_ids=(5, 6))) == (5, 6)
    assert encoder.tokenize("a") == (97,)  # a text in the middle of others gets none


def test_options_of_the_chat_template_are_part_of_what_is_remembered() -> None:
    encoder = PromptEncoder(Letters())
    chat = Prompt(messages=(Message("user", "hi"),), prefill="so")
    other = {"chat_template": "?"}
    assert encoder.encode(chat, other) == encoder.encode(chat, other) == tuple(map(ord, "HI?so"))
    assert encoder.encode(chat, {}) == encoder.encode(chat) == tuple(map(ord, "HI:so"))
    own = PromptEncoder(Letters(), RewardFormat("a:B", template="=", tag="\n"))
    assert own.encode(chat, other) == tuple(map(ord, "HI=so"))  # a reward model has its own


def test_steps_end_at_their_tags() -> None:
    encoder = PromptEncoder(Letters())
    asked = Prompt(messages=(Message("user", "hi"),), prefill="a#bc#d")
    assert encoder.encode_steps(asked, "#") == (tuple(map(ord, "HI:a#bc#d")), (4, 7))
    with pytest.raises(CapabilityError, match="does not know '<extra_0>' as one token"):
        encoder.encode_steps(asked, "<extra_0>")


def test_of_a_longer_solution_only_the_new_step_is_tokenised() -> None:
    encoder = PromptEncoder(Letters())

    def ids(prefill: str) -> tuple[int, ...]:
        asked = Prompt(messages=(Message("user", "hi"),), prefill=prefill)
        return encoder.encode_steps(asked, "#")[0]

    ids("a#bc#")
    before = Letters.calls
    assert ids("a#bc#d#") == tuple(map(ord, "HI:a#bc#d#"))
    assert Letters.calls == before + 1


@pytest.mark.parametrize("text", ["x##y z#", " x # y #"])
def test_steps_are_tokenised_together_where_it_makes_a_difference(text: str) -> None:
    class Leading(Letters):
        """Puts a space before a text, as SentencePiece does, and so not before its later steps."""

        def __call__(self, text: str, add_special_tokens: bool = True) -> dict[str, list[int]]:
            bare = text if text == "#" else " " + text
            return super().__call__(bare, add_special_tokens)

    class Greedy(Letters):
        """Lets the tag take the space after it."""

        def __call__(self, text: str, add_special_tokens: bool = True) -> dict[str, list[int]]:
            return super().__call__(text.replace("# ", "#"), add_special_tokens)

    class Merging(Letters):
        """Has the tag as an ordinary token, which may be merged with others."""

        def get_added_vocab(self) -> dict[str, int]:
            return {}

        def __call__(self, text: str, add_special_tokens: bool = True) -> dict[str, list[int]]:
            return super().__call__(text.replace("#y", "!"), add_special_tokens)

    asked = Prompt(messages=(Message("user", "hi"),), prefill=text)
    for tokenizer in (Leading(), Greedy(), Merging()):
        encoder = PromptEncoder(tokenizer)
        assert encoder.encode_steps(asked, "#")[0] == encoder.encode(asked)


@given(st.lists(st.text("a1 \n.é#<"), min_size=1, max_size=4))
def test_the_bundled_reward_model_reads_the_same_step_by_step(steps: list[str]) -> None:
    asked = prompts.reward(Problem(id="p", statement="Add 1 to a."), steps)
    ids, ends = bundled_encoder().encode_steps(asked, prompts.STEP_TAG)
    assert ids == bundled_encoder().encode(asked)
    assert len(ends) == len(steps)


@cache
def bundled_encoder() -> PromptEncoder:
    transformers = pytest.importorskip("transformers")
    return PromptEncoder(transformers.AutoTokenizer.from_pretrained(resolve("bundled:prm")))


def test_a_reward_model_reads_its_own_format() -> None:
    class Merging(Letters):
        """Makes one token of a point and the newline after it."""

        def __call__(self, text: str, add_special_tokens: bool = True) -> dict[str, list[int]]:
            return super().__call__(text.replace(".\n", "!"), add_special_tokens)

    encoder = PromptEncoder(Merging(), RewardFormat("a:B", template="=", tag="\n"))
    asked = Prompt(messages=(Message("user", "x.\ny"),), prefill="one.\ntwo.#three.#")
    # The problem as its tokenizer has it; of the steps every line ends in a token of its own.
    read, ends = "X!Y=one.\ntwo.\nthree.\n", (13, 20)
    assert encoder.encode_steps(asked, "#") == (tuple(map(ord, read)), ends)


def test_a_chat_that_the_model_cannot_take_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    chat = Prompt(messages=(Message("user", "hi"),))
    with pytest.raises(EngineError, match="roles must alternate"):
        PromptEncoder(Letters()).encode(chat, {"refuse": True})
    monkeypatch.setattr(Letters, "chat_template", None)
    with pytest.raises(CapabilityError, match="no chat template"):
        PromptEncoder(Letters()).encode(chat)


def test_a_dead_engine_tells_every_reader_even_of_sequences_that_it_lost() -> None:
    scheduler = SimpleNamespace(requests={})
    table = RequestTable()
    table.engine = SimpleNamespace(
        output_processor=SimpleNamespace(request_states={}),
        engine_core=SimpleNamespace(engine_core=SimpleNamespace(scheduler=scheduler)),
    )

    async def main() -> Usage:
        stream: BufferedStream[Finished, Completion] = BufferedStream(
            2, convert=lambda _: pytest.fail("nothing finished"), abort=asyncio.Future
        )
        entry = _Entry(stream, (1, 2, 3), 0.0, {0: "r0-00000", 1: "r0-00001"})
        table._entries["r0"] = entry
        table._id_by_reader[id(stream)] = "r0"
        table.bury(EngineError("the engine died"))
        with pytest.raises(EngineError, match="the engine died"):
            await anext(stream)
        return await stream.aclose()

    usage = asyncio.run(main())
    assert (usage.calls, usage.generated_tokens) == (2, None)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([[0.75, 0.25], [0.5, 0.5]], (0.25, 0.5)),  # two classes: the second
        ([[0.75], [0.5]], (0.75, 0.5)),  # one: itself
        ([0.75, 0.25], (0.25,)),  # a whole sequence
        ([0.75], (0.75,)),
    ],
)
def test_the_right_class_of_a_reward_model(rows: Any, expected: tuple[float, ...]) -> None:
    assert right_column(np.array(rows, dtype=np.float32)) == expected


@pytest.mark.parametrize("shape", [(4, 3), (3,), (2, 0), (2, 2, 2)])
def test_other_classes_are_no_reward_models(shape: tuple[int, ...]) -> None:
    with pytest.raises(CapabilityError, match="a reward model has one or two classes"):
        right_column(np.zeros(shape, dtype=np.float32))
