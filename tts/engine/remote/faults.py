"""What it means when a server does not answer as it should."""

import json
import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Literal

Kind = Literal[
    "unreachable",  # nobody listens: all calls of the endpoint wait
    "busy",  # too many calls, or no capacity: all of them wait
    "broken",  # the server failed at this call
    "odd",  # it answered with something that is no answer
    "silent",  # nothing came for too long
    "late",  # the whole took too long
    "refused",  # it does not want this call
    "context",  # the prompt does not fit
    "barred",  # it does not want any call of ours
]
# No answer to what was asked, so that another time there may well be one.
UNANSWERED: frozenset[Kind] = frozenset({"unreachable", "busy", "broken", "odd", "silent", "late"})
_SHOWN_CHARACTERS = 400
_BARRED = (401, 402, 404, 405, 407)
_BUSY = (429, 502, 503, 504, 520, 521, 522, 523, 524, 529)
_BROKEN = (408, 409, 425)
# How servers say that prompt and completion do not fit into the model's context.
_CONTEXT = re.compile(
    r"context[ _](?:length|window|size)|max_model_len|maximum (?:context|model|prompt) length"
    r"|exceed_context_size|context limit|prompt (?:is )?too long|input is too long"
    r"|maximum input length|reduce the length of the (?:messages|prompt|input)"
    r"|`?inputs`? must have less than|`?inputs`? tokens \+ `?max_new_tokens`? must be"
    r"|prompt contains \d+ tokens|input token count|exceeds? (?:the )?(?:model'?s? )?token limit"
    r"|range of input length",
    re.IGNORECASE,
)
_QUOTA = re.compile(r"insufficient_quota|exceeded your current quota|billing", re.IGNORECASE)
_TAGS = re.compile(r"(?s)<(script|style).*?</\1>|<[^>]*>")
_DIGITS = re.compile(r"\d+")


@dataclass(slots=True, eq=False)
class Fault(Exception):
    """A call that did not succeed.

    Attributes:
        kind: What it means for this call and the others.
        message: For people, in the provider's own words where it has any.
        status: Of HTTP; 0 where there was none, or where it was 200.
        param: The parameter that the server complains of; empty if it names none.
        retry_after: Seconds that the server asks to wait.
    """

    kind: Kind
    message: str
    status: int = 0
    param: str = ""
    retry_after: float | None = None

    def __str__(self) -> str:
        """Return the message."""
        return self.message

    @property
    def asks_to_wait(self) -> bool:
        """Whether the server is there and has no room; an outage else, if it gave no answer."""
        return self.kind == "busy" and (self.status == 429 or self.retry_after is not None)

    @property
    def likeness(self) -> tuple[str, int, str]:
        """What two failures that are alike have in common: the words, but not the numbers."""
        return self.kind, self.status, _DIGITS.sub("0", self.message)


def from_response(status: int, headers: Mapping[str, str], body: bytes) -> Fault:
    """Say what a response means whose status is not 200."""
    words = read_words(body)
    if 300 <= status < 400:
        where = headers.get("Location", "another address")
        message = f"redirects to {where}; give the address at which the server answers"
        return Fault("barred", message, status)
    return _classify(status, words, wait_seconds(headers))


def from_error(value: Mapping[str, Any]) -> Fault:
    """Say what an error means that came with status 200: as a body, or within a stream."""
    words = read_words(json.dumps(value).encode())
    error = value.get("error")
    code = error.get("code") if isinstance(error, Mapping) else value.get("code")
    status = int(code) if isinstance(code, int | str) and str(code).isdecimal() else 0
    if status >= 400 or is_context(words.message) or _QUOTA.search(words.code):
        return _classify(status, words, None)
    return Fault("odd", words.message, 0, words.param)


def is_context(message: str) -> bool:
    """Whether a server complains of a prompt that does not fit."""
    return bool(_CONTEXT.search(message))


@dataclass(frozen=True, slots=True)
class Words:
    """What a provider says of an error."""

    message: str
    code: str = ""
    param: str = ""


def read_words(body: bytes) -> Words:
    """Return what a body says of an error, whatever its form."""
    text = body.decode("utf-8", "replace")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return Words(_TAGS.sub(" ", text).strip() or "no reason given")
    error = value.get("error", value) if isinstance(value, dict) else value
    if isinstance(value, dict) and not error:
        error = value
    if not isinstance(error, dict):
        return Words(error if isinstance(error, str) else text)
    message, param = _message(error)
    code = " ".join(str(error[key]) for key in ("code", "type") if error.get(key))
    named = error.get("param")
    return Words(message or text, code, named if isinstance(named, str) else param)


def _message(error: Mapping[str, Any]) -> tuple[str, str]:
    """Return the words of an error, and the parameter that FastAPI's form of it names."""
    detail = error.get("detail")
    if isinstance(detail, list):
        parts = [part for part in detail if isinstance(part, dict)]
        lines = [f"{_place(part)}: {part.get('msg', '')}" for part in parts]
        return "; ".join(lines), _place(parts[0]).rpartition(".")[2] if parts else ""
    for key in ("message", "msg", "detail", "error"):
        if isinstance(error.get(key), str) and error[key]:
            return error[key], ""
    return "", ""


def _place(part: Mapping[str, Any]) -> str:
    return ".".join(str(step) for step in part.get("loc", ()))


def _classify(status: int, words: Words, retry_after: float | None) -> Fault:
    kind: Kind
    message = words.message
    if (is_context(f"{message} {words.code}") and status not in _BUSY) or status == 413:
        kind = "context"
    elif (_QUOTA.search(f"{words.code} {message}") and status in (402, 429)) or status in _BARRED:
        kind = "barred"
    elif status in _BUSY:
        kind = "busy"
    elif status in _BROKEN or status >= 500:
        kind = "broken"
    else:
        kind = "refused"
    return Fault(kind, message, status, words.param, retry_after)


def wait_seconds(headers: Mapping[str, str]) -> float | None:
    """Return how long a server asks to wait: Retry-After in seconds or as a date."""
    if (millis := _number(headers.get("Retry-After-Ms"))) is not None:
        return millis / 1000
    text = headers.get("Retry-After")
    if text is None:
        return None
    if (seconds := _number(text)) is not None:
        return seconds
    try:
        moment = parsedate_to_datetime(text).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None
    return max(0.0, moment - time.time())


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def shorten(text: str) -> str:
    """Return a text on one line, not longer than a message should be."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= _SHOWN_CHARACTERS else f"{line[:_SHOWN_CHARACTERS]}…"
