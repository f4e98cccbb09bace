"""From a request's body to what is to be run: each field is honoured here, or refused."""

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic_core import to_jsonable_python

from tts.answers.exact import check_rule
from tts.errors import InputError
from tts.server.protocol import (
    ChatRequest,
    Common,
    Compare,
    CompletionRequest,
    Extension,
    ResponsesRequest,
    ToolChoice,
)
from tts.types import AnswerRule, Message, Problem, Sampling

_ROLES = {"developer": "system"}  # templates know no developer
_KNOWN = {"role", "content"}
_SAME_NAME = ("temperature", "top_p", "min_p", "max_tokens")
_EXTRAS = (
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
    "min_tokens",
    "ignore_eos",
    "structured_outputs",
)
PROBLEM_ID = "request"  # the same for all, so that a seed alone decides what is drawn


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asks for.

    Attributes:
        model: Name of the engine's model or of a preset.
        problem: Its chat, or its text.
        sampling: Fields of a sampling profile that it sets, in place of the preset's.
        n: Choices.
        seed: Of all draws.
        tools: Whether the model may call tools.
        one_call: Whether it may call but one.
        logprobs: Whether log-probabilities come with the text.
        is_stream: Whether the answer is streamed.
        has_usage: Whether a stream ends with what was spent.
        extension: The field `tts`.
    """

    model: str
    problem: Problem
    sampling: Mapping[str, Any]
    n: int = 1
    seed: int = 0
    tools: bool = False
    one_call: bool = False
    logprobs: bool = False
    is_stream: bool = False
    has_usage: bool = False
    extension: Extension = field(default_factory=Extension)

    def applied(self, sampling: Sampling) -> Sampling:
        """Return a sampling profile with what the request sets."""
        given = dict(self.sampling)
        for name in ("extra_body", "chat_template_kwargs"):
            given[name] = {**getattr(sampling, name), **given.get(name, {})}
        return replace(sampling, **given)


def of_chat(request: ChatRequest) -> Asked:
    """Return what a chat asks for.

    Raises:
        InputError: A field cannot be honoured.
    """
    if request.top_logprobs:
        raise InputError("top_logprobs: only the tokens that were drawn are reported; drop it")
    given = _sampling(request)
    if request.max_completion_tokens is not None:
        given["max_tokens"] = request.max_completion_tokens
    if request.chat_template_kwargs:
        if "chat_template" in request.chat_template_kwargs:
            raise InputError("chat_template_kwargs: a client brings no chat_template of its own")
        given["chat_template_kwargs"] = request.chat_template_kwargs
    rule = _add_format(request, given)
    if has_tools := bool(request.tools) and request.tool_choice != "none":
        rule = AnswerRule("tool_calls")
        _add_tools(request, given)
    elif not request.tools and request.tool_choice not in (None, "none", "auto"):
        raise InputError("tool_choice: there are no tools to choose from")
    asked = _asked(request, given, rule, bool(request.logprobs))
    problem = replace(asked.problem, messages=tuple(map(_message, request.messages)))
    one_call = request.parallel_tool_calls is False
    return replace(asked, problem=problem, tools=has_tools, one_call=one_call)


def of_completion(request: CompletionRequest) -> Asked:
    """Return what a text to be continued asks for.

    Raises:
        InputError: A field cannot be honoured.
    """
    if request.best_of not in (None, request.n or 1):
        raise InputError("best_of: name a preset that chooses, such as self_certainty_best")
    if request.logprobs:
        raise InputError("logprobs: the tokens that were drawn are reported, no others; write 0")
    prompt = request.prompt if isinstance(request.prompt, str) else request.prompt[0]
    asked = _asked(request, _sampling(request), None, request.logprobs is not None)
    return replace(asked, problem=replace(asked.problem, statement=prompt, is_raw=True))


def of_response(request: ResponsesRequest) -> Asked:
    """Return what a request of the newer protocol asks for.

    Raises:
        InputError: A field cannot be honoured.
    """
    given = {
        name: value
        for name in ("temperature", "top_p")
        if (value := getattr(request, name)) is not None
    }
    if request.max_output_tokens is not None:
        given["max_tokens"] = request.max_output_tokens
    turns = [{"role": "user", "content": request.input}]
    if not isinstance(request.input, str):
        own = ("type", "id", "status")  # what our own output has beside a turn's fields
        turns = [{key: v for key, v in one.items() if key not in own} for one in request.input]
    if request.instructions:
        turns.insert(0, {"role": "system", "content": request.instructions})
    rule = _compared_by(request.tts.compare)
    return Asked(
        model=request.model,
        problem=_problem(rule, messages=tuple(map(_message, turns))),
        sampling=given,
        seed=_seed(request.tts.seed),
        is_stream=bool(request.stream),
        has_usage=True,
        extension=request.tts,
    )


def _asked(
    request: Common, given: dict[str, Any], rule: AnswerRule | None, logprobs: bool
) -> Asked:
    if logprobs:
        given.update(logprobs=1, offsets=True)
    own = request.tts.seed if request.tts.seed is not None else request.seed
    return Asked(
        model=request.model,
        problem=_problem(_compared_by(request.tts.compare) or rule),
        sampling=given,
        n=request.n or 1,
        seed=_seed(own),
        logprobs=logprobs,
        is_stream=bool(request.stream),
        has_usage=request.stream_options is not None and request.stream_options.include_usage,
        extension=request.tts,
    )


def _problem(rule: AnswerRule | None, messages: tuple[Message, ...] = ()) -> Problem:
    kind: Any = "free" if rule is None else "exact"
    return Problem(PROBLEM_ID, messages=messages, answer_type=kind, rule=rule)


def _seed(given: int | None) -> int:
    return random.SystemRandom().getrandbits(31) if given is None else given


def _compared_by(compare: Compare | None) -> AnswerRule | None:
    if compare is None:
        return None
    if (compare.json_path is None) == (compare.regex is None):
        raise InputError("tts.compare: name either json_path or regex")
    if compare.regex is None:
        return AnswerRule("json", compare.json_path or "")
    rule = AnswerRule("regex", compare.regex)
    check_rule(rule)
    return rule


def _sampling(request: Common) -> dict[str, Any]:
    """Return the fields of a sampling profile that a request sets."""
    given = {name: v for name in _SAME_NAME if (v := getattr(request, name)) is not None}
    if request.top_k is not None:
        given["top_k"] = max(0, request.top_k)  # -1 keeps all, as in vLLM
    if request.stop:
        given["stop"] = (request.stop,) if isinstance(request.stop, str) else request.stop
    extras = {name: v for name in _EXTRAS if (v := getattr(request, name)) is not None}
    if request.logit_bias:
        extras["logit_bias"] = {_token(token): bias for token, bias in request.logit_bias.items()}
    if extras:
        given["extra_body"] = extras
    return given


def _token(text: str) -> int:
    if not text.isdecimal():
        raise InputError(f"logit_bias: expected the id of a token, got {text!r}")
    return int(text)


def _message(turn: Mapping[str, Any]) -> Message:
    """Return a turn of a chat as it was sent.

    Raises:
        InputError: It is none, or holds something else than text.
    """
    role, content = turn.get("role"), turn.get("content")
    if not isinstance(role, str) or not role:
        raise InputError("messages: each has a `role`, which is text")
    further = {key: v for key, v in turn.items() if key not in _KNOWN and v is not None}
    calls = further.get("tool_calls")
    if calls is not None:
        further["tool_calls"] = [_call(one) for one in _list(calls, "messages: tool_calls")]
    extra = json.dumps(further, sort_keys=True, ensure_ascii=False) if further else ""
    return Message(_ROLES.get(role, role), _text(content), extra)


def _call(call: Any) -> Any:
    """Return a call whose arguments are an object, as templates write them."""
    try:
        function = call["function"]
        if isinstance(function["arguments"], str):
            function = {**function, "arguments": json.loads(function["arguments"] or "{}")}
        return {**call, "function": function}
    except (TypeError, KeyError, ValueError, RecursionError):
        raise InputError(
            "messages: tool_calls: each has a `function` with a `name` and `arguments`, which are "
            "the text of a JSON object"
        ) from None


def _text(content: Any) -> str:
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    parts = _list(content, "messages: content")
    texts = [part.get("text") if isinstance(part, dict) else None for part in parts]
    kinds = {part.get("type") for part in parts if isinstance(part, dict)}
    if not kinds <= {"text", "input_text", "output_text"} or None in texts:
        raise InputError(
            "messages: content is text, or a list of parts of type text; images, sound and files "
            "are not taken"
        )
    return "\n".join(map(str, texts))


def _list(value: Any, what: str) -> Sequence[Any]:
    if not isinstance(value, list | tuple):
        raise InputError(f"{what}: expected a list, got {type(value).__name__}")
    return value


def _add_format(request: ChatRequest, given: dict[str, Any]) -> AnswerRule | None:
    """Hold answers to the form that a request names; returns by what they are compared."""
    form = request.response_format
    if form is None or form.type == "text":
        return None
    if request.tools and request.tool_choice != "none":
        raise InputError("response_format and tools: name one of them")
    if form.type == "json_schema" and (
        form.json_schema is None or form.json_schema.schema_ is None
    ):
        raise InputError("response_format: json_schema needs a `json_schema` with a `schema`")
    _check_only_form(given)
    _add(given, response_format=form)
    return AnswerRule("json")


def _add_tools(request: ChatRequest, given: dict[str, Any]) -> None:
    """Show the tools to the model, and say whether one must be called."""
    tools, choice = request.tools or (), request.tool_choice
    names = [tool.function.name for tool in tools]
    if isinstance(choice, ToolChoice) and choice.function.name not in names:
        raise InputError(f"tool_choice: there is no tool {choice.function.name!r}")
    if choice not in (None, "auto"):
        _check_only_form(given)
    _add(given, tools=tools, tool_choice=choice, parallel_tool_calls=request.parallel_tool_calls)


def _check_only_form(given: Mapping[str, Any]) -> None:
    if "structured_outputs" in given.get("extra_body", {}):
        raise InputError(
            "structured_outputs: response_format or tool_choice says the form already; name one"
        )


def _add(given: dict[str, Any], **fields: Any) -> None:
    """Send fields of the protocol as they came."""
    known = {name: value for name, value in fields.items() if value is not None}
    sent = to_jsonable_python(known, exclude_none=True, by_alias=True)
    given["extra_body"] = {**given.get("extra_body", {}), **sent}
