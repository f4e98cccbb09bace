from functools import lru_cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from tts import bundled, prompts
from tts.bundled.corpus import render
from tts.types import Problem


@lru_cache
def tokenizer() -> PreTrainedTokenizerFast:
    loaded = AutoTokenizer.from_pretrained(bundled.WEIGHTS / "reasoner")
    assert isinstance(loaded, PreTrainedTokenizerFast)
    return loaded


@given(st.text(max_size=200))
def test_any_text_round_trips(text: str) -> None:
    ids = tokenizer()(text)["input_ids"]
    assert tokenizer().decode(ids) == text


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("123", ["1", "2", "3"]),
        ("1\n\n2", ["1", "ĊĊ", "2"]),
        ("1 = 2\n\n\\boxed{3}", ["1", "Ġ=Ġ", "2", "ĊĊ", "\\boxed{", "3", "}"]),
        ("a\n\n\nb", ["a", "ĊĊ", "Ċ", "b"]),
        ("<think>\n\n</think>\n\n", ["<think>", "ĊĊ", "</think>", "ĊĊ"]),
        ("1<extra_0>", ["1", "<extra_0>"]),
    ],
)
def test_digits_and_steps_stay_apart(text: str, tokens: list[str]) -> None:
    assert tokenizer().tokenize(text) == tokens


def test_template_is_what_training_renders() -> None:
    prompt = prompts.revise(Problem("p", "What is 1 + 1?"), "1 + 1 = 3")
    messages = [{"role": m.role, "content": m.content} for m in prompt.messages]
    shown = tokenizer().apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert shown == render(prompt)


def test_special_tokens() -> None:
    loaded = tokenizer()
    assert len(loaded) == 1024
    assert loaded.eos_token == "<|im_end|>"
    assert loaded.pad_token == "<|endoftext|>"
    assert loaded.decode(loaded("a<|im_end|>")["input_ids"], skip_special_tokens=True) == "a"


@pytest.mark.parametrize("name", ["prm", "draft"])
def test_all_models_share_the_tokenizer(name: str) -> None:
    # Loaded as vLLM does: a model type may bring a tokenizer class that splits texts otherwise.
    text = render(prompts.solve(Problem("p", "Start with 315. Add 20.")))
    other = AutoTokenizer.from_pretrained(bundled.WEIGHTS / name)
    assert other(text)["input_ids"] == tokenizer()(text)["input_ids"]
