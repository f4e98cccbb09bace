"""Tools and forms of answers for an engine without a server."""

from typing import Any

import pytest

from tts.engine.answer_form import without_protocol
from tts.errors import RefusedError
from tts.types import Sampling

ADD = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
NOW = {"type": "function", "function": {"name": "now"}}


def form_of(**fields: Any) -> Any:
    return without_protocol(Sampling(extra_body=fields)).extra_body.get("structured_outputs")


def called(name: str, arguments: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"name": {"const": name}, "arguments": arguments},
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }


def test_a_template_shows_the_tools_and_the_rest_stays() -> None:
    given = Sampling(
        extra_body={"tools": [ADD], "parallel_tool_calls": False, "ignore_eos": True},
        chat_template_kwargs={"enable_thinking": False},
    )
    found = without_protocol(given)
    assert found.extra_body == {"ignore_eos": True}
    assert found.chat_template_kwargs == {"enable_thinking": False, "tools": [ADD]}
    plain = Sampling(extra_body={"ignore_eos": True})
    assert without_protocol(plain) is plain


def test_a_call_that_must_be_made_is_the_only_form() -> None:
    one = {"type": "function", "function": {"name": "now"}}
    assert form_of(tools=[ADD, NOW], tool_choice="auto") is None
    assert form_of(tools=[ADD, NOW], tool_choice="required") == {
        "json": {"anyOf": [called("add", {"type": "object"}), called("now", {"type": "object"})]}
    }
    assert form_of(tools=[ADD, NOW], tool_choice=one) == {
        "json": {"anyOf": [called("now", {"type": "object"})]}
    }
    shown = without_protocol(Sampling(extra_body={"tools": [ADD], "tool_choice": "none"}))
    assert shown == Sampling()


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ({"type": "text"}, None),
        ({"type": "json_object"}, {"json_object": True}),
        (
            {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "array"}}},
            {"json": {"type": "array"}},
        ),
    ],
)
def test_a_form_of_answer_is_vllms(form: Any, expected: Any) -> None:
    assert form_of(response_format=form) == expected


@pytest.mark.parametrize(
    "fields", [{"response_format": {}}, {"tools": [{}], "tool_choice": "required"}]
)
def test_what_is_no_form_is_refused(fields: Any) -> None:
    with pytest.raises(RefusedError, match="as in OpenAI's protocol"):
        without_protocol(Sampling(extra_body=fields))
