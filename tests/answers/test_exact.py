"""Answers that stand in a text by a rule."""

import pytest

from tts.answers.exact import check_rule, find_answer, tool_calls
from tts.errors import InputError
from tts.types import AnswerRule, Problem


def found(rule: AnswerRule, text: str) -> str | None:
    return find_answer(text, Problem("p", "?", answer_type="exact", rule=rule))


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("", '{"b": 1, "a": 2.0}', '{"a": 2, "b": 1}'),  # keys sorted, 2.0 is 2
        ("", 'Here: {"a": [1, 2]} and so on', '{"a": [1, 2]}'),
        ("", '```json\n{"a": 1}\n```', '{"a": 1}'),
        ("a.0.b", '{"a": [{"b": " x "}]}', "x"),
        ("$.a", '{"a": true}', "true"),
        ("a.1", '{"a": [0]}', None),
        ("a", "no JSON {at all", None),
        ("", '<think>\n{"a": 1}\n</think>\n{"a": 2}', '{"a": 2}'),  # not what was thought
        ("", "[" * 100_000, None),
    ],
)
def test_json(path: str, text: str, expected: str | None) -> None:
    assert found(AnswerRule("json", path), text) == expected


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        (r"Answer: (\w+)", "Answer: no. Answer: yes", "yes"),  # the last one
        (r"\d+", "1 and 22", "22"),
        (r"(a)|b", "ab", "b"),  # a group that took no part
        (r"x", "abc", None),
        (r"(a+)+$", "a" * 40 + "b", None),  # takes too long, and is given up
    ],
)
def test_patterns(pattern: str, text: str, expected: str | None) -> None:
    assert found(AnswerRule("regex", pattern), text) == expected


def test_a_pattern_that_cannot_be_read() -> None:
    with pytest.raises(InputError, match=r"the pattern '\('"):
        check_rule(AnswerRule("regex", "("))


CALL = '{"name": "f", "arguments": {"x": 1}}'


@pytest.mark.parametrize(
    ("text", "said", "names"),
    [
        (f"<tool_call>\n{CALL}\n</tool_call>", "", ["f"]),
        (f"I look.\n<tool_call>{CALL}</tool_call>\n<tool_call>{CALL}", "I look.", ["f", "f"]),
        (f"[TOOL_CALLS][{CALL}]", "", ["f"]),
        ('<|python_tag|>{"name": "f", "parameters": {}}', "", ["f"]),
        (CALL, "", ["f"]),
        (f"```json\n{CALL}\n```", "", ["f"]),
        ('{"name": "Ann", "age": 3}', '{"name": "Ann", "age": 3}', []),
        ("no call", "no call", []),
        ("<tool_call>broken</tool_call>", "<tool_call>broken</tool_call>", []),
    ],
)
def test_calls(text: str, said: str, names: list[str]) -> None:
    content, calls = tool_calls(text)
    assert (content, [call.name for call in calls]) == (said, names)


def test_equal_calls_are_one_answer_and_none_is_one_too() -> None:
    rule = AnswerRule("tool_calls")
    other = '{"arguments": {"x": 1.0}, "name": "f"}'
    assert found(rule, CALL) == found(rule, other) == '[["f", {"x": 1}]]'
    assert found(rule, "none") == "[]"
