"""The samples of one call, read as they come: streamed in pieces, or all at once."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from tts.engine.remote.faults import Fault, from_error
from tts.engine.remote.wire import estimate_tokens
from tts.logprobs import confidence, floored
from tts.types import FinishReason

_LENGTH = ("length", "max_tokens", "max_new_tokens", "model_length")
_FAILED = ("error", "content_filter", "abort", "cancelled", "insufficient_system_resource")
_STOPPED = ("stop", "eos", "eos_token", "end_turn", "stop_sequence", "tool_calls", "function_call")
_LONG_PIECE = 12  # characters; where pieces are longer, they hold many tokens
_THOUGHT_FIELDS = ("reasoning_content", "reasoning")


@dataclass(slots=True)
class _Call:
    """A tool's call on its way."""

    name: str = ""
    arguments: str = ""


@dataclass(slots=True)
class Sample:
    """One sample on its way.

    Attributes:
        place: Among the samples of its call.
        texts: Pieces of its text.
        thoughts: Pieces of what the server keeps apart as its thought.
        calls: Of tools, by the server's number.
        token_ids: Those of vLLM's server.
        logprobs: Of the tokens.
        token_texts: Of the tokens, where log-probabilities come.
        confidences: Of the tokens; shorter than `logprobs` where candidates are missing.
        pieces: Events that brought text.
        is_finished: Whether its end has come.
        reason: Why it ended, in the server's words.
        stop: The stop string, where the server tells.
        prompt_ids: The prompt's, where the server tells.
        began: When its first token ids came, by `time.perf_counter`.
        heard: When the last ones came.
        num_first: How many came first.
    """

    place: int
    texts: list[str] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)
    calls: dict[int, _Call] = field(default_factory=dict)
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[float | None] = field(default_factory=list)
    token_texts: list[str] = field(default_factory=list)
    confidences: list[float] = field(default_factory=list)
    pieces: int = 0
    is_finished: bool = False
    reason: str | None = None
    stop: str | None = None
    prompt_ids: Sequence[int] = ()
    began: float = 0.0
    heard: float = 0.0
    num_first: int = 0

    @property
    def text(self) -> str:
        """Its text so far, with thoughts and calls in it as models write them themselves."""
        said, thought = self._said(), _joined(self.thoughts).lstrip()
        if not thought.strip() or "</think>" in said:
            return said
        if not said and (self.finish == "length" or not self.is_finished):
            return f"<think>\n{thought}"
        return f"<think>\n{thought.strip()}\n</think>\n\n{said.lstrip()}"

    def _said(self) -> str:
        text = _joined(self.texts)
        if not self.calls:
            return text
        return "\n".join([*filter(None, [text.rstrip()]), *map(_written, self.calls.values())])

    @property
    def is_all_thought(self) -> bool:
        """Whether its tokens were used up before the answer began."""
        return self.finish == "length" and not any(self.texts) and any(self.thoughts)

    @property
    def has_content(self) -> bool:
        """Whether anything has come."""
        return bool(self.pieces or self.token_ids)

    @property
    def finish(self) -> FinishReason:
        """Why it ended, in our words: a reason that we do not know is a stop."""
        if self.reason in _LENGTH:
            return "length"
        if self.reason in _FAILED or not (self.has_content or self.reason in _STOPPED):
            return "error"
        return "stop"

    @property
    def about_tokens(self) -> int:
        """Its tokens so far: exactly where ids came; most servers send one a piece, some many."""
        if self.token_ids:
            return len(self.token_ids)
        if self.logprobs and not self.thoughts:
            return len(self.logprobs)
        text = "".join(self.thoughts) + "".join(self.texts)
        return self.pieces if len(text) <= _LONG_PIECE * self.pieces else estimate_tokens(text)

    def add(self, choice: Mapping[str, Any]) -> None:
        """Take a piece of it, or all.

        Raises:
            Fault: It cannot be read.
        """
        said = choice.get("delta") or choice.get("message")
        text = choice.get("text")
        if isinstance(said, dict):
            text = said.get("content")
            for name in _THOUGHT_FIELDS:
                if thought := said.get(name):
                    self._take(self.thoughts, thought)
                    break
            if calls := said.get("tool_calls"):
                self._take_calls(calls)
        if text:
            self._take(self.texts, text)
        if isinstance(ids := choice.get("token_ids"), list):
            self._take_ids(ids)
        if isinstance(ids := choice.get("prompt_token_ids"), list):
            self.prompt_ids = ids
        if logprobs := choice.get("logprobs"):
            self._take_logprobs(logprobs)
        reason = choice.get("finish_reason")
        if reason is not None:
            self.is_finished = True
            self.reason = str(reason)
            stop = choice.get("stop_reason", choice.get("matched_stop"))
            self.stop = stop if isinstance(stop, str) else None

    def _take_ids(self, ids: list[int]) -> None:
        self.token_ids += ids
        self.heard = time.perf_counter()
        if not self.began:
            self.began, self.num_first = self.heard, len(self.token_ids)

    def _take_calls(self, pieces: Any) -> None:
        try:
            for piece in pieces:
                place, function = piece.get("index"), piece["function"]
                call = self.calls.setdefault(
                    len(self.calls) if place is None else place, _Call(function.get("name") or "")
                )
                arguments = function.get("arguments") or ""
                call.arguments += arguments if isinstance(arguments, str) else json.dumps(arguments)
                self.pieces += 1
        except (AttributeError, KeyError, TypeError):
            raise Fault("odd", "the answer holds calls of tools that cannot be read") from None

    def _take(self, to: list[str], content: Any) -> None:
        self.pieces += 1
        if isinstance(content, str):
            to.append(content)
        elif isinstance(content, list):
            for part in content:
                self._take_part(part)
        else:
            raise Fault("odd", f"the answer holds {type(content).__name__} where text belongs")

    def _take_part(self, part: Any) -> None:
        """Take one part of a content that is a list: text, or a thought with parts of its own."""
        if isinstance(part, str):
            self.texts.append(part)
        elif isinstance(part, dict):
            is_thought = part.get("type") in ("thinking", "reasoning")
            content = part.get("thinking") or part.get("reasoning") or part.get("text")
            inner = content if isinstance(content, list) else [{"text": content}]
            texts = [p.get("text") for p in inner if isinstance(p, dict)]
            to = self.thoughts if is_thought else self.texts
            to += [text for text in texts if isinstance(text, str)]

    def _take_logprobs(self, found: Any) -> None:
        """Take log-probabilities: the chat endpoint's form, or the other one's."""
        try:
            if (tokens := found.get("content")) is not None:
                for token in tokens:
                    self.logprobs.append(_number(token.get("logprob")))
                    self.token_texts.append(token.get("token") or "")
                    self._take_candidates([t["logprob"] for t in token.get("top_logprobs") or ()])
                return
            self.logprobs += map(_number, found.get("token_logprobs") or ())
            self.token_texts += found.get("tokens") or ()
            for top in found.get("top_logprobs") or ():
                self._take_candidates(list((top or {}).values()))
        except (AttributeError, KeyError, TypeError):
            raise Fault("odd", "the answer holds log-probabilities that cannot be read") from None

    def _take_candidates(self, candidates: Sequence[float | None]) -> None:
        if candidates:
            self.confidences.append(confidence(candidates))

    def offsets(self, text: str) -> tuple[int, ...] | None:
        """Return where in its text each token ends; None if that does not come out."""
        ends = tuple(accumulate(map(len, self.token_texts)))
        if len(ends) != len(self.token_ids) or not "".join(self.token_texts).startswith(text):
            return None
        return tuple(min(end, len(text)) for end in ends)

    def read_logprobs(self) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
        """Return log-probabilities and confidences of the tokens; None for what did not come."""
        if not self.logprobs:
            return None, None
        is_whole = len(self.confidences) == len(self.logprobs)
        return floored(self.logprobs), tuple(self.confidences) if is_whole else None


@dataclass(slots=True)
class Reading:
    """What has come of one call.

    Attributes:
        n: Samples asked for.
        samples: Those that have come, finished or not, by place.
        prompt_tokens: As the server reports them; None if it did not yet.
        cached_tokens: The same.
        generated_tokens: The same, of all samples together.
        thought_tokens: The part that the server says were a thought; 0 if it does not tell.
        has_ended: The answer has come to its end, and with it all counts.
    """

    n: int
    samples: dict[int, Sample] = field(default_factory=dict)
    prompt_tokens: int | None = None
    cached_tokens: int = 0
    generated_tokens: int | None = None
    thought_tokens: int = 0
    has_ended: bool = False
    _current: dict[int, Sample] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        """Whether all samples have come to their end."""
        finished = sum(sample.is_finished for sample in self.samples.values())
        return finished == self.n

    def take(self, event: Any) -> list[Sample]:
        """Take an event of the stream, or a whole answer; returns the samples that it goes on with.

        Raises:
            Fault: The server reports an error, or what it sent cannot be read.
        """
        if not isinstance(event, dict):
            raise Fault("odd", "the answer is no JSON object")
        choices = event.get("choices")
        if event.get("error") or event.get("object") == "error":
            raise from_error(event)
        if isinstance(usage := event.get("usage"), dict):
            self._count(usage)
        if not isinstance(choices, list):
            if usage is not None:
                return []
            raise Fault("odd", f"the answer holds no choices but {', '.join(sorted(event))}")
        samples = [sample for choice in choices if (sample := self._add(choice)) is not None]
        if isinstance(ids := event.get("prompt_token_ids"), list):
            for sample in samples:
                sample.prompt_ids = ids
        return samples

    def end(self) -> None:
        """Take the end of the answer: samples without one of their own have theirs here."""
        self.has_ended = True
        for sample in self.samples.values():
            sample.is_finished |= sample.has_content

    def _add(self, choice: Any) -> Sample | None:
        """Add a choice to its sample; None for one too many, or nothing new."""
        if not isinstance(choice, dict):
            raise Fault("odd", "the answer holds choices that cannot be read")
        index = choice.get("index")
        key = index if isinstance(index, int) and index >= 0 else 0
        sample = self._current.get(key)
        if sample is None or sample.is_finished:
            said = choice.get("delta") or choice.get("message") or {}
            is_whole = "message" in choice
            says = isinstance(said, dict) and (said.get("content") or said.get("tool_calls"))
            has_text = bool(choice.get("text") or says)
            # After a sample's end, what has its index is another one if it says anything.
            if sample is not None and not (is_whole or has_text):
                return None
            if len(self.samples) == self.n:
                return None
            place = key if key < self.n and key not in self.samples else self._free_place()
            sample = self._current[key] = self.samples[place] = Sample(place)
        sample.add(choice)
        if "message" in choice:
            sample.is_finished = True
        return sample

    def _free_place(self) -> int:
        return next(place for place in range(self.n) if place not in self.samples)

    def _count(self, usage: Mapping[str, Any]) -> None:
        """Take the server's counts, as far as they can be such."""
        prompt, generated = usage.get("prompt_tokens"), usage.get("completion_tokens")
        if _is_count(prompt):
            self.prompt_tokens = prompt
        if _is_count(generated):
            self.generated_tokens = generated
        cached = _detail(usage, "prompt_tokens_details", "cached_tokens")
        self.cached_tokens = min(cached, self.prompt_tokens or 0)
        self.thought_tokens = _detail(usage, "completion_tokens_details", "reasoning_tokens")


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _detail(usage: Mapping[str, Any], group: str, name: str) -> int:
    details = usage.get(group)
    value = details.get(name) if isinstance(details, dict) else None
    return value if isinstance(value, int) and _is_count(value) else 0


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _written(call: _Call) -> str:
    """Return a call of a tool as models write it."""
    arguments = call.arguments.replace("</", "<\\/") or "{}"  # the same JSON, without tags
    return (
        f'<tool_call>\n{{"name": {json.dumps(call.name)}, "arguments": {arguments}}}\n</tool_call>'
    )


def _joined(pieces: Sequence[str]) -> str:
    """Join pieces; halves of a character that came in two of them become one."""
    text = "".join(pieces)
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
