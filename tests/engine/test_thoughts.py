"""Thoughts in prompts become the ids that a model was trained on, and its marks become ours."""

import os
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tts import prompts
from tts.bundled import resolve
from tts.engine.chat_template import Beginning, Thoughts
from tts.engine.encoder import PromptEncoder
from tts.engine.own_marks import cut_warning, to_ours, to_own, watched
from tts.engine.scripted import INFO
from tts.errors import CapabilityError, EngineError
from tts.types import Completion, GenerationRequest, Message, Problem, Prompt, Sampling, Usage
from tts.types.thought import Thought

ASKED = (Message("user", "1 + 1?"),)
GEMMA = Thoughts(
    Beginning(tail="<|channel>thought\n"), Beginning(), closing="<channel|>", mark="<channel|>"
)
CHAT = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<bot>"
SWITCHED = CHAT + "{% if enable_thinking is false %}<think></think>{% else %}<think>{% endif %}"


def tokenizer(folder: Path | str) -> Any:
    return pytest.importorskip("transformers").AutoTokenizer.from_pretrained(folder)


def bundled() -> Any:
    path = resolve("bundled:reasoner")
    assert path is not None
    return tokenizer(path)


def with_template(template: str | None) -> PromptEncoder:
    own = bundled()
    own.chat_template = template
    return PromptEncoder(own)


@pytest.mark.parametrize(
    ("thought", "written"),
    [
        (Thought("open"), "<think>\n"),
        (Thought("open", "hm"), "<think>\nhm"),
        (Thought("closed", "hm"), "<think>\nhm\n</think>\n\n"),
        (Thought("closed"), "<think>\n</think>\n\n"),
        (Thought("skipped"), "<think>\n\n</think>\n\n"),
    ],
)
def test_the_bundled_policy_reads_what_it_was_trained_on(thought: Thought, written: str) -> None:
    own = bundled()
    prompt = Prompt(messages=ASKED, thought=thought, prefill="So")
    rendered = own.apply_chat_template(
        [{"role": "user", "content": "1 + 1?"}], tokenize=False, add_generation_prompt=True
    )
    expected = own(f"{rendered}{written}So", add_special_tokens=False)["input_ids"]
    assert PromptEncoder(bundled()).encode(prompt) == tuple(expected)


def test_a_switch_is_thrown_and_a_thought_is_not_opened_twice() -> None:
    encoder = with_template(SWITCHED)

    def ids(thought: Thought) -> tuple[int, ...]:
        return encoder.encode(Prompt(messages=ASKED, thought=thought))

    begun = "<user>1 + 1?<bot>"
    assert ids(Thought("open")) == encoder.tokenize(f"{begun}<think>")
    assert ids(Thought("closed", "hm")) == encoder.tokenize(f"{begun}<think>hm</think>")
    assert ids(Thought("skipped")) == encoder.tokenize(f"{begun}<think></think>")


def test_options_that_switch_thoughts_off_leave_none_to_open() -> None:
    encoder = with_template(SWITCHED)
    opened = Prompt(messages=ASKED, thought=Thought("open"))
    with pytest.raises(CapabilityError, match="knows no thoughts"):
        encoder.encode(opened, {"enable_thinking": False})
    assert encoder.encode(opened, {"other": 1}) == encoder.encode(opened)


@pytest.mark.parametrize(
    ("template", "error", "message"),
    [
        (None, CapabilityError, "the model has no chat template"),
        (CHAT, CapabilityError, "knows no thoughts"),  # whatever the vocabulary has
        ("{{ raise_exception('no') }}", EngineError, "the chat template refuses the messages: no"),
        ("{{ messages | nothing }}", EngineError, "the chat template refuses the messages: "),
    ],
)
def test_templates_that_cannot_be_used(
    template: str | None, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        with_template(template).encode(prompts.solve_thinking(Problem("p", "1 + 1?")))


def test_a_template_without_a_system_role_has_its_words_in_the_first_turn() -> None:
    template = (
        "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
        "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}"
    )
    encoder = with_template(template)
    chat = Prompt(messages=(Message("system", "Be brief."), Message("user", "1 + 1?")))
    merged = Prompt(messages=(Message("user", "Be brief.\n\n1 + 1?"),))
    assert encoder.encode(chat) == encoder.encode(merged)


def test_a_real_model_that_does_not_think_says_so() -> None:
    folder = os.environ.get("TTS_MODEL_DIR")
    if folder is None:
        pytest.skip("TTS_MODEL_DIR does not name a folder with qwen2.5-coder-0.5b")
    encoder = PromptEncoder(tokenizer(Path(folder) / "qwen2.5-coder-0.5b"))
    assert encoder.thoughts() is None
    with pytest.raises(CapabilityError, match="knows no thoughts"):
        encoder.encode(prompts.solve_without_thinking(Problem("p", "1 + 1?")))


def test_a_thought_stops_at_the_model_s_own_mark() -> None:
    asked = Sampling(stop=("Q:", "</think>"), extra_body={"a": 1})
    own = to_own(asked, GEMMA, is_special=True)
    assert own.stop == ("Q:", "<channel|>")
    assert own.extra_body == {"skip_special_tokens": False, "a": 1}
    assert to_own(asked, GEMMA, is_special=False).extra_body == {"a": 1}


@pytest.mark.parametrize(
    ("max_tokens", "context", "thought", "warns"),
    [
        (2048, 32_768, None, True),
        (8192, 32_768, None, False),
        (2048, 2048, None, False),  # there is no room for more
        (64, 32_768, None, False),  # a verdict
        (2048, 32_768, Thought("skipped"), False),
    ],
)
def test_a_limit_that_cuts_thoughts_is_warned_of(
    max_tokens: int, context: int, thought: Thought | None, warns: bool
) -> None:
    prompt = Prompt(messages=ASKED, thought=thought)
    request = GenerationRequest(prompt, Sampling(max_tokens=max_tokens), n=1, seed=0)
    info = replace(INFO, context_tokens=context)
    warning = cut_warning(request, info, replace(GEMMA, is_default=True))
    assert (warning is not None) == warns
    assert warning is None or "max_tokens=2048 cuts many thoughts" in warning
    assert cut_warning(request, info, GEMMA) is None  # thinks only where it is told to


@pytest.mark.parametrize(
    ("text", "ours"),
    [
        ("hm<channel|>\\boxed{2}", "hm\n</think>\n\n\\boxed{2}"),
        ("<|channel>thought\nhm<channel|>2", "<think>\nhm\n</think>\n\n2"),
        ("2", "2"),
    ],
)
def test_texts_have_our_marks(text: str, ours: str) -> None:
    completion = Completion(index=0, text=text, finish_reason="stop", usage=Usage())
    assert to_ours(completion, GEMMA).text == ours


HARMONY = Thoughts(
    Beginning(tail="<|channel|>analysis<|message|>"),
    Beginning(),
    closing="<|end|><|start|>assistant<|channel|>final<|message|>",
    mark="<|end|>",
)


@pytest.mark.parametrize(
    ("thoughts", "text"),
    [
        (GEMMA, "<|channel>thought\n so <b, well \n<channel|>\n It is 4. "),
        (GEMMA, " It is <4, or 5 <channels. "),
        (HARMONY, f"{HARMONY.open.tail}so, well{HARMONY.closing}It is 4."),
        (HARMONY, f"{HARMONY.open.tail}so, well<|end|> It is 4.<|end"),
    ],
)
def test_a_text_that_grows_is_told_as_it_will_stand(thoughts: Thoughts, text: str) -> None:
    told: list[str] = []
    tell = watched(lambda index, so_far: told.append(so_far), thoughts)
    for size in range(len(text) + 1):
        tell(0, text[:size])
    completion = Completion(index=0, text=text, finish_reason="stop", usage=Usage())
    whole = to_ours(completion, thoughts).text
    assert all(after.startswith(before) for before, after in pairwise([*told, whole]))
    assert len(whole) - len(told[-1]) < 8 and len(set(told)) > 5
