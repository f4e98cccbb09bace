"""`/v1/responses`: the newer protocol, without what it stores and without its tools."""

import json
import secrets
import time
from typing import Any

from tts.runtime.progress import Progress
from tts.server.answers import Sent, choices_of, extension_of, split_thought, usage_of
from tts.server.forms import pieces
from tts.server.service import Planned
from tts.types import Result


class Responses:
    """Writes one response, whole or as events.

    Args:
        planned: What is answered.
    """

    def __init__(self, planned: Planned) -> None:
        self._id = f"resp_{secrets.token_hex(16)}"
        self._item = f"msg_{secrets.token_hex(16)}"
        self._created = int(time.time())
        self._planned = planned
        self._number = 0
        self._sent = Sent()
        self._told = -1
        self._has_begun = False

    def whole(self, result: Result) -> dict[str, Any]:
        """Return the body of an answer that is not streamed."""
        (choice, *_) = choices_of(self._planned, result)
        usage = usage_of(result.usage)
        is_cut = choice.finish_reason == "length"
        body = self._head("incomplete" if is_cut else "completed")
        body["output"] = [self._message(choice.content, "completed")]
        if is_cut:
            body["incomplete_details"] = {"reason": "max_output_tokens"}
        if usage is not None:
            body["usage"] = {
                "input_tokens": usage["prompt_tokens"],
                "input_tokens_details": usage["prompt_tokens_details"],
                "output_tokens": usage["completion_tokens"],
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": usage["total_tokens"],
            }
        told = extension_of(self._planned, result)
        return {**body, "tts": told} if told else body

    def progress(self, progress: Progress) -> list[bytes]:
        """Return the events that tell what is new."""
        events = self._begin()
        if self._planned.has_writer and progress.texts:
            content = split_thought(progress.texts.get(0, ""))[1]
            return [*events, *self._grown(self._sent.rest(content))]
        if self._planned.asked.extension.progress != "none" and progress.samples != self._told:
            self._told = progress.samples
            events.append(f": {json.dumps(progress.state())}\n\n".encode())
        return events

    def last(self, result: Result) -> list[bytes]:
        """Return what was not sent yet, and the end."""
        (choice, *_) = choices_of(self._planned, result)
        events = self._begin()
        for piece in pieces(self._sent.rest(choice.content, is_whole=True)):
            events += self._grown(piece)
        place = {"item_id": self._item, "output_index": 0, "content_index": 0}
        text = {"type": "output_text", "text": choice.content, "annotations": []}
        whole = self.whole(result)
        done = f"response.{whole['status']}"
        return [
            *events,
            self._event("response.output_text.done", **place, text=choice.content, logprobs=[]),
            self._event("response.content_part.done", **place, part=text),
            self._event("response.output_item.done", output_index=0, item=whole["output"][0]),
            self._event(done, response=whole),
        ]

    def _begin(self) -> list[bytes]:
        if self._has_begun:
            return []
        self._has_begun = True
        place = {"item_id": self._item, "output_index": 0, "content_index": 0}
        empty = {"type": "output_text", "text": "", "annotations": []}
        item = {**self._message("", "in_progress"), "content": []}
        return [
            self._event("response.created", response=self._head("in_progress")),
            self._event("response.output_item.added", output_index=0, item=item),
            self._event("response.content_part.added", **place, part=empty),
        ]

    def _grown(self, new: str) -> list[bytes]:
        if not new:
            return []
        place = {"item_id": self._item, "output_index": 0, "content_index": 0}
        return [self._event("response.output_text.delta", **place, delta=new, logprobs=[])]

    def _message(self, text: str, status: str) -> dict[str, Any]:
        part = {"type": "output_text", "text": text, "annotations": []}
        head = {"id": self._item, "type": "message", "role": "assistant", "status": status}
        return {**head, "content": [part]}

    def _head(self, status: str) -> dict[str, Any]:
        asked = self._planned.asked
        return {
            "id": self._id,
            "object": "response",
            "created_at": self._created,
            "status": status,
            "model": asked.model,
            "output": [],
            "error": None,
            "incomplete_details": None,
            "instructions": None,
            "metadata": {},
            "parallel_tool_calls": False,
            "tool_choice": "none",
            "tools": [],
            "temperature": asked.sampling.get("temperature"),
            "top_p": asked.sampling.get("top_p"),
        }

    def _event(self, kind: str, **values: Any) -> bytes:
        told = {"type": kind, "sequence_number": self._number, **values}
        self._number += 1
        return f"event: {kind}\ndata: {json.dumps(told)}\n\n".encode()
