"""The running requests of an embedded engine; used only in the thread that steps it.

`tokens_in_flight` alone may be asked from anywhere.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import import_module
from itertools import count
from typing import Any, Protocol

from tts.engine import build
from tts.engine.certainty import CERTAINTY_KEY, Readings
from tts.engine.translate import SEED_KEY, Finished, Meter, with_extra
from tts.errors import RefusedError, TTSError
from tts.types import StateSpec, Usage, Watch, sum_usage


class Reader(Protocol):
    """Who waits for a request; its methods run in its own event loop."""

    loop: asyncio.AbstractEventLoop

    def put(self, item: Finished) -> None:
        """Take one finished sequence."""
        ...

    def fail(self, error: TTSError, lost: Usage) -> None:
        """Learn that nothing more will come, and what the unfinished sequences had cost."""
        ...


@dataclass(slots=True)
class _Entry:
    reader: Reader
    token_ids: tuple[int, ...]
    started: float
    running: dict[int, str] = field(default_factory=dict)
    readings: dict[int, Readings] = field(default_factory=dict)
    watch: Watch | None = None


class RequestTable:
    """Adds, aborts and counts the requests of one vLLM engine."""

    def __init__(self) -> None:
        self.engine: Any = None
        self.meter: Meter | None = None
        self.states: Any = None  # a StateReader, once states were asked for
        self._has_sampler = False
        self._entries: dict[str, _Entry] = {}
        self._id_by_reader: dict[int, str] = {}
        self._ids = count()

    def attach(self, engine: Any, meter: Meter) -> None:
        """Serve this vLLM engine, and count with its meter."""
        self.engine = engine
        self.meter = meter
        self._has_sampler = build.has_own_sampler(engine)

    def add(
        self,
        reader: Reader,
        token_ids: tuple[int, ...],
        params: Any,
        *,
        n: int = 1,
        seed: int | None = None,
        priority: int = 0,
        certainties: bool = False,
        states: StateSpec | None = None,
        watch: Watch | None = None,
    ) -> None:
        """Start `n` sequences of one prompt; sequence i draws with `seed + i`.

        This is vLLM's own fan-out of n, less its parent: each sequence is reported as it
        finishes and can be aborted alone. `watch` is told, in the reader's loop, how they grow.

        Raises:
            RefusedError: vLLM refuses the request.
            CapabilityError: It has no such hidden states.
        """
        follow = None if states is None else partial(self._reader(states).follow, spec=states)
        self._start(reader, token_ids, params, n, seed, priority, certainties, follow, watch)

    def read(
        self,
        reader: Reader,
        before: tuple[int, ...],
        token_ids: tuple[int, ...],
        params: Any,
        spec: StateSpec,
    ) -> None:
        """Have a text read, all but its last token, for its hidden states.

        Args:
            reader: Gets it as one finished sequence.
            before: What stands before the text.
            token_ids: The text.
            params: vLLM's.
            spec: Which states.

        Raises:
            RefusedError: vLLM refuses the request.
            CapabilityError: It has no such hidden states.
        """
        states = self._reader(spec)
        places = states.places(token_ids, spec)
        follow = partial(states.read, spec=spec, places=places, start=len(before))
        whole = (*before, *token_ids[:-1])
        self._start(reader, whole, params, follow=follow, salt=states.salt(spec))

    def _reader(self, spec: StateSpec) -> Any:
        """Return what reads states within the engine's steps, made when they are first wanted."""
        if self.states is None:
            self.states = import_module("tts.engine.states").install(self.engine)
        self.states.check(spec)
        return self.states

    def _start(
        self,
        reader: Reader,
        token_ids: tuple[int, ...],
        params: Any,
        n: int = 1,
        seed: int | None = None,
        priority: int = 0,
        certainties: bool = False,
        follow: Callable[[str], None] | None = None,
        watch: Watch | None = None,
        salt: str | None = None,
    ) -> None:
        """Start sequences; `follow` is called with the name of each before.

        Cached blocks are shared among sequences of the same salt.
        """
        engine = self.engine
        tokens_input = import_module("vllm.inputs.engine").tokens_input
        request_id = f"r{next(self._ids)}"
        try:
            request = engine.input_processor.process_inputs(
                request_id,
                tokens_input(list(token_ids), cache_salt=salt),
                params,
                supported_tasks=engine.get_supported_tasks(),
                priority=priority,
            )
        except Exception as error:  # vLLM's own kinds are no ValueErrors
            raise RefusedError(f"vLLM refuses the request: {error}") from error
        request.external_req_id = request_id
        entry = _Entry(reader, token_ids, time.perf_counter(), watch=watch)
        if certainties:
            entry.readings = {index: Readings() for index in range(n)}
        self._entries[request_id] = entry
        self._id_by_reader[id(reader)] = request_id
        try:
            self._fan_out(request, entry, n, seed, follow)
        except Exception as error:
            self.abort(reader)
            raise RefusedError(f"vLLM refuses the request: {error}") from error

    def _fan_out(
        self,
        request: Any,
        entry: _Entry,
        n: int,
        seed: int | None,
        follow: Callable[[str], None] | None,
    ) -> None:
        engine = self.engine
        for index in range(n):
            child = copy(request)
            child.request_id = f"{request.external_req_id}-{index:05d}"
            if seed is not None:
                child.sampling_params = self._seeded(child.sampling_params, seed + index)
            if entry.readings:  # filled in place: the engine runs in this process
                readings = entry.readings[index]
                child.sampling_params = with_extra(child.sampling_params, CERTAINTY_KEY, readings)
            if follow is not None:
                follow(child.request_id)
            engine.output_processor.add_request(child, None, None, index)
            engine.engine_core.add_request(child)
            entry.running[index] = child.request_id

    def _seeded(self, params: Any, seed: int) -> Any:
        if self._has_sampler:
            return with_extra(params, SEED_KEY, seed)
        params = copy(params)
        params.seed = seed
        return params

    def tokens_in_flight(self) -> int:
        """Return the tokens that unfinished sequences have so far."""
        if self.engine is None:
            return 0
        requests = self.engine.engine_core.engine_core.scheduler.requests
        # One call takes the list: the engine's thread cannot change the table within it.
        return sum(request.num_output_tokens for request in list(requests.values()))

    def deliver(self, outputs: list[Any]) -> None:
        """Hand finished sequences to their readers: one wake-up per event loop and engine step.

        Those that are watched come after every step, as far as they are.
        """
        now = time.perf_counter()
        batches: dict[asyncio.AbstractEventLoop, list[Callable[[], None]]] = {}
        for output in outputs:
            entry = self._entries.get(output.request_id)
            if entry is None:
                continue
            drawn = output.outputs[0] if isinstance(output.outputs, list) else None
            index = 0 if drawn is None else drawn.index
            batch = batches.setdefault(entry.reader.loop, [])
            if not output.finished:
                if entry.watch is not None and drawn is not None:
                    batch.append(partial(entry.watch, index, drawn.text))
                continue
            name = entry.running.pop(index)
            if not entry.running:
                self._forget(output.request_id)
            readings = entry.readings.get(index)
            states = self.states and self.states.take(name, drawn.token_ids if drawn else ())
            finished = Finished(output, entry.token_ids, now - entry.started, readings, states)
            batch.append(partial(entry.reader.put, finished))
        for loop, batch in batches.items():
            try:
                loop.call_soon_threadsafe(_do_all, batch)
            except RuntimeError:
                self._abandon(loop)

    def abort(self, reader: Reader) -> Usage:
        """Stop what the reader still waits for and return what that had cost so far."""
        request_id = self._id_by_reader.get(id(reader))
        if request_id is None:
            return Usage()
        entry = self._entries[request_id]
        spent = self._spent(entry)
        self.engine.abort_request(list(entry.running.values()), internal=True)
        for name in entry.running.values() if self.states else ():
            self.states.drop(name)
        self._forget(request_id)
        return spent

    def bury(self, error: TTSError) -> None:
        """Tell every reader that the engine is dead; what they had used stays on record."""
        for request_id, entry in list(self._entries.items()):
            lost = self._spent(entry)
            self._forget(request_id)
            own = type(error)(str(error))
            own.__cause__ = error
            with suppress(RuntimeError):  # its event loop is closed: nobody waits
                entry.reader.loop.call_soon_threadsafe(entry.reader.fail, own, lost)

    def state_bytes(self) -> int:
        """Return the memory of hidden states that are kept now."""
        return self.states.num_bytes if self.states else 0

    def _spent(self, entry: _Entry) -> Usage:
        seconds = time.perf_counter() - entry.started
        return sum_usage(
            [self._spent_by(entry, child, seconds) for child in entry.running.values()]
        )

    def _spent_by(self, entry: _Entry, child: str, seconds: float) -> Usage:
        """Count a sequence that still runs: a prompt that waited in the queue cost nothing."""
        state = self.engine.output_processor.request_states.get(child)
        if state is None:  # lost in the step that killed the engine
            return replace(Usage.unknown(), seconds=seconds)
        request = self.engine.engine_core.engine_core.scheduler.requests.get(child)
        generated = state.detokenizer.num_output_tokens() if state.detokenizer else 0
        computed = request.num_computed_tokens if request is not None else 0
        prompt = len(entry.token_ids) if generated else min(computed, len(entry.token_ids))
        assert self.meter is not None
        return self.meter.usage(
            prompt,
            cached=min(state.num_cached_tokens, prompt),
            generated=generated,
            seconds=seconds,
        )

    def _forget(self, request_id: str) -> None:
        entry = self._entries.pop(request_id)
        del self._id_by_reader[id(entry.reader)]

    def _abandon(self, loop: asyncio.AbstractEventLoop) -> None:
        """Stop generating for an event loop that was closed with requests under way."""
        for entry in list(self._entries.values()):
            if entry.reader.loop is loop:
                self.abort(entry.reader)


def _do_all(batch: list[Callable[[], None]]) -> None:
    for act in batch:
        act()
