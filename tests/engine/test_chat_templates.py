"""Published chat templates: how each model's turn begins with a thought, and without one.

`chat_template_tails.json` holds what follows the question, reviewed against each template.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tts.engine.chat_template import Thoughts, learn
from tts.engine.template_probes import ASKED, PROBES, THOUGHT
from tts.types.thought import Thought

NAMES = {"bos_token": "<s>", "eos_token": "</s>"}
GOLDEN: dict[str, Any] = json.loads(
    (Path(__file__).parent / "chat_template_tails.json").read_text(encoding="utf-8")
)


class Template:
    """A template, rendered as transformers does it."""

    def __init__(self, source: str) -> None:
        utils = pytest.importorskip("transformers.utils.chat_template_utils")
        self._render, self._source = utils.render_jinja_template, source

    def render(self, messages: list[dict[str, Any]], *, asks: bool = True, **options: Any) -> str:
        text: str = self._render(
            [messages],
            chat_template=self._source,
            add_generation_prompt=asks,
            **NAMES,
            **options,
        )[0][0]
        return text

    def thoughts(self) -> Thoughts | None:
        rendered = {}
        for probe in PROBES:
            try:
                options = dict(probe.options)
                rendered[probe] = self.render(probe.to_messages(), asks=probe.asks, **options)
            except Exception:
                continue
        return learn(rendered)

    def turn(self, thoughts: Thoughts, thought: Thought) -> str:
        begun = thoughts.begin(thought)
        system = [{"role": "system", "content": begun.system}] if begun.system else []
        messages = [*system, {"role": "user", "content": ASKED}]
        text = self.render(messages, **dict(begun.options)) + begun.tail
        return text.rpartition(ASKED)[2]


def published(name: str) -> Template:
    folder = os.environ.get("TTS_DATA_DIR")
    if folder is None:
        pytest.skip("TTS_DATA_DIR does not name a folder with chat_templates/")
    path = Path(folder) / "chat_templates" / f"{name}.jinja"
    return Template(path.read_text(encoding="utf-8"))


def test_every_published_template_has_a_row() -> None:
    folder = os.environ.get("TTS_DATA_DIR")
    if folder is None:
        pytest.skip("TTS_DATA_DIR does not name a folder with chat_templates/")
    assert {path.stem for path in (Path(folder) / "chat_templates").glob("*.jinja")} == set(GOLDEN)


@pytest.mark.parametrize("name", GOLDEN)
def test_a_turn_begins_as_the_template_shows_it(name: str) -> None:
    template, expected = published(name), GOLDEN[name]
    thoughts = template.thoughts()
    if not isinstance(expected, Mapping):
        assert thoughts is None
        return
    assert thoughts is not None
    stages = (Thought("open"), Thought("closed", "hm"), Thought("skipped"))
    turns: dict[str, str] = {t.stage: template.turn(thoughts, t) for t in stages}
    assert {**turns, "mark": thoughts.mark} == expected


@pytest.mark.parametrize("name", [n for n, row in GOLDEN.items() if isinstance(row, Mapping)])
def test_a_written_turn_is_the_template_s_own(name: str) -> None:
    """Where a template writes a thought that it is given, ours is written alike."""
    template = published(name)
    thoughts = template.thoughts()
    assert thoughts is not None
    closed = template.turn(thoughts, Thought("closed", THOUGHT))
    assert (
        closed.count(thoughts.mark)
        == template.turn(thoughts, Thought("open")).count(thoughts.mark) + 1
    )
    for field in ("reasoning_content", "thinking", "reasoning"):
        answer = {"role": "assistant", "content": "Qzanswer", field: THOUGHT}
        messages = [{"role": "user", "content": ASKED}, answer]
        options = dict(thoughts.open.options)
        shown = template.render(messages, asks=False, **options).rpartition(ASKED)[2]
        if template.turn(thoughts, Thought("open", THOUGHT)) in shown:
            assert shown.startswith(closed + "Qzanswer")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Qwen-Qwen3-0.6B", True),
        ("openai-gpt-oss-120b", True),
        ("llama-cpp-deepseek-r1", True),
        ("google-gemma-4-31B-it-interleaved", False),  # enable_thinking is off by default
        ("deepseek-ai-DeepSeek-V3.1", False),
        ("LFM2.5-Instruct", False),  # only leaves out the thoughts of earlier turns
    ],
)
def test_who_thinks_by_default(name: str, expected: bool) -> None:
    thoughts = published(name).thoughts()
    assert thoughts is not None
    assert thoughts.is_default == expected


CHAT = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}<bot>{% endif %}"
)


def with_tail(tail: str) -> str:
    """A template that begins a turn with this and says no more of thoughts."""
    return CHAT.replace("<bot>", f"<bot>{tail}")


TYPED = (
    "{% for m in messages %}{% if m.role == 'user' %}[INST]{{ m.content }}[/INST]"
    "{% elif m.content is string %}{{ m.content }}{{ eos_token }}"
    "{% else %}{% for part in m.content %}{% if part.type == 'thinking' %}"
    "[THINK]{{ part.thinking[0].text }}[/THINK]{% else %}{{ part.text }}{% endif %}{% endfor %}"
    "{{ eos_token }}{% endif %}{% endfor %}"
)
WORDED = with_tail("{% if '/no_think' in messages[0].content %}<think>\n\n</think>\n\n{% endif %}")
NESTED = (
    "{% for m in messages %}{% if m.role == 'user' %}<user>{{ m.content }}{% else %}<bot>"
    "{% if m.reasoning_content %}<|open|>think<|sep|>{{ m.reasoning_content }}"
    "<|close|>think<|sep|>{% endif %}<|open|>say<|sep|>{{ m.content }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<bot>{% if thinking is false %}<|open|>say<|sep|>"
    "{% else %}<|open|>think<|sep|>{% endif %}{% endif %}"
)
PHRASES = (
    "<sys>{% if thinking %}Write your thoughts after 'Here is my thought process:' and your "
    "response after 'Here is my response:'.{% endif %}{% for m in messages %}<{{ m.role }}>"
    "{{ m.content }}{% endfor %}{% if add_generation_prompt %}<bot>{% endif %}"
)


@pytest.mark.parametrize(
    ("source", "opened", "closed", "skipped"),
    [
        (
            with_tail("<think>\n"),
            "<bot><think>\n",
            "<bot><think>\nhm\n</think>\n\n",
            "<bot><think>\n\n</think>\n\n",
        ),
        (
            with_tail("<thought>\n"),
            "<bot><thought>\n",
            "<bot><thought>\nhm\n</thought>\n\n",
            "<bot><thought>\n\n</thought>\n\n",
        ),
        (
            with_tail("◁think▷"),
            "<bot>◁think▷",
            "<bot>◁think▷hm◁/think▷",
            "<bot>◁think▷◁/think▷",
        ),
        (
            WORDED,
            "<bot><think>\n",
            "<bot><think>\nhm\n</think>\n\n",
            "<bot><think>\n\n</think>\n\n",
        ),
        (
            NESTED,
            "<bot><|open|>think<|sep|>",
            "<bot><|open|>think<|sep|>hm<|close|>think<|sep|><|open|>say<|sep|>",
            "<bot><|open|>say<|sep|>",
        ),
        (TYPED, "[/INST][THINK]", "[/INST][THINK]hm[/THINK]", "[/INST][THINK][/THINK]"),
    ],
)
def test_forms_of_marks(source: str, opened: str, closed: str, skipped: str) -> None:
    template = Template(source)
    thoughts = template.thoughts()
    assert thoughts is not None
    assert template.turn(thoughts, Thought("open")) == opened
    assert template.turn(thoughts, Thought("closed", "hm")) == closed
    assert template.turn(thoughts, Thought("skipped")) == skipped


def test_words_of_a_system_prompt_can_be_the_marks() -> None:
    template = Template(PHRASES)
    thoughts = template.thoughts()
    assert thoughts is not None
    assert dict(thoughts.open.options) == {"thinking": True}
    closed = template.turn(thoughts, Thought("closed", "hm"))
    assert closed == "<bot>Here is my thought process:hm\nHere is my response:\n"
    assert template.turn(thoughts, Thought("skipped")) == "<bot>"


def test_a_template_that_is_silent_knows_no_thoughts() -> None:
    assert Template(CHAT).thoughts() is None
