"""One request on its way through ledger, log, engine and trace."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

from tts.protocols import CompletionStream, Engine
from tts.runtime.kv_market import Market
from tts.runtime.ledger import Grant, Ledger
from tts.runtime.log import GenerationLog, request_key
from tts.runtime.trace import Trace
from tts.types import Completion, GenerationRequest, Prompt, Usage, sum_usage

_REPLAY_PAUSES_SECONDS = (0.0,) * 20 + (0.02,)


@dataclass(frozen=True, slots=True)
class Services:
    """What every request of one problem shares.

    Attributes:
        engine: Where completions come from.
        ledger: What may still be spent.
        log: What was generated before.
        trace: What happened.
        on_progress: Called when a completion or an abort has freed KV blocks.
        kv_markets: Where searches meet, by the name of their engine; empty for the run's own.
        priority: Of the problem's requests.
    """

    engine: Engine
    ledger: Ledger
    log: GenerationLog
    trace: Trace
    on_progress: Callable[[], None]
    kv_markets: Mapping[str, Market]
    priority: int = 0


class RequestStream:
    """The completions of one request: first the recorded ones, then the engine's.

    Recorded completions come in their recorded order and are charged what they had cost, so that a
    resumed run takes the same decisions; the engine is asked only for what is missing, once the
    reader wants more than was recorded.
    """

    def __init__(
        self,
        services: Services,
        request: GenerationRequest,
        node: str,
        on_close: Callable[["RequestStream"], None] = lambda _: None,
        *,
        is_check: bool = False,
    ) -> None:
        self._services = services
        self._on_close = on_close
        self._is_check = is_check
        self._node = node
        info = services.engine.info
        self._grant: Grant = services.ledger.reserve(
            info,
            n=request.n,
            max_tokens=request.sampling.max_tokens,
            prompt_tokens=prompt_token_bound(request.prompt),
        )
        sampling, limit = request.sampling, max(1, self._grant.max_tokens)
        if limit != sampling.max_tokens:
            sampling = replace(sampling, max_tokens=limit)
        self._request = replace(
            request, sampling=sampling, n=self._grant.n, priority=services.priority
        )
        self._key = request_key(info.fingerprint, self._request)
        seeds = range(request.seed, request.seed + self._grant.n)
        self._recorded = services.log.find(self._key, iter(seeds))
        known = {seed for seed, _ in self._recorded}
        self._missing = [seed - request.seed for seed in seeds if seed not in known]
        self._live: list[tuple[int, CompletionStream]] | None = None
        self._closing: asyncio.Future[Usage] | None = None
        services.trace.emit(
            "request",
            node,
            asked=request.n,
            granted=self._grant.n,
            max_tokens=self._grant.max_tokens,
            recorded=len(self._recorded),
        )

    def __aiter__(self) -> Self:
        """Return the stream itself."""
        return self

    async def __anext__(self) -> Completion:
        """Return the next completion, already charged and logged."""
        if self._closing is not None:
            raise StopAsyncIteration
        if self._recorded:
            seed, completion = self._recorded.pop(0)
            return self._settle(replace(completion, index=seed - self._request.seed))
        if self._live is None:
            await self._let_readers_decide()
            if self._closing is not None:
                raise StopAsyncIteration
            self._live = self._start()
        while self._live:
            offset, stream = self._live[0]
            try:
                completion = await anext(stream)
            except StopAsyncIteration:
                self._live.pop(0)
                continue
            if offset:
                completion = replace(completion, index=completion.index + offset)
            if completion.finish_reason != "error":
                self._services.log.record(
                    self._key, self._request.seed + completion.index, completion
                )
            return self._settle(completion)
        raise StopAsyncIteration

    async def aclose(self) -> Usage:
        """Abort what still runs; its cost goes to the ledger and is returned. Idempotent.

        A caller that is cancelled meanwhile goes only when the ledger knows.
        """
        if self._closing is None:
            self._on_close(self)
            self._closing = self._close()
        try:
            return await asyncio.shield(self._closing)
        except asyncio.CancelledError:
            await asyncio.wait([self._closing])
            raise

    def _close(self) -> asyncio.Future[Usage]:
        """Return what is aborted: at once, unless the engine has to be asked."""
        loop = asyncio.get_running_loop()
        if self._live:
            return loop.create_task(self._abort(tuple(self._live)))
        closed: asyncio.Future[Usage] = loop.create_future()
        closed.set_result(self._account(Usage()))
        return closed

    async def _abort(self, live: Sequence[tuple[int, CompletionStream]]) -> Usage:
        return self._account(sum_usage([await stream.aclose() for _, stream in live]))

    def _account(self, aborted: Usage) -> Usage:
        """Settle what is still reserved, with what was aborted now or in the recorded run."""
        services, seed = self._services, self._request.seed
        if self._live is None and (past := services.log.find_aborted(self._key, seed)):
            aborted = replace(past, reused_tokens=past.generated_tokens or 0)
        elif aborted.calls:
            services.log.record_aborted(self._key, seed, aborted)
        services.ledger.release(self._grant)
        if aborted.calls:
            services.ledger.record(services.engine.info, self._marked(aborted))
            tokens = aborted.generated_tokens
            services.trace.emit("abort", self._node, calls=aborted.calls, tokens=tokens)
        services.on_progress()
        return aborted

    async def _let_readers_decide(self) -> None:
        """Give the readers of replayed completions time to stop, where they had stopped before.

        A replay arrives at once, so that without a pause the engine would be asked for samples
        that the recorded ones had made superfluous. Too short a pause costs tokens, no more.
        """
        if self._services.log.find_aborted(self._key, self._request.seed) is not None:
            for pause in _REPLAY_PAUSES_SECONDS:
                await asyncio.sleep(pause)

    def _start(self) -> list[tuple[int, CompletionStream]]:
        """Ask the engine for what is missing, one request per run of neighbouring seeds."""
        if 0 < self._request.n == len(self._missing):
            return [(0, self._services.engine.generate(self._request))]
        return [
            (
                run[0],
                self._services.engine.generate(
                    replace(
                        self._request,
                        n=len(run),
                        seed=self._request.seed + run[0],
                        start=self._request.start + run[0],
                    )
                ),
            )
            for run in _neighbouring(self._missing)
        ]

    def _marked(self, usage: Usage) -> Usage:
        """Return what a verifier spent as such."""
        return replace(usage, checking_tokens=usage.generated_tokens) if self._is_check else usage

    def _settle(self, completion: Completion) -> Completion:
        services = self._services
        usage = self._marked(completion.usage)
        priced = services.ledger.settle(self._grant, services.engine.info, usage)
        services.trace.emit(
            "completion",
            self._node,
            index=completion.index,
            tokens=completion.usage.generated_tokens,
            cached=completion.usage.cached_tokens,
            finish_reason=completion.finish_reason,
            reused=completion.usage.reused_tokens > 0,
        )
        services.on_progress()
        return completion if priced is completion.usage else replace(completion, usage=priced)


def prompt_token_bound(prompt: Prompt) -> int:
    """Return a number of tokens that the prompt does not exceed.

    Exact for token ids; otherwise one token per byte, plus the template's for each message.
    """
    if prompt.token_ids:
        return len(prompt.token_ids)
    template_tokens = 16
    texts = [prompt.text, prompt.prefill, *(message.content for message in prompt.messages)]
    return sum(len(text.encode("utf-8", "replace")) for text in texts) + template_tokens * len(
        prompt.messages
    )


def _neighbouring(indices: Sequence[int]) -> list[list[int]]:
    runs: list[list[int]] = []
    for index in indices:
        if runs and runs[-1][-1] + 1 == index:
            runs[-1].append(index)
        else:
            runs.append([index])
    return runs
