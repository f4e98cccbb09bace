"""Between our marks of a thought, `<think>` and `</think>`, and those of an engine's model."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tts.engine.chat_template import Thoughts
from tts.types import Completion, GenerationRequest, Message, ModelInfo, Sampling, Watch
from tts.types.thought import THOUGHT_END, THOUGHT_START, held_back

_THOUGHT_TOKENS = 8192  # published thoughts on hard school problems take thousands
_REPLY_TOKENS = 256  # up to here a request wants a verdict or the like


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
    text, stop = _in_our_marks(completion.text, thoughts), completion.stop_string
    own = THOUGHT_END if stop == thoughts.mark else stop
    offsets = completion.offsets if text == completion.text else None
    return replace(completion, text=text, stop_string=own, offsets=offsets)


def _in_our_marks(text: str, thoughts: Thoughts) -> str:
    opening = thoughts.open.tail.strip()
    if opening and text.lstrip().startswith(opening):
        text = f"{THOUGHT_START}\n{text.lstrip().removeprefix(opening).lstrip()}"
    end = thoughts.closing if thoughts.closing in text else thoughts.mark
    before, found, after = text.partition(end)
    return f"{before.rstrip()}\n{THOUGHT_END}\n\n{after.lstrip()}" if found else text


def watched(watch: Watch, thoughts: Thoughts) -> Watch:
    """Return what is told a text as it grows, with our marks of a thought.

    What may yet become a mark, or a part of one, is held back.
    """
    if thoughts.mark == THOUGHT_END:
        return watch
    marks = (thoughts.open.tail.strip(), thoughts.closing, thoughts.mark)

    def tell(index: int, text: str) -> None:
        held = max(held_back(text, mark) for mark in marks)
        watch(index, _in_our_marks(text[: len(text) - held], thoughts).rstrip())

    return tell


def cut_warning(request: GenerationRequest, info: ModelInfo, thoughts: Thoughts) -> str | None:
    """Return what to warn of before a model that thinks is asked; None if its thoughts have room.

    Args:
        request: What is asked.
        info: Of the model, whose context may leave no other choice.
        thoughts: Of the model.
    """
    tokens, context = request.sampling.max_tokens, info.context_tokens or 0
    is_left_to_it = bool(request.prompt.messages) and request.prompt.thought is None
    is_short = _REPLY_TOKENS < tokens < min(_THOUGHT_TOKENS, context // 2)
    if not (thoughts.is_default and is_left_to_it and is_short):
        return None
    return (
        f"{info.name} thinks before it answers, and max_tokens={tokens} cuts many thoughts: set "
        f"sampling.max_tokens to {_THOUGHT_TOKENS} or more, or choose a preset that ends thoughts "
        "(budget_forcing) or skips them (no_thinking)"
    )


def with_system(messages: tuple[Message, ...], words: str) -> tuple[Message, ...]:
    """Return a chat with words in its system message, where there are any."""
    if not words:
        return messages
    if messages[0].role == "system":
        first = replace(messages[0], content=f"{messages[0].content} {words}")
        return (first, *messages[1:])
    return (Message("system", words), *messages)


def without_system(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Return a chat with its system message at the beginning of the user's first turn."""
    system, *turns = messages
    if system.role != "system" or not turns:
        return messages
    first = replace(turns[0], content=f"{system.content}\n\n{turns[0].content}")
    return (first, *turns[1:])
