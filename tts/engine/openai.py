"""Any OpenAI-compatible server: hosted models, or vLLM's own server on other machines."""

import asyncio
import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, Self

from tts.buffered_stream import as_error
from tts.engine.context_room import check_context
from tts.engine.remote.address import read_address
from tts.engine.remote.endpoint import Endpoint
from tts.engine.remote.faults import Fault
from tts.engine.remote.http import Limits, Transport
from tts.engine.remote.pace import Pace
from tts.engine.remote.request import Connection, RemoteRequest, Stream
from tts.engine.remote.server import ServerFacts, ask_server
from tts.engine.remote.wire import check_prompt, to_text
from tts.engine.server_template import ServerTemplate
from tts.errors import CapabilityError, EngineError, InputError, ModelError, innermost
from tts.logprobs import floored
from tts.protocols import BaseEngine, Capabilities, prompt_token_bound
from tts.types import (
    GenerationRequest,
    Likelihood,
    ModelInfo,
    Price,
    Prompt,
    Sampling,
    Usage,
)

_TOKENIZE_BYTES = 2**26


class OpenAIEngine(BaseEngine):
    """Generates through an OpenAI-compatible endpoint.

    Starts on first use, in `start`, or with `async with`: it then asks the server what it is.
    The samples of a request come with one call, streamed, and each is handed on as it finishes.
    Closing a stream closes its HTTP calls, which count as far as they went. vLLM's server takes
    token ids and prefills, and its tokens are counted exactly, but for the last ones of a call that
    is cut; those of other servers are as they report them at the end of a call. What nobody counted
    is estimated, and marked so.

    What an endpoint does not take (a parameter, several samples a call, long seeds) is learned from
    its refusals, remembered and said once. Its calls share one pace: when it has no room, or is not
    there, all of them wait. A call that fails for good is a completion with an error; the stream
    fails where the first calls all fail alike, or the prompt does not fit.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        api_key_env: str | None = None,
        timeout: float = 3600.0,
        connect_timeout: float = 10.0,
        read_timeout: float = 600.0,
        max_retries: int = 8,
        max_n: int | None = None,
        concurrency: int = 64,
        rate: float | None = None,
        price_in: float | None = None,
        price_out: float | None = None,
        context_tokens: int | None = None,
        others: Sequence[str] = (),
    ) -> None:
        """Describe the engine; the server is asked on first use.

        Args:
            model: As the server names it; empty for the only one that it serves.
            base_url: Most end in "/v1"; None takes OPENAI_BASE_URL, then OpenAI itself.
            api_key: None looks at `api_key_env`, then OPENAI_API_KEY; your own server may need
                none.
            api_key_env: Name of the environment variable that holds the key.
            timeout: Seconds of a whole call, all of its samples included.
            connect_timeout: Seconds until the server takes a connection.
            read_timeout: Seconds without anything from the server, until the first token and
                between two.
            max_retries: Of one call after server errors, and pauses in a row (0.5 s, 1 s, 2 s, up
                to 30 s, or as long as the server asks) that an endpoint without room, or out of
                reach, is given before its calls fail. 8 are a minute and a half.
            max_n: Samples per call; None is as many as the endpoint takes.
            concurrency: Most calls under way.
            rate: Most calls that start in one second; None is no limit.
            price_in: Dollars per million prompt tokens, for dollars in usage and budgets.
            price_out: Dollars per million generated tokens.
            context_tokens: Of the model, where the server does not tell.
            others: Addresses of further servers of the same model, each asked by an engine of its
                own beside this one (`tts.engine.fleet`): what an outage hits ends at once, so that
                it can go to one of them.

        Raises:
            InputError: An option cannot be used.
        """
        _check(timeout=timeout, connect_timeout=connect_timeout, read_timeout=read_timeout)
        _check(concurrency=concurrency, max_n=max_n, rate=rate, context_tokens=context_tokens)
        if max_retries < 0:
            raise InputError(f"max_retries is {max_retries}; it must be 0 or more")
        key = {"api_key": api_key, "api_key_env": api_key_env}
        self._address = read_address(base_url, **key)
        self._others = tuple(read_address(other, **key).base_url for other in others)
        self._limits = Limits(connect_timeout, read_timeout, timeout)
        self._concurrency, self._rate = concurrency, rate
        self._max_retries, self._max_n = max_retries, max_n
        self._endpoint = Endpoint(self._address, model)
        self._info = ModelInfo(
            model,
            self._fingerprint(ServerFacts()),
            context_tokens=context_tokens,
            price=_price(price_in, price_out),
        )
        self._template = ServerTemplate()
        self._is_started = False
        self._is_closed = False
        self._connections: dict[asyncio.AbstractEventLoop, Connection] = {}
        self._owners: dict[asyncio.Task[None], tuple[Stream, list[RemoteRequest]]] = {}

    @property
    def model(self) -> str:
        """The model, as the server names it."""
        return self._endpoint.model

    @property
    def base_url(self) -> str:
        """The server's address, without credentials."""
        return self._address.base_url

    @property
    def info(self) -> ModelInfo:
        """The model, as far as the server tells."""
        return self._info

    @property
    def is_away(self) -> bool:
        """Whether the server was given up, so that calls fail at once; it is looked for again."""
        return self._connection().pace.is_away

    @property
    def capabilities(self) -> Capabilities:
        """What this engine can do; more once it has started and found vLLM behind the address."""
        is_vllm = self._endpoint.dialect.is_vllm
        return Capabilities(
            token_ids=is_vllm,
            logprobs=True,
            prefix_cache=is_vllm,
            cancel=True,
            seed=is_vllm,
            likelihood=is_vllm,
            thoughts=is_vllm or not self._is_started,
            tool_calls=self._endpoint.calls_tools,
        )

    async def start(self) -> Self:
        """Ask the server what it serves; one that does not say is taken as it is.

        Raises:
            EngineError: It cannot be reached, or does not answer.
            InputError: Its API is elsewhere.
            ModelError: It does not serve this model.
        """
        if self._is_closed:
            raise EngineError("the engine is closed")
        connection = self._connection()
        async with connection.starting:
            if not self._is_started:
                self._learn(await self._ask_server(connection))
                self._is_started = True
        return self

    async def _ask_server(self, connection: Connection) -> ServerFacts:
        pace, retries = connection.pace, 0 if self._others else self._max_retries
        try:
            if (fault := pace.given_up()) is not None:
                raise fault
            facts = await ask_server(connection.transport, self._address, max_retries=retries)
        except Fault as fault:
            if self._others:
                pace.failed(fault)
            raise self._endpoint.error(fault) from None
        pace.found()
        return facts

    async def __aenter__(self) -> Self:
        """Start."""
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        """Close."""
        await self.aclose()

    def generate(self, request: GenerationRequest) -> Stream:
        """Start `request.n` completions; errors arrive through the stream."""
        drawn: list[RemoteRequest] = []

        async def abort() -> Usage:
            return await _stop(owner, drawn)

        stream = Stream(request.n, convert=partial(self._template.to_ours, request), abort=abort)
        owner = stream.loop.create_task(self._run(request, stream, drawn))
        self._owners[owner] = stream, drawn
        owner.add_done_callback(self._owners.pop)
        return stream

    def tokens_in_flight(self) -> int:
        """Return the tokens that have come of unfinished samples; 0 where nothing is streamed."""
        return sum(
            remote.tokens_in_flight()
            for _, drawn in list(self._owners.values())
            for remote in drawn
        )

    async def tokenize(self, text: str) -> tuple[int, ...]:
        """Return the token ids of a text that continues a prompt, asked of vLLM's server.

        Raises:
            CapabilityError: It is not vLLM's.
            EngineError: It cannot be reached, or refuses.
        """
        await self.start()
        if not self._endpoint.dialect.is_vllm:
            raise CapabilityError(f"{self.model} is not served by vLLM and takes no token ids")
        return await self._tokenize({"prompt": text, "add_special_tokens": False})

    async def count_prompt(self, prompt: Prompt, sampling: Sampling) -> int:
        """Return the tokens of a prompt: those of vLLM's server, else what they do not exceed.

        Raises:
            EngineError: The server cannot be reached, or refuses.
        """
        await self.start()
        if not self._endpoint.dialect.is_vllm:
            tools = sampling.extra_body.get("tools")
            return prompt_token_bound(prompt) + (len(json.dumps(tools)) if tools else 0)
        return len(await self._encode(prompt, sampling))

    async def likelihood(self, prompt: Prompt, text: str) -> Likelihood:
        """Return how likely each token of a given text is after a prompt, asked of vLLM's server.

        Raises:
            CapabilityError: It is not vLLM's.
            ContextError: Both are too long together.
            EngineError: It cannot be reached, or refuses.
        """
        ids = await self.tokenize(text)
        if not ids:
            return Likelihood((), Usage())
        whole = (*await self._encode(prompt, Sampling()), *ids)
        check_context(len(whole), self._info.context_tokens or len(whole) + 1)
        asked = {"prompt": whole, "max_tokens": 1, "prompt_logprobs": 0}
        try:
            async with self._connection().pace.turn():
                found = await self._post("/v1/completions", asked)
        except Fault as fault:
            raise self._endpoint.error(fault) from None
        with suppress(KeyError, TypeError, IndexError):
            rows = found["choices"][0]["prompt_logprobs"][-len(ids) :]
            values = [row[str(token)]["logprob"] for token, row in zip(ids, rows, strict=True)]
            price = self._info.price
            usd = None if price is None else price.prompt * len(whole) / 1e6
            usage = Usage(prompt_tokens=len(whole), calls=1, flops=None, seconds=None, usd=usd)
            return Likelihood(floored(values), usage)
        raise EngineError(f"{self.base_url} reads a text without telling how likely it is")

    async def _encode(self, prompt: Prompt, sampling: Sampling) -> tuple[int, ...]:
        """Return the token ids of a prompt, as vLLM's server renders it."""
        if prompt.thought is not None:
            request = await self._in_own_marks(GenerationRequest(prompt, sampling))
            prompt, sampling = request.prompt, request.sampling
        return prompt.token_ids or await self._tokenize(_rendered(prompt, sampling))

    async def _tokenize(self, text: Mapping[str, Any]) -> tuple[int, ...]:
        """Ask vLLM's server for token ids.

        Args:
            text: A prompt, or messages, with the options of the server's `/tokenize`.
        """
        try:
            async with self._connection().pace.turn():
                found = await self._post("/tokenize", text)
        except Fault as fault:
            raise self._endpoint.error(fault) from None
        with suppress(KeyError, TypeError):
            return tuple(found["tokens"])
        raise EngineError(f"{self.base_url} answers /tokenize without tokens")

    async def _post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Return a server's answer, None if there is none, at a path below its root."""
        found: list[Any] = []

        def take(answer: Any, _: bool) -> bool:
            found.append(answer)
            return True

        await self._connection().transport.post(
            f"{self._address.root}{path}",
            {"model": self.model, **body},
            take,
            most_bytes=_TOKENIZE_BYTES,
        )
        return found[0] if found else None

    async def aclose(self) -> None:
        """Close every stream of this event loop, and the connections."""
        self._is_closed = True
        loop = asyncio.get_running_loop()
        for owner, (stream, drawn) in list(self._owners.items()):
            if stream.loop is loop:
                lost = await _stop(owner, drawn)
                stream.fail(EngineError("the engine is closed"), lost)
        for other in [loop, *self._connections]:
            if other is loop or other.is_closed():  # which had no chance to
                await self._disconnect(other)

    async def _disconnect(self, loop: asyncio.AbstractEventLoop) -> None:
        if (connection := self._connections.pop(loop, None)) is not None:
            with suppress(RuntimeError):  # of a loop that is closed
                await connection.transport.aclose()

    def _connection(self) -> Connection:
        loop = asyncio.get_running_loop()
        if loop not in self._connections:
            self._connections[loop] = Connection(
                Transport(self._address, self._limits),
                Pace(concurrency=self._concurrency, rate=self._rate),
            )
        return self._connections[loop]

    def _learn(self, facts: ServerFacts) -> None:
        endpoint, names = self._endpoint, sorted(entry["id"] for entry in facts.models)
        if facts.better_url:
            raise InputError(
                f"{self.base_url} is not where this server has its API; write {facts.better_url!r}"
            )
        if not endpoint.model and len(names) == 1:
            endpoint.model = names[0]
        if not endpoint.model or (facts.is_vllm and endpoint.model not in names):
            served = ", ".join(names) or "no models that it lists"
            wanted = f"no model {endpoint.model!r}" if endpoint.model else "none was named"
            told = f"{self.base_url} serves {served}, and {wanted}; write MODEL@{self.base_url}"
            raise ModelError(endpoint.mask(told))
        is_vllm = facts.is_vllm
        endpoint.dialect = replace(endpoint.dialect, is_vllm=is_vllm, folds_seeds=not is_vllm)
        length = facts.find(endpoint.model).get("max_model_len")
        self._info = replace(
            self._info,
            name=endpoint.model,
            fingerprint=self._fingerprint(facts),
            context_tokens=self._info.context_tokens
            or (length if isinstance(length, int) and length > 0 else None),
        )

    def _fingerprint(self, facts: ServerFacts) -> str:
        if self._others:
            return facts.shared_fingerprint([self.base_url, *self._others], self.model)
        return facts.fingerprint(self.base_url, self.model)

    async def _run(
        self, request: GenerationRequest, stream: Stream, drawn: list[RemoteRequest]
    ) -> None:
        """Draw all samples of a request; a failure that concerns all of them fails the stream."""
        try:
            await self.start()
            check_prompt(request.prompt, self._endpoint.dialect, self.model)
            remote = RemoteRequest(
                self._endpoint,
                self._connection(),
                await self._within_context(await self._in_own_marks(request)),
                stream,
                max_n=self._max_n,
                max_retries=self._max_retries,
                price=self._info.price,
                has_others=bool(self._others),
            )
            drawn.append(remote)
            await remote.run()
        except* Exception as errors:
            error = as_error(innermost(errors), f"{self.base_url} sent what we cannot read")
            stream.fail(error, drawn[0].lost() if drawn else Usage())

    async def _in_own_marks(self, request: GenerationRequest) -> GenerationRequest:
        """Return a request whose thought is written as vLLM's server would write it."""
        if not self._endpoint.dialect.is_vllm:
            return request
        try:
            return await self._template.prepare(request, self._post, self._connection().rendering)
        except Fault as fault:
            raise self._endpoint.error(fault) from None

    async def _within_context(self, request: GenerationRequest) -> GenerationRequest:
        """Return a request that leaves `keep_free` tokens, where the server counts its prompt.

        Without it the server itself ends a completion where the context does.

        Raises:
            ContextError: There is no room.
        """
        context_tokens = self._info.context_tokens
        is_vllm = self._endpoint.dialect.is_vllm
        if not request.keep_free or not is_vllm or context_tokens is None:
            return request
        sampling = request.sampling
        count = await self.count_prompt(request.prompt, sampling)
        room = check_context(count, context_tokens, request.keep_free)
        capped = replace(sampling, max_tokens=min(sampling.max_tokens, room))
        return replace(request, sampling=capped)


async def _stop(owner: asyncio.Task[None], drawn: Sequence[RemoteRequest]) -> Usage:
    """Close the calls of a request, and return what they had cost."""
    owner.cancel()
    await asyncio.wait([owner])
    return drawn[0].lost() if drawn else Usage()


def _rendered(prompt: Prompt, sampling: Sampling) -> dict[str, Any]:
    """Return a prompt as vLLM's `/tokenize` takes it."""
    given = {
        "chat_template_kwargs": dict(sampling.chat_template_kwargs),
        "tools": sampling.extra_body.get("tools"),
    }
    return {**to_text(prompt), **{name: value for name, value in given.items() if value}}


def _check(**options: float | None) -> None:
    for name, value in options.items():
        if value is not None and not (0 < value < math.inf):
            raise InputError(f"{name} is {value}; it must be a number above 0")


def _price(price_in: float | None, price_out: float | None) -> Price | None:
    if price_in is None and price_out is None:
        return None
    if price_in is None or price_out is None:
        raise InputError("give both price_in and price_out, in dollars per million tokens")
    if not (0 <= price_in < math.inf and 0 <= price_out < math.inf):
        raise InputError("price_in and price_out must be 0 or more dollars per million tokens")
    return Price(prompt=price_in, generated=price_out)
