"""Our requests as calls of the OpenAI API."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tts.engine.remote.dialect import Dialect
from tts.errors import CapabilityError
from tts.types import GenerationRequest, Message, Prompt, Sampling

_BYTES_PER_TOKEN = 4  # of English text, about
# Tokens per event of vLLM's streams, ends aside: an event costs the server and us as much as a
# token of a small model takes. What came since the last one is estimated where a call is cut.
STREAM_INTERVAL = 32


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP call for the samples `first` to `first + n - 1` of a request.

    Attributes:
        path: Of the endpoint, below the base URL.
        body: What is sent.
        first: Index of its first sample.
        n: Its samples.
    """

    path: str
    body: Mapping[str, Any]
    first: int
    n: int


def check_prompt(prompt: Prompt, dialect: Dialect, model: str) -> None:
    """Refuse what only vLLM's server takes, where it is not one.

    Raises:
        CapabilityError: The server cannot take this kind of prompt.
    """
    if not dialect.is_vllm and (prompt.token_ids or prompt.beginning):
        what = "token ids" if prompt.token_ids else "a prefill"
        raise CapabilityError(f"{model} is not served by vLLM and takes no {what}")


def to_call(request: GenerationRequest, wanted: range, *, model: str, dialect: Dialect) -> Call:
    """Return the call for some samples of a request, in an endpoint's dialect."""
    prompt, sampling, n = request.prompt, request.sampling, len(wanted)
    is_chat = bool(prompt.messages)
    body: dict[str, Any] = {
        **sampling.extra_body,
        "model": model,
        **(to_text(prompt) if not prompt.token_ids else {"prompt": prompt.token_ids}),
        **_sampling(sampling),
        dialect.token_limit: sampling.max_tokens,
        "seed": dialect.seed(request.seed + wanted.start),
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    body.pop("n", None)
    if n > 1:
        body["n"] = n
    if sampling.chat_template_kwargs:
        body["chat_template_kwargs"] = dict(sampling.chat_template_kwargs)
    top = 0 if sampling.logprobs is None and sampling.offsets else sampling.logprobs
    if top is not None:  # their tokens tell where each one ends
        # The chat endpoint takes a switch and a number, the other one the number alone.
        body |= {"logprobs": True, "top_logprobs": top} if is_chat else {"logprobs": top}
    if dialect.is_vllm:
        body["return_token_ids"] = True
        body.setdefault("stream_interval", STREAM_INTERVAL if request.watch is None else 1)
        if request.priority:
            body["priority"] = request.priority
    left_out = dialect.left_out | ({"stream_options"} if "stream" in dialect.left_out else set())
    for name in left_out:
        body.pop(name, None)
    path = "/chat/completions" if is_chat else "/completions"
    return Call(path, body, wanted.start, n)


def to_text(prompt: Prompt) -> dict[str, Any]:
    """Return a prompt that is not token ids, as vLLM's server takes it: messages, or a text."""
    if not prompt.messages:
        return {"prompt": prompt.text}
    messages = [to_turn(message) for message in prompt.messages]
    if not prompt.beginning:
        return {"messages": messages}
    messages.append({"role": "assistant", "content": prompt.beginning})
    return {"messages": messages, "continue_final_message": True, "add_generation_prompt": False}


def to_turn(message: Message) -> dict[str, Any]:
    """Return a turn of a chat as servers take it: arguments of calls as the text of their JSON."""
    turn = message.to_mapping()
    if calls := turn.get("tool_calls"):
        turn["tool_calls"] = [{**call, "function": _function(call["function"])} for call in calls]
    return turn


def _function(function: Mapping[str, Any]) -> dict[str, Any]:
    arguments = json.dumps(function["arguments"], ensure_ascii=False)
    return {**function, "arguments": arguments}


def _sampling(sampling: Sampling) -> dict[str, Any]:
    body: dict[str, Any] = {"temperature": sampling.temperature, "top_p": sampling.top_p}
    for name, value in (("top_k", sampling.top_k), ("min_p", sampling.min_p)):
        if value and name not in sampling.extra_body:
            body[name] = value
    if sampling.stop:
        body["stop"] = list(sampling.stop)
    return body


def estimate_tokens(text: str) -> int:
    """Return about how many tokens a text has."""
    return -(-len(text.encode("utf-8", "replace")) // _BYTES_PER_TOKEN)


def estimate_prompt(prompt: Prompt) -> int:
    """Return how many tokens a prompt has: exactly for token ids, else about."""
    if prompt.token_ids:
        return len(prompt.token_ids)
    said = [text for message in prompt.messages for text in (message.content, message.extra)]
    return sum(map(estimate_tokens, (prompt.text, prompt.beginning, *said)))


def estimate_request(request: GenerationRequest) -> int:
    """Return about how many tokens the server reads: the prompt, and the tools that it shows."""
    tools = request.sampling.extra_body.get("tools")
    return estimate_prompt(request.prompt) + (estimate_tokens(json.dumps(tools)) if tools else 0)
