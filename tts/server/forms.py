"""How the protocols write an answer: chats, continued texts, and the newer responses."""

import json
import secrets
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from tts.runtime.progress import Progress
from tts.server.answers import (
    Choice,
    Sent,
    calls_of,
    choices_of,
    extension_of,
    logprobs_of,
    message_of,
    split_thought,
    text_logprobs_of,
    told_progress,
    usage_of,
)
from tts.server.service import Planned
from tts.types import Result

_PIECE = 80  # characters of one event, where a text is there all at once
_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
DONE = b"data: [DONE]\n\n"


class _Events:
    """What the events of one stream share.

    Args:
        prefix: Of the answer's name.
        kind: Of its events.
        planned: What is answered.
    """

    def __init__(self, prefix: str, kind: str, planned: Planned) -> None:
        self.id = f"{prefix}-{secrets.token_hex(12)}"
        self.created = int(time.time())
        self._kind = kind
        self._planned = planned
        self._told: tuple[int, ...] = ()
        self._thoughts: defaultdict[int, Sent] = defaultdict(Sent)
        self._contents: defaultdict[int, Sent] = defaultdict(Sent)

    def comments(self, progress: Progress) -> list[bytes]:
        """Return how far the samples are, as the request wants it told."""
        way = self._planned.asked.extension.progress
        state = progress.state()
        told = tuple(value for value in state.values() if isinstance(value, int))
        if way == "none" or told == self._told or not progress.samples:
            return []
        self._told = told
        if way == "comments":
            return [f": {json.dumps(state)}\n\n".encode()]
        return [self.reasoning(told_progress(state))]

    def reasoning(self, text: str) -> bytes:
        """Return an event with a part of a thought."""
        raise NotImplementedError

    def event(self, choices: list[dict[str, Any]], **more: Any) -> bytes:
        """Return one event."""
        head = {"id": self.id, "object": self._kind, "created": self.created}
        model = self._planned.asked.model
        return _event({**head, "model": model, "choices": choices, **more})

    def ending(self, result: Result) -> list[bytes]:
        """Return what stands between the choices and the end."""
        events = []
        if told := extension_of(self._planned, result):
            events.append(self.event([], tts=told))
        if self._planned.asked.has_usage:
            events.append(self.event([], usage=usage_of(result.usage)))
        return [*events, DONE]


class Chat(_Events):
    """`/v1/chat/completions`."""

    def __init__(self, planned: Planned) -> None:
        super().__init__("chatcmpl", "chat.completion.chunk", planned)
        self._opened: set[int] = set()

    def whole(self, result: Result) -> dict[str, Any]:
        """Return the body of an answer that is not streamed."""
        choices = [
            {
                "index": choice.index,
                "message": message_of(choice),
                "logprobs": logprobs_of(choice) if self._planned.asked.logprobs else None,
                "finish_reason": choice.finish_reason,
            }
            for choice in choices_of(self._planned, result)
        ]
        return _whole(self, "chat.completion", self._planned, result, choices)

    def progress(self, progress: Progress) -> list[bytes]:
        """Return the events that tell what is new."""
        if not self._planned.has_writer or not progress.texts:
            return self.comments(progress)
        return [
            event
            for index, text in list(progress.texts.items())
            for event in self._parts(index, *self._grown(index, *split_thought(text)))
        ]

    def last(self, result: Result) -> list[bytes]:
        """Return what of the choices was not sent yet, and the end."""
        events: list[bytes] = []
        for choice in choices_of(self._planned, result):
            events += self._rest(choice)
        return [*events, *self.ending(result)]

    def reasoning(self, text: str) -> bytes:
        """Return an event with a part of a thought."""
        return b"".join(self._parts(0, text, ""))

    def _rest(self, choice: Choice) -> Iterable[bytes]:
        index = choice.index
        thought, content = self._grown(index, choice.reasoning, choice.content, is_whole=True)
        yield from self._parts(index, thought, "")
        for piece in pieces(content):
            yield from self._parts(index, "", piece)
        if index not in self._opened:  # nothing was said at all
            yield from self._delta(index, {"content": ""})
        for place, call in enumerate(calls_of(choice)):
            yield from self._delta(index, {"tool_calls": [{"index": place, **call}]})
        logprobs = logprobs_of(choice) if self._planned.asked.logprobs else None
        ended = {"finish_reason": choice.finish_reason, "logprobs": logprobs}
        yield self.event([{"index": index, "delta": {}, **ended}])

    def _grown(
        self, index: int, thought: str, content: str, *, is_whole: bool = False
    ) -> tuple[str, str]:
        """Return what is new of a text's thought and of what follows it."""
        return (
            self._thoughts[index].rest(thought, is_whole=is_whole),
            self._contents[index].rest(content, is_whole=is_whole),
        )

    def _parts(self, index: int, thought: str, content: str) -> list[bytes]:
        events: list[bytes] = []
        if thought:
            events += self._delta(index, {"reasoning_content": thought})
        if content:
            events += self._delta(index, {"content": content})
        return events

    def _delta(self, index: int, delta: Mapping[str, Any]) -> list[bytes]:
        opening = {} if index in self._opened else {"role": "assistant"}
        self._opened.add(index)
        told = {"index": index, "delta": {**opening, **delta}, "finish_reason": None}
        return [self.event([told])]


class Continuation(_Events):
    """`/v1/completions`."""

    def __init__(self, planned: Planned) -> None:
        super().__init__("cmpl", "text_completion", planned)

    def whole(self, result: Result) -> dict[str, Any]:
        """Return the body of an answer that is not streamed."""
        choices = [
            {
                "index": choice.index,
                "text": choice.trajectory.text,
                "logprobs": text_logprobs_of(choice) if self._planned.asked.logprobs else None,
                "finish_reason": choice.finish_reason,
            }
            for choice in choices_of(self._planned, result)
        ]
        return _whole(self, "text_completion", self._planned, result, choices)

    def progress(self, progress: Progress) -> list[bytes]:
        """Return the events that tell what is new."""
        if not self._planned.has_writer or not progress.texts:
            return self.comments(progress)
        events = []
        for index, text in list(progress.texts.items()):
            if new := self._contents[index].rest(text):
                events.append(self._text(index, new))
        return events

    def last(self, result: Result) -> list[bytes]:
        """Return what of the choices was not sent yet, and the end."""
        events: list[bytes] = []
        for choice in choices_of(self._planned, result):
            new = self._contents[choice.index].rest(choice.trajectory.text, is_whole=True)
            events += [self._text(choice.index, piece) for piece in pieces(new)]
            logprobs = text_logprobs_of(choice) if self._planned.asked.logprobs else None
            events.append(self._text(choice.index, "", choice.finish_reason, logprobs))
        return [*events, *self.ending(result)]

    def comments(self, progress: Progress) -> list[bytes]:
        """Return how far the samples are; there is no place for a thought in this protocol."""
        is_comment = self._planned.asked.extension.progress == "comments"
        return super().comments(progress) if is_comment else []

    def _text(
        self, index: int, text: str, finish: str | None = None, logprobs: Any = None
    ) -> bytes:
        return self.event(
            [{"index": index, "text": text, "logprobs": logprobs, "finish_reason": finish}]
        )


def _whole(
    form: _Events, kind: str, planned: Planned, result: Result, choices: list[dict[str, Any]]
) -> dict[str, Any]:
    body = {
        "id": form.id,
        "object": kind,
        "created": form.created,
        "model": planned.asked.model,
        "choices": choices,
        "usage": usage_of(result.usage),
    }
    told = extension_of(planned, result)
    return {**body, "tts": told} if told else body


def _event(value: Mapping[str, Any]) -> bytes:
    return b"data: " + _JSON.encode(value).encode("utf-8", "replace") + b"\n\n"


def pieces(text: str) -> Iterable[str]:
    """Yield a text in pieces that end after a space or a line, where there is one in time."""
    while text:
        cut = len(text)
        if cut > _PIECE:
            cut = max(text.rfind(" ", 0, _PIECE), text.rfind("\n", 0, _PIECE)) + 1 or _PIECE
        yield text[:cut]
        text = text[cut:]
