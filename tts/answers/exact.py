"""Answers that stand in a text by a rule: a value of its JSON, a pattern, calls of tools.

They are compared letter by letter, after JSON has been brought into one form. Calls are read in the
forms of published models: `<tool_call>{...}</tool_call>` (Qwen, Hermes), `[TOOL_CALLS][...]`
(Mistral), `<|python_tag|>{...}` (Llama 3), or a text that is nothing but the JSON of a call.
"""

import json
import re
from collections.abc import Iterator
from importlib import import_module
from typing import Any, NamedTuple

from tts.answers.extract import extract_answer
from tts.answers.thoughts import solution_of
from tts.errors import InputError, optional_import
from tts.types import AnswerRule, Problem

_REGEX_SECONDS = 0.1  # of one search: a pattern may be anybody's, and may explode
_MAX_CHARS = 200_000
_CALL = re.compile(
    r"<tool_call>\s*(.*?)\s*(?:</tool_call>|\Z)|(?:\[TOOL_CALLS\]|<\|python_tag\|>)\s*(.*)\Z",
    re.DOTALL,
)
_FENCE = re.compile(r"```(?:json)?\s*\n(.*?)```", re.DOTALL)
_ABSENT = object()


class Call(NamedTuple):
    """A call of a tool: its name, and its arguments as the text of a JSON object."""

    name: str
    arguments: str


def find_answer(text: str, problem: Problem) -> str | None:
    """Return the answer of a text, by the problem's rule if it has one; None if there is none.

    Raises:
        InputError: The rule's pattern cannot be read.
    """
    rule = problem.rule
    if rule is None:
        return extract_answer(text, problem.answer_type)
    said = solution_of(text)[:_MAX_CHARS]
    if rule.kind == "regex":
        return _matched(rule.path, said)
    try:
        if rule.kind == "tool_calls":
            return _in_one_form([[c.name, json.loads(c.arguments)] for c in tool_calls(said)[1]])
        value = _at(_first_json(said), rule.path)
        return None if value is _ABSENT else _in_one_form(value)
    except RecursionError:  # lists within lists, read but too deep to be written
        return None


def check_rule(rule: AnswerRule) -> None:
    """Refuse a pattern that cannot be read.

    Raises:
        InputError: It cannot.
        MissingExtraError: Patterns need a package that is not installed.
    """
    if rule.kind == "regex":
        _pattern(rule.path)


def tool_calls(text: str) -> tuple[str, list[Call]]:
    """Return what a text says before it calls tools, and the calls."""
    matches = list(_CALL.finditer(text))
    if not matches:
        calls = list(_calls_in(text))
        return ("", calls) if calls else (text, [])
    calls = [call for match in matches for call in _calls_in(match[1] or match[2] or "")]
    return (text[: matches[0].start()].rstrip(), calls) if calls else (text, [])


def _calls_in(text: str) -> Iterator[Call]:
    fenced = _FENCE.fullmatch(text.strip())
    value = _parse(fenced[1] if fenced else text)
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, dict) and isinstance(one.get("name"), str):
            arguments = one.get("arguments", one.get("parameters"))
            if isinstance(arguments, str):
                arguments = _parse(arguments)
            if isinstance(arguments, dict):
                yield Call(one["name"], json.dumps(arguments, ensure_ascii=False))


def _first_json(text: str) -> Any:
    """Return the value that a text is, or that stands in its last fence, or the first object."""
    if (whole := _parse(text)) is not _ABSENT:
        return whole
    for fenced in reversed(_FENCE.findall(text)):
        if (value := _parse(fenced)) is not _ABSENT:
            return value
    decoder, start = json.JSONDecoder(), text.find("{")
    for _ in range(16):  # tries: a text may hold many braces and no JSON
        if start < 0:
            break
        try:
            return decoder.raw_decode(text, start)[0]
        except (ValueError, RecursionError):
            start = text.find("{", start + 1)
    return _ABSENT


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return _ABSENT


def _at(value: Any, path: str) -> Any:
    for key in filter(None, path.removeprefix("$").split(".")):
        if isinstance(value, dict) and key in value:
            value = value[key]
        elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            return _ABSENT
    return value


def _in_one_form(value: Any) -> str:
    """Return a JSON value as text: keys sorted, 2.0 as 2, a bare text without its quotes."""
    if isinstance(value, str):
        return value.strip()
    return json.dumps(_plain(value), sort_keys=True, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _matched(pattern: str, text: str) -> str | None:
    """Return what a pattern finds last; None if it finds nothing, or takes too long."""
    try:
        found = list(_pattern(pattern).finditer(text, timeout=_REGEX_SECONDS))
    except TimeoutError:
        return None
    if not found:
        return None
    last = found[-1]
    return str(last[1] if last.re.groups and last[1] is not None else last[0]).strip()


def _pattern(pattern: str) -> Any:
    with optional_import("an answer that a pattern finds"):
        regex: Any = import_module("regex")
    try:
        return regex.compile(pattern)
    except regex.error as error:
        raise InputError(f"the pattern {pattern!r} cannot be read: {error}") from None
