"""One request on its way through ledger, log, engine and trace."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Self

from tts.errors import EngineError, StoreError, TTSError
from tts.protocols import Engine, Watcher, prompt_token_bound, request_parts
from tts.runtime.fact_log import FactLog
from tts.runtime.ledger import Grant, Ledger
from tts.runtime.log import ProblemLog, Recorded, Sent, prompt_values, reporting_more, request_key
from tts.runtime.parts import Parts
from tts.runtime.replay import Clock
from tts.types import Completion, GenerationRequest, Usage, abreast

_DECISION_SECONDS = 1.0  # for a reader to close a replayed stream, as it had in the recorded run


@dataclass(frozen=True, slots=True)
class Services:
    """What every request of one problem shares.

    Attributes:
        engine: Where completions come from.
        ledger: What may still be spent.
        log: What was generated before.
        clock: The problem's time.
        facts: What happened.
        on_progress: Called when a completion or an abort has freed KV blocks, or a request begun.
        priority: Of the problem's requests.
        watcher: Reads along; None for nobody.
    """

    engine: Engine
    ledger: Ledger
    log: ProblemLog
    clock: Clock
    facts: FactLog
    on_progress: Callable[[], None]
    priority: int = 0
    watcher: Watcher | None = None


@dataclass(slots=True)
class _Begun:
    """A request from its first reading on.

    Attributes:
        request: As the budget allows it.
        grant: Its reservation.
        prompt_tokens: That it has at most.
        key: Of its completions in the log.
        recorded: Completions in the log that were not read yet.
        missing: Indices of those that are not there.
        open_at: When they were asked for, where they were in flight at a kill.
        live: What the engine was asked for and may still send; None before it is asked.
        number: Of the problem's requests to engines, in order.
        is_counted: Whether the clock knows that the engine works.
    """

    request: GenerationRequest
    grant: Grant
    prompt_tokens: int
    key: str
    recorded: list[Recorded]
    missing: list[int]
    open_at: float | None
    live: Parts | None = None
    number: int = 0
    is_counted: bool = False


class RequestStream:
    """The completions of one request: first the recorded ones, then the engine's.

    Nothing is reserved, looked up or asked for before the first completion is wanted. Recorded
    completions come in their recorded order and are charged what they had cost, so that a resumed
    run takes the same decisions. The engine is asked only for what is missing: what was in flight
    at a kill when it had been asked for then, other things once the reader wants more than was
    recorded.

    Args:
        services: Of the problem.
        request: What is asked for.
        node: Who asks.
        running: Holds the stream from its first reading until it is closed.
        is_check: What it generates judges trajectories, and is none.
    """

    def __init__(
        self,
        services: Services,
        request: GenerationRequest,
        node: str,
        running: set["RequestStream"],
        *,
        is_check: bool = False,
    ) -> None:
        self._services = services
        self._asked = _counting_all(request) if services.ledger.limits_prompts else request
        self._node = node
        self._running = running
        self._is_check = is_check
        self._begun: _Begun | None = None
        self._closing: asyncio.Future[Usage] | None = None
        self._closed = asyncio.Event()
        self._waiter: asyncio.Future[None] | None = None
        self._is_abandoned = False

    def __aiter__(self) -> Self:
        """Return the stream itself."""
        return self

    async def __anext__(self) -> Completion:
        """Return the next completion, already charged and logged."""
        if self._closing is not None:
            raise StopAsyncIteration
        if self._begun is None:
            prompt_tokens = await self._count_prompt()
            if self._closing is not None:
                raise StopAsyncIteration
            self._begun = self._begin(prompt_tokens)
            self._services.on_progress()  # what it reserves is known
        begun, clock = self._begun, self._services.clock
        if begun.open_at is not None and begun.live is None:
            await self._until(clock.open(begun.open_at))
            begun.live = self._ask(begun)
        if begun.recorded:
            found = begun.recorded[0]
            await self._until(clock.recorded(found.at, (found.place,)))
            begun.recorded.pop(0)
            self._services.log.adopt(begun.key, found, node=self._node, at=clock.now)
            index = found.seed - begun.request.seed
            return self._settle(begun, replace(found.completion, index=index))
        if begun.live is None:
            await self._let_reader_decide(begun)
            begun.live = self._ask(begun)
        try:
            completion = await begun.live.next()
        except EngineError:
            self.abandon()
            raise
        finally:
            self._count_live(begun)
        log, seed, node = self._services.log, begun.request.seed + completion.index, self._node
        if completion.finish_reason == "error":
            self._services.facts.call_failed(is_unanswered=completion.is_unanswered)
            log.record_failed(begun.key, seed, completion, node=node, at=clock.now)
        else:
            log.record(begun.key, seed, completion, node=node, at=clock.now)
        completion = self._settle(begun, completion)
        await self._until(clock.came((begun.number, completion.index)))
        return completion

    async def aclose(self) -> Usage:
        """Abort what still runs; its cost goes to the ledger and is returned. Idempotent.

        A caller that is cancelled meanwhile goes only when the ledger knows.
        """
        if self._closing is None:
            self._running.discard(self)
            self._closing = self._close()
            self._closing.add_done_callback(_see)
            self._closed.set()
            if self._waiter is not None and not self._waiter.done():
                self._waiter.set_result(None)
        try:
            return await asyncio.shield(self._closing)
        except asyncio.CancelledError:
            await asyncio.wait([self._closing])
            raise

    def abandon(self) -> None:
        """Say that the run, its time or its engine ends here: what is closed is no decision.

        The log does not keep it, so that a resumed run asks for what is missing.
        """
        self._is_abandoned = True

    async def _count_prompt(self) -> int:
        """Return how many tokens the prompt has at most: exactly, where what it costs is limited.

        What a team is given before it draws counts as well. A prompt that the engine cannot render
        is not counted: its request will say why.
        """
        services, asked = self._services, self._asked
        if services.ledger.limits_prompts:
            with suppress(TTSError):
                engine, words = services.engine, asked.team.put_first if asked.team else ()
                given = [len(await engine.tokenize(text)) for text in words]
                return await engine.count_prompt(asked.prompt, asked.sampling) + sum(given)
        return prompt_token_bound(asked.prompt)

    def _begin(self, prompt_tokens: int) -> _Begun:
        """Reserve what the budget allows and look up what was generated before."""
        services, asked = self._services, self._asked
        before = self._sent_before()
        grant, n = self._reserve(prompt_tokens) if before is None else self._renew(before)
        sampling, granted = asked.sampling, max(1, grant.max_tokens)
        if granted != sampling.max_tokens:
            sampling = replace(sampling, max_tokens=granted)
        request = replace(asked, sampling=sampling, n=n, priority=services.priority)
        key = request_key(services.engine.info.fingerprint, request)
        recorded = self._find(key, request)
        unknown = sorted(set(_seeds(request)) - {one.seed for one in recorded})
        missing = [seed - request.seed for seed in unknown]
        del missing[grant.n - len(recorded) :]
        self._running.add(self)
        services.facts.requested(
            self._node,
            asked=asked.n,
            granted=grant.n,
            max_tokens=grant.max_tokens,
            recorded=len(recorded),
        )
        open_at = services.log.find_open(key, unknown)
        return _Begun(request, grant, prompt_tokens, key, recorded, missing, open_at)

    def _find(self, key: str, request: GenerationRequest) -> list[Recorded]:
        """Return what is recorded of a request, also where it had been asked to report more."""
        services = self._services
        found = services.log.find(key, _seeds(request))
        for sampling in reporting_more(request.sampling):
            missing = set(_seeds(request)) - {one.seed for one in found}
            if not services.log.has_any(missing):  # a key takes long to make
                break
            richer = replace(request, sampling=sampling)
            key = request_key(services.engine.info.fingerprint, richer)
            found = sorted(found + services.log.find(key, missing), key=lambda one: one.place)
        return found

    def _sent_before(self) -> Sent | None:
        """Return what the same request was granted in an earlier session, under the same limits.

        What is left of a budget differs from session to session. What was granted does not, and so
        the recorded completions are found.
        """
        services, asked = self._services, self._asked
        if not (limits := services.ledger.limits):
            return None
        key = request_key(services.engine.info.fingerprint, asked)
        sent = services.log.find_sent(key, asked.seed)
        return sent if sent is not None and (sent.asked, sent.limits) == (asked.n, limits) else None

    def _reserve(self, prompt_tokens: int) -> tuple[Grant, int]:
        """Return leave for what is asked for, and for how many."""
        services, asked = self._services, self._asked
        grant = services.ledger.reserve(
            services.engine.info,
            n=asked.n,
            max_tokens=asked.sampling.max_tokens,
            prompt_tokens=prompt_tokens,
            abreast=abreast(asked.team),
        )
        return grant, grant.n

    def _renew(self, sent: Sent) -> tuple[Grant, int]:
        """Return leave for what was sent before, and how many there were then."""
        services, asked = self._services, self._asked
        info = services.engine.info
        sampling = replace(asked.sampling, max_tokens=sent.max_tokens)
        request = replace(asked, sampling=sampling, n=sent.n)
        key = request_key(info.fingerprint, request)
        recorded = self._find(key, request)
        grant = services.ledger.renew(
            info,
            n=sent.n,
            recorded=len(recorded),
            max_tokens=sent.max_tokens,
            prompt_tokens=sent.prompt_tokens,
            abreast=abreast(asked.team),
        )
        return grant, sent.n

    async def _let_reader_decide(self, begun: _Begun) -> None:
        """Wait until the reader closes, where it had closed at this point of the recorded run.

        A replay arrives at once, so that without this the engine would be asked for samples that
        the recorded ones had made superfluous. A reader that decides otherwise this time, as one of
        another pipeline may, gets what is missing after a while.
        """
        decided = self._services.log.find_aborted(begun.key, begun.request.seed)
        if decided is None:
            return
        await self._until(self._services.clock.recorded(decided[1]))
        with suppress(TimeoutError):
            async with asyncio.timeout(_DECISION_SECONDS):
                await self._closed.wait()
        if self._closing is not None:
            raise StopAsyncIteration

    async def _until(self, moment: asyncio.Future[None] | None) -> None:
        """Wait for a moment of the recorded run.

        Raises:
            StopAsyncIteration: The stream was closed meanwhile.
        """
        if moment is None:
            return
        self._waiter = moment
        await moment
        if self._closing is not None:
            raise StopAsyncIteration

    def _ask(self, begun: _Begun) -> Parts:
        """Ask the engine for what is missing, one request per run of neighbouring seeds."""
        request, engine = begun.request, self._services.engine
        if begun.missing:
            self._note_sent(begun)
            begun.is_counted = True
            begun.number = self._services.clock.live(1)
        if 0 < request.n == len(begun.missing):
            return Parts({0: engine.generate(request)})
        parts = request_parts(request, begun.missing)
        return Parts({first: engine.generate(part) for first, part in parts.items()})

    def _count_live(self, begun: _Begun) -> None:
        """Tell the clock, once, that the engine has nothing left to do for this request."""
        if begun.is_counted and (not begun.live or self._closing is not None):
            begun.is_counted = False
            self._services.clock.live(-1)

    def _note_sent(self, begun: _Begun) -> None:
        """Write down what is about to be sent, for the session that follows a kill."""
        services, asked, request = self._services, self._asked, begun.request
        limits = services.ledger.limits
        sent = Sent(
            seeds=tuple(request.seed + index for index in begun.missing),
            n=request.n,
            max_tokens=begun.grant.max_tokens,
            prompt_tokens=begun.prompt_tokens,
            asked_key=request_key(services.engine.info.fingerprint, asked) if limits else "",
            asked=asked.n,
            limits=limits,
            prompt=prompt_values(request.prompt),
        )
        at = services.clock.now if begun.open_at is None else begun.open_at
        services.log.record_sent(begun.key, request.seed, sent, node=self._node, at=at)

    def _settle(self, begun: _Begun, completion: Completion) -> Completion:
        """Charge a completion; returns it with its cost."""
        services, usage = self._services, completion.usage
        priced = services.ledger.settle(begun.grant, services.engine.info, self._marked(usage))
        services.facts.completed(
            self._node,
            seed=begun.request.seed + completion.index,
            index=completion.index,
            tokens=usage.generated_tokens,
            cached=usage.cached_tokens,
            finish_reason=completion.finish_reason,
            reused=usage.reused_tokens > 0,
        )
        services.on_progress()
        if services.watcher is not None:
            services.watcher.spent(priced)
        return completion if priced is usage else replace(completion, usage=priced)

    def _close(self) -> asyncio.Future[Usage]:
        """Return what is aborted: at once, unless the engine has to be asked."""
        loop, begun = asyncio.get_running_loop(), self._begun
        if begun is not None and begun.live:
            return loop.create_task(self._abort(begun, begun.live))
        closed: asyncio.Future[Usage] = loop.create_future()
        closed.set_result(Usage() if begun is None else self._give_back(begun, Usage()))
        return closed

    async def _abort(self, begun: _Begun, live: Parts) -> Usage:
        return self._give_back(begun, await live.aclose())

    def _give_back(self, begun: _Begun, aborted: Usage) -> Usage:
        """Free what is still reserved and charge what was aborted, now or in the recorded run."""
        services, key, seed = self._services, begun.key, begun.request.seed
        self._count_live(begun)
        if begun.live is None and (past := services.log.find_aborted(key, seed)) is not None:
            aborted = replace(past[0], reused_tokens=past[0].generated_tokens or 0)
        elif aborted.calls and not self._is_abandoned:
            at = services.clock.now
            services.log.record_aborted(key, seed, aborted, node=self._node, at=at)
        elif begun.live is not None and self._is_abandoned:
            self._note_lost(begun, aborted)
        if aborted.calls:
            info, marked = services.engine.info, self._marked(aborted)
            tokens = services.ledger.abandon(begun.grant, info, marked).generated_tokens
            services.facts.aborted(self._node, calls=aborted.calls, tokens=tokens)
        else:
            services.ledger.release(begun.grant)
        services.on_progress()
        return aborted

    def _note_lost(self, begun: _Begun, usage: Usage) -> None:
        # A run whose log cannot be written ends for that reason, which is said elsewhere.
        services, key, seed = self._services, begun.key, begun.request.seed
        with suppress(StoreError):
            services.log.record_lost(key, seed, usage, node=self._node, at=services.clock.now)

    def _marked(self, usage: Usage) -> Usage:
        """Return what a verifier spent as such."""
        return replace(usage, checking_tokens=usage.generated_tokens) if self._is_check else usage


def _see(closed: asyncio.Future[Usage]) -> None:
    """Take note of why closing failed, which nobody may wait for: the run ends, and says so."""
    if not closed.cancelled():
        closed.exception()


def _counting_all(request: GenerationRequest) -> GenerationRequest:
    """Return a request whose limit on tokens holds for all that its teams read, words included."""
    if request.team is None:
        return request
    return replace(request, team=replace(request.team, counts_put=True))


def _seeds(request: GenerationRequest) -> range:
    return range(request.seed, request.seed + request.n)
