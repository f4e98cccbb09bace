"""Tools and forms of answers as OpenAI's protocol writes them, for an engine without a server.

Servers are sent these fields as they are. Here the chat template shows the tools, and vLLM's
sampler holds the model to the form of an answer, or of a call that must be made.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tts.errors import RefusedError
from tts.types import Sampling

FIELDS = frozenset({"tools", "tool_choice", "parallel_tool_calls", "response_format"})


def without_protocol(sampling: Sampling) -> Sampling:
    """Return a sampling profile in which the template and vLLM's parameters say the same.

    Raises:
        RefusedError: The fields are not as the protocol writes them.
    """
    given = sampling.extra_body
    if FIELDS.isdisjoint(given):
        return sampling
    extras = {name: value for name, value in given.items() if name not in FIELDS}
    options = dict(sampling.chat_template_kwargs)
    try:
        form = _form_of_answer(given.get("response_format"))
        choice, tools = given.get("tool_choice"), given.get("tools")
        if tools and choice != "none":
            options["tools"] = tools
            form = _form_of_calls(choice, tools) or form
    except (AttributeError, KeyError, TypeError) as error:
        raise RefusedError(
            f"tools and response_format are written as in OpenAI's protocol: {error!r}"
        ) from error
    if form is not None:
        extras["structured_outputs"] = form
    return replace(sampling, extra_body=extras, chat_template_kwargs=options)


def template_options(sampling: Sampling) -> Mapping[str, Any]:
    """Return what the chat template is rendered with.

    Raises:
        RefusedError: As above.
    """
    return without_protocol(sampling).chat_template_kwargs


def _form_of_answer(form: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    if form is None or form["type"] == "text":
        return None
    if form["type"] == "json_object":
        return {"json_object": True}
    return {"json": form["json_schema"]["schema"]}


def _form_of_calls(choice: Any, tools: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Return the form of a text that is nothing but a call, where one must be made."""
    if choice in (None, "auto"):
        return None
    if choice != "required":
        name = choice["function"]["name"]
        tools = [tool for tool in tools if tool["function"]["name"] == name]
    return {"json": {"anyOf": [_form_of_call(tool["function"]) for tool in tools]}}


def _form_of_call(function: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "name": {"const": function["name"]},
            "arguments": function.get("parameters") or {"type": "object"},
        },
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }
