"""The chat template of vLLM's server, which renders and tokenises for us."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from tts.engine.chat_template import Thoughts, learn
from tts.engine.own_marks import to_ours, to_own, watched, with_system
from tts.engine.remote.faults import Fault
from tts.engine.remote.wire import to_turn
from tts.engine.template_probes import PROBES, Probe, ask
from tts.errors import CapabilityError, innermost
from tts.types import Completion, GenerationRequest, Prompt
from tts.types.thought import THOUGHT_END

_AT_ONCE = 16
_NOT_SERVED = (404, 405, 501)
Post = Callable[[str, Mapping[str, Any]], Awaitable[Any]]


class ServerTemplate:
    """What a server's template knows of thoughts, asked once for each set of template options."""

    def __init__(self) -> None:
        self._known: dict[str, Thoughts | None] = {}

    async def prepare(
        self, request: GenerationRequest, post: Post, turn: asyncio.Lock
    ) -> GenerationRequest:
        """Return a request that thinks in the model's own marks, as token ids.

        Others, and all of a server that renders nothing for us, stay as they are.

        Args:
            request: What is asked.
            post: Sends a body to a path below the server's root, and returns its answer.
            turn: Keeps requests of one event loop from asking the same.

        Raises:
            CapabilityError: The server's template knows no thoughts.
            Fault: The server fails, or refuses the messages.
        """
        if not _thinks(request):
            return request
        prompt, sampling = request.prompt, request.sampling
        if prompt.thought is not None and "tools" in sampling.extra_body:
            raise CapabilityError(
                "a server shows no tools to a model whose thought is begun for it; choose a preset "
                "that leaves thoughts to the model"
            )
        given = dict(sampling.chat_template_kwargs)
        try:
            async with turn:
                if _key(request) not in self._known:
                    self._known[_key(request)] = await _learn(post, given)
        except Fault as fault:
            if fault.status in _NOT_SERVED:
                return request
            raise
        thoughts = self._known[_key(request)]
        if thoughts is not None:
            sampling = to_own(sampling, thoughts, is_special=thoughts.mark != THOUGHT_END)
        watch = request.watch
        if watch is not None and thoughts is not None:
            watch = watched(watch, thoughts)
        if prompt.thought is None:
            return replace(request, sampling=sampling, watch=watch)
        if thoughts is None:
            raise CapabilityError(
                "the server's chat template knows no thoughts that could be opened or skipped; "
                "choose a preset that needs none, or a model that thinks"
            )
        begun = thoughts.begin(prompt.thought)
        asked = with_system(prompt.messages, begun.system)
        messages = [to_turn(message) for message in asked]
        text = await _render(post, messages, {**dict(begun.options), **given}, asks=True)
        ids = await _tokenize(post, {"prompt": text + begun.tail + prompt.prefill})
        sampling = replace(sampling, chat_template_kwargs={})
        return replace(request, prompt=Prompt(token_ids=ids), sampling=sampling, watch=watch)

    def to_ours(self, request: GenerationRequest, completion: Completion) -> Completion:
        """Return a completion of a request that thinks with our marks of a thought."""
        thoughts = self._known.get(_key(request)) if _thinks(request) else None
        return completion if thoughts is None else to_ours(completion, thoughts)


def _thinks(request: GenerationRequest) -> bool:
    return request.prompt.thought is not None or THOUGHT_END in request.sampling.stop


def _key(request: GenerationRequest) -> str:
    return json.dumps(dict(request.sampling.chat_template_kwargs), sort_keys=True)


async def _learn(post: Post, given: Mapping[str, Any]) -> Thoughts | None:
    room = asyncio.Semaphore(_AT_ONCE)
    rendered: dict[Probe, str] = {}

    async def render(probe: Probe) -> None:
        options = {**dict(probe.options), **given}
        async with room:
            try:
                rendered[probe] = await _render(post, probe.to_messages(), options, asks=probe.asks)
            except Fault as fault:
                if not fault.status:
                    raise
                # A template need not take every conversation.

    plain = ask()
    rendered[plain] = await _render(post, plain.to_messages(), given, asks=True)
    try:
        async with asyncio.TaskGroup() as group:
            for probe in PROBES:
                group.create_task(render(probe))
    except ExceptionGroup as errors:
        raise innermost(errors) from None
    return learn(rendered)


async def _render(
    post: Post, messages: list[dict[str, Any]], options: Mapping[str, Any], *, asks: bool
) -> str:
    asked = {"messages": messages, "add_generation_prompt": asks}
    ids = await _tokenize(post, {**asked, "chat_template_kwargs": dict(options)})
    answer = await post("/detokenize", {"tokens": ids})
    return str(answer["prompt"])


async def _tokenize(post: Post, text: Mapping[str, Any]) -> tuple[int, ...]:
    answer = await post("/tokenize", {**text, "add_special_tokens": False})
    return tuple(answer["tokens"])
