"""Any OpenAI-compatible server: hosted models, or vLLM's own server on other machines."""

import asyncio
import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any, Self
from weakref import WeakKeyDictionary

import asyncio_throttle
import openai

from tts.engine.context_room import check_context
from tts.engine.openai_wire import Call, explain, to_calls, to_completions, to_text
from tts.engine.stream import BufferedStream, as_error
from tts.errors import CapabilityError, EngineError, ModelError, TTSError, innermost
from tts.protocols import BaseEngine, Capabilities
from tts.types import (
    Completion,
    Embeddings,
    GenerationRequest,
    ModelInfo,
    Price,
    ScoreRequest,
    StepScores,
    Usage,
)

_DEFAULT_URL = "https://api.openai.com/v1"
_SAMPLES_PER_CALL = 8
_Stream = BufferedStream[Completion, Completion]


@dataclass(frozen=True, slots=True)
class _Connection:
    """What belongs to one event loop."""

    client: openai.AsyncOpenAI
    slots: asyncio.Semaphore
    throttle: Any


@dataclass(slots=True)
class _Progress:
    """Samples of one request that the server was asked for and has not answered."""

    in_flight: int = 0


class OpenAIEngine(BaseEngine):
    """Generates through an OpenAI-compatible endpoint.

    Starts on first use, in `start`, or with `async with`: it then asks the server what it is.
    vLLM's server takes token ids and prefills, and gets one call per sample, so that samples
    arrive and are cancelled one by one; other servers get up to `max_n` samples a call, since
    they charge the prompt per call. Closing a stream closes its HTTP requests; how many tokens
    those had generated is not known then, and the usage says None.

    Retries with backoff are the client's; a call that fails for good is a completion with an
    error, unless every call would fail likewise (no such model, key refused, prompt too long).
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        rate_per_second: int | None = None,
        max_concurrency: int = 64,
        timeout_seconds: float = 600.0,
        max_retries: int = 5,
        max_n: int | None = None,
        price: Price | None = None,
        context_tokens: int | None = None,
    ) -> None:
        """Describe the engine; the server is asked on first use.

        Args:
            model: As the server names it.
            base_url: Ends in "/v1"; None takes OPENAI_BASE_URL, then OpenAI itself.
            api_key: None takes OPENAI_API_KEY; a server of your own may need none.
            rate_per_second: Most calls that start in one second; None is no limit.
            max_concurrency: Most calls under way.
            timeout_seconds: Of one call.
            max_retries: Of one call, after rate limits, time-outs and server errors.
            max_n: Samples per call; None is 1 for vLLM's server and 8 for others.
            price: For dollars in usage and budgets.
            context_tokens: Of the model, where the server does not tell.
        """
        self.model = model
        self.base_url = base_url or os.environ.get("OPENAI_BASE_URL") or _DEFAULT_URL
        self._api_key = api_key or os.environ.get("OPENAI_API_KEY")
        self._limits = (rate_per_second, max_concurrency)
        self._timeout, self._retries = timeout_seconds, max_retries
        self._max_n = max_n
        digest = hashlib.sha256(f"{self.base_url}\n{model}".encode()).hexdigest()
        self._info = ModelInfo(model, digest[:16], context_tokens=context_tokens, price=price)
        self._is_vllm = False
        self._is_started = False
        self._is_closed = False
        self._connections: WeakKeyDictionary[asyncio.AbstractEventLoop, _Connection]
        self._connections = WeakKeyDictionary()
        self._owners: dict[asyncio.Task[None], _Stream] = {}

    @property
    def info(self) -> ModelInfo:
        """The model, as far as the server tells."""
        return self._info

    @property
    def capabilities(self) -> Capabilities:
        """What this engine can do; more once it has started and found vLLM behind the address."""
        return Capabilities(
            token_ids=self._is_vllm,
            logprobs=True,
            prefix_cache=self._is_vllm,
            cancel=True,
            seed=self._is_vllm,
        )

    async def start(self) -> Self:
        """Ask the server what it serves.

        Raises:
            EngineError: It cannot be reached, or refuses the key.
            ModelError: It does not serve this model.
        """
        if self._is_closed:
            raise EngineError("the engine is closed")
        if not self._is_started:
            try:
                page = await self._connection().client.models.list()
            except openai.NotFoundError:
                page = None  # a server without this list; the first call will tell
            except openai.OpenAIError as error:
                raise explain(error, model=self.model, base_url=self.base_url)[0] from error
            self._learn(list(page.data) if page else [])
            self._is_started = True
        return self

    async def __aenter__(self) -> Self:
        """Start."""
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        """Close."""
        await self.aclose()

    def generate(self, request: GenerationRequest) -> _Stream:
        """Start `request.n` completions; errors arrive through the stream."""
        progress = _Progress()

        async def abort() -> Usage:
            owner.cancel()
            await asyncio.wait([owner])
            return Usage.unknown(progress.in_flight)

        stream: _Stream = BufferedStream(request.n, convert=lambda done: done, abort=abort)
        owner = stream.loop.create_task(self._run(request, stream, progress))
        self._owners[owner] = stream
        owner.add_done_callback(self._owners.pop)
        return stream

    async def score(self, request: ScoreRequest) -> StepScores:
        """Refuse: these servers have no common protocol for reward models.

        Raises:
            CapabilityError: Always.
        """
        raise CapabilityError("an OpenAI-compatible engine serves no reward models")

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """Refuse: use an embedding engine.

        Raises:
            CapabilityError: Always.
        """
        raise CapabilityError("this engine generates; it serves no embeddings")

    async def tokenize(self, text: str) -> tuple[int, ...]:
        """Return the token ids of a text that continues a prompt, asked of vLLM's server.

        Raises:
            CapabilityError: It is not vLLM's.
            EngineError: It cannot be reached, or refuses.
        """
        await self.start()
        if not self._is_vllm:
            raise CapabilityError(f"{self.model} is not served by vLLM and takes no token ids")
        return await self._tokenize({"prompt": text, "add_special_tokens": False})

    async def _tokenize(self, text: Mapping[str, Any]) -> tuple[int, ...]:
        """Ask vLLM's server for token ids.

        Args:
            text: A prompt, or messages, with the options of the server's `/tokenize`.
        """
        connection = self._connection()
        url = f"{self.base_url.rstrip('/').removesuffix('/v1')}/tokenize"
        body = {"model": self.model, **text}
        async with connection.slots, connection.throttle:
            try:
                found: Any = await connection.client.post(url, cast_to=object, body=body)
            except openai.OpenAIError as error:
                raise explain(error, model=self.model, base_url=self.base_url)[0] from error
        return tuple(found["tokens"])

    async def aclose(self) -> None:
        """Close every stream of this event loop, and the connections."""
        self._is_closed = True
        loop = asyncio.get_running_loop()
        for stream in list(self._owners.values()):
            if stream.loop is loop:
                stream.fail(EngineError("the engine is closed"), await stream.aclose())
        if (connection := self._connections.pop(loop, None)) is not None:
            await connection.client.close()

    def _connection(self) -> _Connection:
        loop = asyncio.get_running_loop()
        if loop not in self._connections:
            rate, slots = self._limits
            self._connections[loop] = _Connection(
                openai.AsyncOpenAI(
                    base_url=self.base_url,
                    # The client insists on a key; servers without keys ignore it.
                    api_key=self._api_key or "none",
                    timeout=self._timeout,
                    max_retries=self._retries,
                ),
                asyncio.Semaphore(slots),
                asyncio_throttle.Throttler(rate_limit=rate) if rate else nullcontext(),
            )
        return self._connections[loop]

    def _learn(self, models: Sequence[Any]) -> None:
        known = {model.id: model for model in models}
        ours = known.get(self.model)
        self._is_vllm = any(model.owned_by == "vllm" for model in models)
        if self._is_vllm and ours is None:
            names = ", ".join(sorted(known))
            raise ModelError(f"{self.base_url} serves {names}, and no model {self.model!r}")
        length = getattr(ours, "max_model_len", None)
        if length and self._info.context_tokens is None:
            self._info = replace(self._info, context_tokens=length)

    async def _run(self, request: GenerationRequest, stream: _Stream, progress: _Progress) -> None:
        """Make all calls of a request; a failure that concerns all of them fails the stream."""
        try:
            await self.start()
            request = await self._within_context(request)
            max_n = self._max_n or (1 if self._is_vllm else _SAMPLES_PER_CALL)
            calls = to_calls(request, model=self.model, max_n=max_n, is_vllm=self._is_vllm)
            async with asyncio.TaskGroup() as group:
                for call in calls:
                    group.create_task(self._call(call, stream, progress))
        except* Exception as errors:
            error = as_error(innermost(errors), f"{self.base_url} sent what we cannot read")
            stream.fail(error, Usage.unknown(progress.in_flight))

    async def _within_context(self, request: GenerationRequest) -> GenerationRequest:
        """Return a request that leaves `keep_free` tokens, where the server counts its prompt.

        Without it the server itself ends a completion where the context does.

        Raises:
            ContextError: There is no room.
        """
        context_tokens = self._info.context_tokens
        if not request.keep_free or not self._is_vllm or context_tokens is None:
            return request
        prompt = request.prompt
        text = to_text(prompt)
        if request.sampling.chat_template_kwargs:
            text["chat_template_kwargs"] = dict(request.sampling.chat_template_kwargs)
        token_ids = prompt.token_ids or await self._tokenize(text)
        room = check_context(len(token_ids), context_tokens, request.keep_free)
        sampling = request.sampling
        capped = replace(sampling, max_tokens=min(sampling.max_tokens, room))
        return replace(request, sampling=capped)

    async def _call(self, call: Call, stream: _Stream, progress: _Progress) -> None:
        connection = self._connection()
        client = connection.client
        endpoint: Any = client.chat.completions if call.is_chat else client.completions
        async with connection.slots, connection.throttle:
            progress.in_flight += call.n
            started = time.perf_counter()
            try:
                response = await endpoint.create(**call.body)
            except openai.OpenAIError as error:
                progress.in_flight -= call.n
                ours, is_final = explain(error, model=self.model, base_url=self.base_url)
                if is_final:
                    raise ours from error
                done = _failed(call, ours)
            else:
                progress.in_flight -= call.n
                seconds = time.perf_counter() - started
                done = to_completions(call, response, price=self._info.price, seconds=seconds)
        for completion in done:
            stream.put(completion)


def _failed(call: Call, error: TTSError) -> list[Completion]:
    usage = replace(Usage.unknown(1), prompt_tokens=0, cached_tokens=0, generated_tokens=0)
    indices = range(call.first, call.first + call.n)
    return [Completion(index, "", "error", usage, error=str(error)) for index in indices]
