"""Between our marks of a thought, `<think>` and `</think>`, and those of an engine's model."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tts.engine.chat_template import Thoughts
from tts.thought import THOUGHT_END, THOUGHT_START
from tts.types import Completion, Message, Sampling


def to_own(sampling: Sampling, thoughts: Thoughts, *, is_special: bool) -> Sampling:
    """Return a sampling profile that stops at the model's own end of a thought.

    Args:
        sampling: Its stop strings may name our mark.
        thoughts: The model's.
        is_special: The mark is a special token, which vLLM leaves out of texts unless told.
    """
    stop = tuple(thoughts.mark if text == THOUGHT_END else text for text in sampling.stop)
    shown: Mapping[str, Any] = {"skip_special_tokens": False} if is_special else {}
    return replace(sampling, stop=stop, extra_body={**shown, **sampling.extra_body})


def to_ours(completion: Completion, thoughts: Thoughts) -> Completion:
    """Return a completion whose text has our marks of a thought in place of the model's own."""
    if thoughts.mark == THOUGHT_END:
        return completion
    text, stop = completion.text, completion.stop_string
    opening = thoughts.open.tail.strip()
    if opening and text.lstrip().startswith(opening):
        text = f"{THOUGHT_START}\n{text.lstrip().removeprefix(opening).lstrip()}"
    end = thoughts.closing if thoughts.closing in text else thoughts.mark
    before, found, after = text.partition(end)
    if found:
        text = f"{before.rstrip()}\n{THOUGHT_END}\n\n{after.lstrip()}"
    own = THOUGHT_END if stop == thoughts.mark else stop
    return replace(completion, text=text, stop_string=own)


def with_system(messages: tuple[Message, ...], words: str) -> tuple[Message, ...]:
    """Return a chat with words in its system message, where there are any."""
    if not words:
        return messages
    if messages[0].role == "system":
        first = replace(messages[0], content=f"{messages[0].content} {words}")
        return (first, *messages[1:])
    return (Message("system", words), *messages)
