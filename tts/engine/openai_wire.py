"""Between our values and the OpenAI API: request bodies, choices, errors."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from tts.errors import CapabilityError, ContextError, EngineError, ModelError, TTSError
from tts.types import Completion, FinishReason, GenerationRequest, Price, Prompt, Sampling, Usage

_FINISH: Mapping[str | None, FinishReason] = {"stop": "stop", "length": "length"}
_CONTEXT_WORDS = ("context length", "context_length", "max_model_len", "maximum context")


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP call for the samples `first` to `first + n - 1` of a request.

    Attributes:
        is_chat: To the chat endpoint; otherwise to the completions endpoint.
        body: Its arguments.
        first: Index of its first sample.
        n: Its samples.
    """

    is_chat: bool
    body: Mapping[str, Any]
    first: int
    n: int


def to_calls(request: GenerationRequest, *, model: str, max_n: int, is_vllm: bool) -> list[Call]:
    """Split a request into calls of at most `max_n` samples, in index order.

    Raises:
        CapabilityError: The server cannot take this kind of prompt.
    """
    prompt = request.prompt
    extra = dict(request.sampling.extra_body)
    if request.sampling.chat_template_kwargs:
        extra["chat_template_kwargs"] = dict(request.sampling.chat_template_kwargs)
    if not is_vllm and (prompt.token_ids or prompt.prefill):
        what = "token ids" if prompt.token_ids else "a prefill"
        raise CapabilityError(f"{model} is not served by vLLM and takes no {what}")
    body: dict[str, Any] = {"model": model, **_sampling(request.sampling, extra, is_vllm)}
    text = {"prompt": list(prompt.token_ids)} if prompt.token_ids else to_text(prompt)
    body |= {name: text.pop(name) for name in ("messages", "prompt") if name in text}
    extra |= text
    if is_vllm:
        extra |= {"return_token_ids": True, "priority": request.priority}
    is_chat = bool(prompt.messages)
    if (top := request.sampling.logprobs) is not None:
        # The chat endpoint takes a switch and a number, the other one the number alone.
        body |= {"logprobs": True, "top_logprobs": top} if is_chat else {"logprobs": top}
    body["extra_body"] = extra
    return [
        Call(is_chat, {**body, "n": n, "seed": request.seed + first}, first, n)
        for first in range(0, request.n, max_n)
        for n in (min(max_n, request.n - first),)
    ]


def to_text(prompt: Prompt) -> dict[str, Any]:
    """Return a prompt that is not token ids, as vLLM's server takes it: messages, or a text."""
    if not prompt.messages:
        return {"prompt": prompt.text}
    messages = [{"role": m.role, "content": m.content} for m in prompt.messages]
    if not prompt.prefill:
        return {"messages": messages}
    messages.append({"role": "assistant", "content": prompt.prefill})
    return {"messages": messages, "continue_final_message": True, "add_generation_prompt": False}


def _sampling(sampling: Sampling, extra: dict[str, Any], is_vllm: bool) -> dict[str, Any]:
    for name, value in (("top_k", sampling.top_k), ("min_p", sampling.min_p)):
        if value:
            extra.setdefault(name, value)
    body: dict[str, Any] = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "max_tokens": sampling.max_tokens,
    }
    if sampling.stop:
        body["stop"] = list(sampling.stop)
    return body


def to_completions(
    call: Call, response: Any, *, price: Price | None, seconds: float
) -> list[Completion]:
    """Make completions of a response; its usage is split so that the parts add up to the whole.

    The prompt was computed once, so all samples but the first count it as cached.
    """
    usage = response.usage
    prompt = usage.prompt_tokens if usage else None
    cached = _cached(usage)
    choices = sorted(response.choices, key=lambda choice: int(choice.index))
    counts = _token_counts(choices, usage.completion_tokens if usage else None)
    made = []
    for position, (choice, generated) in enumerate(zip(choices, counts, strict=True)):
        part = Usage(
            prompt_tokens=prompt,
            cached_tokens=cached if position == 0 else prompt,
            generated_tokens=generated,
            calls=1,
            kv_block_seconds=None,
            peak_kv_blocks=None,
            kv_bytes=None,
            dense_kv_bytes=None,
            flops=None,
            seconds=seconds,
            usd=_dollars(price, 0 if position else prompt, cached, generated),
        )
        made.append(_completion(call, choice, response, part))
    return made


def _completion(call: Call, choice: Any, response: Any, usage: Usage) -> Completion:
    text = choice.message.content if call.is_chat else choice.text
    finish = _FINISH.get(choice.finish_reason, "error")
    stop = getattr(choice, "stop_reason", None)
    logprobs, confidences = _logprobs(choice.logprobs, is_chat=call.is_chat)
    prompt_ids = getattr(response if call.is_chat else choice, "prompt_token_ids", None)
    return Completion(
        index=call.first + choice.index,
        text=text or "",
        finish_reason=finish,
        usage=usage,
        prompt_token_ids=tuple(prompt_ids or ()),
        token_ids=tuple(getattr(choice, "token_ids", None) or ()),
        stop_string=stop if isinstance(stop, str) else None,
        logprobs=logprobs,
        confidences=confidences,
        error=f"the server ended it with {choice.finish_reason!r}" if finish == "error" else None,
    )


def _cached(usage: Any) -> int:
    details = getattr(usage, "prompt_tokens_details", None)
    return getattr(details, "cached_tokens", None) or 0


def _token_counts(choices: Sequence[Any], total: int | None) -> list[int | None]:
    """Count each choice's tokens: exactly where ids came back, else in proportion to the text."""
    ids = [getattr(choice, "token_ids", None) for choice in choices]
    if all(i is not None for i in ids):
        return [len(i or ()) for i in ids]
    if total is None or len(choices) == 1:
        return [total] * len(choices)
    sizes = [len(getattr(c, "text", None) or c.message.content or "") + 1 for c in choices]
    ends = [round(total * sum(sizes[: i + 1]) / sum(sizes)) for i in range(len(sizes))]
    return [end - start for start, end in zip([0, *ends], ends, strict=False)]


def _dollars(
    price: Price | None, prompt: int | None, cached: int, generated: int | None
) -> float | None:
    if price is None or prompt is None or generated is None:
        return None
    cached = min(cached, prompt)
    cached_price = price.prompt if price.cached is None else price.cached
    fresh = (prompt - cached) * price.prompt + cached * cached_price
    return (fresh + generated * price.generated) / 1e6


def _logprobs(
    found: Any, *, is_chat: bool
) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    if found is None:
        return None, None
    if is_chat:
        chosen = tuple(token.logprob for token in found.content or ())
        tops = [[t.logprob for t in token.top_logprobs] for token in found.content or ()]
    else:
        chosen = tuple(found.token_logprobs or ())
        tops = [list((top or {}).values()) for top in found.top_logprobs or ()]
    if not tops or not all(tops):
        return chosen, None
    return chosen, tuple(-math.fsum(top) / len(top) for top in tops)


def explain(error: Exception, *, model: str, base_url: str) -> tuple[TTSError, bool]:
    """Say what a client error means, and whether other calls of the request will fail likewise."""
    openai = import_module("openai")
    message = getattr(error, "message", str(error))
    if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
        return EngineError(f"{base_url} refuses the API key: {message}"), True
    if isinstance(error, openai.NotFoundError):
        return ModelError(f"{base_url} has no model {model!r}: {message}"), True
    if isinstance(error, openai.BadRequestError | openai.UnprocessableEntityError):
        if any(words in message for words in _CONTEXT_WORDS):
            return ContextError(f"{model}: {message}"), True
        return EngineError(f"{base_url} refuses the request: {message}"), True
    if isinstance(error, openai.APITimeoutError):
        return EngineError(f"{base_url} did not answer in time"), False
    if isinstance(error, openai.APIConnectionError):
        cause = error.__cause__ or error
        return EngineError(f"cannot reach {base_url}: {cause}"), False
    return EngineError(f"{base_url}: {type(error).__name__}: {message}"), False
