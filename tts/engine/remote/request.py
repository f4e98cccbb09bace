"""One request on its way through a server: calls, retries, samples, costs."""

import asyncio
import string
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from tts.buffered_stream import BufferedStream
from tts.engine.remote.bill import Bill
from tts.engine.remote.dialect import Dialect, refuses_logprobs, refuses_tools
from tts.engine.remote.endpoint import Endpoint
from tts.engine.remote.faults import UNANSWERED, Fault, Kind
from tts.engine.remote.http import Transport
from tts.engine.remote.pace import Pace, Turn, backoff
from tts.engine.remote.reading import Reading, Sample
from tts.engine.remote.wire import Call, estimate_request, to_call
from tts.errors import CapabilityError, TTSError
from tts.types import Completion, GenerationRequest, Price, Usage, sum_usage

Stream = BufferedStream[Completion, Completion]
_RETRIES: dict[Kind, int] = {"broken": 3, "odd": 2, "silent": 1, "unreachable": 2}
_FIRST_RETRIES = 2  # of anything, as long as the endpoint has never answered
_LONGEST_WAIT_SECONDS = 600.0
_TOLD_SECONDS = 4.0  # a pause so long is told to whoever watches
_UNSETTLED = f"{string.whitespace}\ufffd"  # may be cut off, or be half of a character
_LEAST_BYTES = 2**24  # of an answer, whatever was asked
_BYTES_PER_TOKEN = 2**13  # with the names of twenty candidates


@dataclass(frozen=True, slots=True)
class Connection:
    """What belongs to one event loop."""

    transport: Transport
    pace: Pace
    starting: asyncio.Lock = field(default_factory=asyncio.Lock)
    rendering: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(slots=True)
class _Attempt:
    """A call that is under way."""

    call: Call
    reading: Reading
    bill: Bill
    handed_on: set[int] = field(default_factory=set)
    is_taken: bool = False


class RemoteRequest:
    """Draws the samples of one request, and hands each to a stream as it finishes.

    Args:
        endpoint: Which is asked.
        connection: Of this event loop.
        request: What is asked.
        stream: Where samples go.
        max_n: Most samples per call.
        max_retries: Of one call, and pauses in a row of all of them.
        price: Of the model.
        has_others: Other servers of the model take what this one leaves.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        connection: Connection,
        request: GenerationRequest,
        stream: Stream,
        *,
        max_n: int | None,
        max_retries: int,
        price: Price | None,
        has_others: bool = False,
    ) -> None:
        self._endpoint = endpoint
        self._connection = connection
        self._request = request
        self._stream = stream
        self._max_n = max_n
        self._max_retries = max_retries
        self._price = price
        self._has_others = has_others
        self._prompt_guess = estimate_request(request)
        self._under_way: list[_Attempt] = []
        self._owed = Usage()  # by attempts that failed; the next completion carries it
        self._verdict: TTSError | None = None

    async def run(self) -> None:
        """Draw all samples: each becomes a completion, if need be one with an error.

        Raises:
            ExceptionGroup: Of an error that concerns the whole request.
        """
        n, size = self._request.n, self._call_size()
        async with asyncio.TaskGroup() as group:
            for first in range(0, n, size):
                wanted = range(first, min(n, first + size))
                group.create_task(self._draw(group, wanted))

    def tokens_in_flight(self) -> int:
        """Return the tokens that have come of samples which are not handed on yet."""
        return sum(
            sample.about_tokens
            for attempt in self._under_way
            for place, sample in list(attempt.reading.samples.items())
            if place not in attempt.handed_on
        )

    def lost(self) -> Usage:
        """Return what was spent for samples that were not handed on; it is told once."""
        lost = sum_usage([self._owed, *(a.bill.rest(is_cut=True) for a in self._under_way)])
        self._under_way, self._owed = [], Usage()
        return lost

    def _call_size(self) -> int:
        if self._request.sampling.temperature == 0:
            return 1  # vLLM takes no more of them, and they would be equal
        return min(self._endpoint.dialect.max_n, self._max_n or self._endpoint.dialect.max_n)

    async def _draw(self, group: asyncio.TaskGroup, wanted: range) -> None:
        """Draw samples with one call; those that it does not bring are asked for one by one."""
        try:
            missing = await self._ask(wanted)
        except Fault as fault:
            self._note_failure(fault)
            for index in wanted:
                self._hand_on_failure(index, fault)
            return
        for index in missing:
            group.create_task(self._draw(group, range(index, index + 1)))

    def _note_failure(self, fault: Fault) -> None:
        """Note that a call has failed for good.

        Raises:
            TTSError: So will the others; none of them starts any more.
        """
        try:
            self._endpoint.failed(fault)
        except TTSError as error:
            self._verdict = error
            raise

    async def _ask(self, wanted: range) -> list[int]:
        """Ask for samples until a call brings any; returns those that it did not bring.

        Raises:
            Fault: There will be no further attempt.
        """
        tries = _Tries(self._endpoint, self._connection.pace, has_others=self._has_others)
        while True:
            async with self._connection.pace.turn() as turn:
                while True:
                    outcome = await self._converse(wanted)
                    if not isinstance(outcome, Fault):
                        return outcome
                    pause = tries.wait(outcome, turn, self._max_retries)
                    if pause == 0 or self._endpoint.has_answered:
                        break
                    # Nothing is known of the endpoint: the others wait for what becomes of this.
                    await asyncio.sleep(pause)
            await asyncio.sleep(pause)

    async def _converse(self, wanted: range) -> list[int] | Fault:
        """Ask for samples, again in other words as long as the server tells which.

        Returns:
            The samples that did not come, or why none did.
        """
        endpoint = self._endpoint
        dialect = endpoint.dialect
        while True:
            dialect = dialect.joined(endpoint.dialect)
            attempt = self._new_attempt(wanted, dialect)
            # Stays under way when it is cancelled, so that `lost` can count it.
            self._under_way.append(attempt)
            fault = await self._attempt(attempt)
            self._under_way.remove(attempt)
            missing = [i for i in wanted if i - wanted.start not in attempt.handed_on]
            if fault is None:
                endpoint.adopt(_counted(dialect, attempt.reading))
                return missing
            self._owed += attempt.bill.rest(is_cut=False)
            if attempt.handed_on:
                return missing
            better = self._better(dialect, fault, attempt.call)
            if better is None:
                return fault
            if better.max_n < len(wanted):
                endpoint.adopt(better)
                return missing
            dialect = better

    def _better(self, dialect: Dialect, fault: Fault, call: Call) -> Dialect | None:
        """Return how to ask after a refusal, if the server tells.

        Raises:
            CapabilityError: It refuses what this request cannot do without.
        """
        if refuses_logprobs(fault, call.body):
            raise CapabilityError(self._endpoint.explain(fault))
        if refuses_tools(fault, call.body):
            self._endpoint.calls_tools = False
            raise CapabilityError(self._endpoint.explain(fault))
        return dialect.adapted(fault, call.body)

    def _new_attempt(self, wanted: range, dialect: Dialect) -> _Attempt:
        endpoint, request = self._endpoint, self._request
        call = to_call(request, wanted, model=endpoint.model, dialect=dialect)
        reading, reports_ids = Reading(call.n), "return_token_ids" in call.body
        bill = Bill(
            reading,
            self._price,
            self._prompt_guess,
            request.sampling.max_tokens,
            reports_ids=reports_ids,
            shows_tokens=reports_ids or (endpoint.streams and "stream" in call.body),
            hides_thoughts=endpoint.hides_thoughts,
        )
        return _Attempt(call, reading, bill)

    async def _attempt(self, attempt: _Attempt) -> Fault | None:
        """Make a call, and hand its samples on; returns why it failed, if it did.

        Raises:
            TTSError: Another call has shown that all will fail.
        """
        connection, call = self._connection, attempt.call
        if self._verdict is not None:
            raise self._verdict
        if (fault := connection.pace.given_up()) is not None:
            return fault
        most_bytes = _LEAST_BYTES + _BYTES_PER_TOKEN * call.n * self._request.sampling.max_tokens
        try:
            has_ended = await connection.transport.post(
                self._endpoint.address.base_url + call.path,
                call.body,
                lambda event, is_whole: self._take(attempt, event, is_whole=is_whole),
                most_bytes=most_bytes,
            )
            self._finish(attempt, has_ended=has_ended)
        except Fault as raised:
            return raised
        return None

    def _take(self, attempt: _Attempt, event: object, *, is_whole: bool) -> bool:
        """Take an event; hands on what it finished, but for the last sample of the call."""
        endpoint, reading = self._endpoint, attempt.reading
        self._connection.pace.heard()
        samples = reading.take(event)
        if reading.samples and not attempt.is_taken:
            attempt.is_taken = True
            endpoint.has_answered = True
            endpoint.streams |= not is_whole
            self._connection.pace.taken()
        if not is_whole:
            self._tell(attempt, samples)
        finished = [sample for sample in samples if sample.is_finished]
        if is_whole or not finished:
            return False
        is_complete = reading.is_complete
        for sample in finished[:-1] if is_complete else finished:
            self._hand_on(attempt, sample, is_last=False)
        return is_complete

    def _tell(self, attempt: _Attempt, samples: Sequence[Sample]) -> None:
        """Tell who reads along how far samples are, but for what may still change."""
        request = self._request
        if request.watch is None or (request.sampling.stop and "stop" not in attempt.call.body):
            return  # the latter are cut at their ends
        for sample in samples:
            text = self._endpoint.mask(sample.text, is_whole=False).rstrip(_UNSETTLED)
            request.watch(attempt.call.first + sample.place, text)

    def _finish(self, attempt: _Attempt, *, has_ended: bool) -> None:
        """Hand on what is left at the end of an answer.

        Raises:
            Fault: There is nothing, or it stopped in the middle.
        """
        reading = attempt.reading
        if has_ended:
            reading.end()
        is_over = has_ended or reading.is_complete
        samples = [s for s in reading.samples.values() if s.is_finished]
        left = [sample for sample in samples if sample.place not in attempt.handed_on]
        for sample in left:
            self._hand_on(attempt, sample, is_last=is_over and sample is left[-1])
        if not is_over:
            raise Fault("broken", f"{self._endpoint.address.base_url} stopped in mid-answer")
        if not samples:
            raise Fault("odd", "the answer holds no choices")
        if not left:
            self._owed += attempt.bill.rest(is_cut=False)
        if reading.thought_tokens and not any(sample.thoughts for sample in samples):
            self._endpoint.hides_thoughts = True

    def _hand_on(self, attempt: _Attempt, sample: Sample, *, is_last: bool) -> None:
        usage = attempt.bill.sample(sample, is_last=is_last)
        attempt.handed_on.add(sample.place)
        mask, finish = self._endpoint.mask, sample.finish
        sampling = self._request.sampling
        logprobs, confidences = sample.read_logprobs()
        if sampling.logprobs is None and sampling.offsets:
            logprobs = confidences = None
        text, stop = _cut(sample.text, self._request, attempt.call)
        if stop is not None:
            finish = "stop"
        if sample.is_all_thought:
            most = sampling.max_tokens
            self._endpoint.say(
                "thought", f"used all {most} tokens for its thought: raise sampling.max_tokens"
            )
        completion = Completion(
            index=attempt.call.first + sample.place,
            text=mask(text),
            finish_reason=finish,
            usage=usage,
            prompt_token_ids=tuple(sample.prompt_ids),
            token_ids=tuple(sample.token_ids),
            stop_string=stop or sample.stop,
            logprobs=logprobs,
            confidences=confidences,
            offsets=sample.offsets(text) if sampling.offsets else None,
            error=mask(f"the server ended it with {sample.reason!r}")
            if finish == "error"
            else None,
        )
        self._put(completion)

    def _hand_on_failure(self, index: int, fault: Fault) -> None:
        usage = Usage.elsewhere(calls=1)
        error = self._endpoint.explain(fault)
        is_unanswered = fault.kind in UNANSWERED or (self._has_others and fault.kind == "barred")
        self._put(Completion(index, "", "error", usage, error=error, is_unanswered=is_unanswered))

    def _put(self, completion: Completion) -> None:
        """Hand a completion on, with what failed attempts had cost before it."""
        if self._owed != Usage():
            completion = replace(completion, usage=completion.usage + self._owed)
            self._owed = Usage()
        self._stream.put(completion)


class _Tries:
    """How often one call has failed, and whether it may try again."""

    def __init__(self, endpoint: Endpoint, pace: Pace, *, has_others: bool) -> None:
        self._endpoint = endpoint
        self._pace = pace
        self._has_others = has_others
        self._failed: dict[Kind, int] = {}

    def wait(self, fault: Fault, turn: Turn, max_retries: int) -> float:
        """Return the seconds to wait before the next attempt, besides pauses of the endpoint.

        Raises:
            Fault: There will be none.
        """
        if self._has_others and not fault.asks_to_wait:
            if fault.kind in (*UNANSWERED, "barred"):
                self._pace.failed(fault)
            raise fault
        count = self._failed[fault.kind] = self._failed.get(fault.kind, 0) + 1
        if fault.kind == "busy" or (fault.kind == "unreachable" and self._endpoint.has_answered):
            return self._pause(fault, turn, count, max_retries)
        retries = _RETRIES.get(fault.kind, 0)
        if not self._endpoint.has_answered:
            max_retries = 0 if fault.kind == "silent" else min(max_retries, _FIRST_RETRIES)
            retries = _FIRST_RETRIES if fault.kind == "barred" else retries  # it ends the run
        elif fault.kind == "silent" and self._pace.is_mute_since(turn):
            self._pace.give_up(fault)
        if count > min(max_retries, retries) or self._pace.given_up():
            raise fault
        return backoff(count)

    def _pause(self, fault: Fault, turn: Turn, count: int, max_retries: int) -> float:
        """Let all calls of the endpoint pause.

        Raises:
            Fault: They have paused often enough.
        """
        wait = fault.retry_after
        if wait is not None and wait > _LONGEST_WAIT_SECONDS:
            raise fault
        if self._pace.given_up() is None:
            self._pace.refused(turn, wait=wait, is_outage=not fault.asks_to_wait)
            seconds = backoff(self._pace.pauses) if wait is None else wait
            if seconds >= _TOLD_SECONDS:
                self._endpoint.waits(fault, seconds)
            if self._pace.pauses > max_retries:
                self._pace.give_up(fault)
        # While others are taken, one that is refused waits on, but not for ever.
        if self._pace.given_up() is not None or count > 4 * max_retries:
            raise fault
        return 0.0


def _counted(dialect: Dialect, reading: Reading) -> Dialect:
    """Return a dialect with the samples per call that the server gave, if they were too few."""
    given = len(reading.samples)
    return dialect if given >= reading.n else replace(dialect, max_n=min(dialect.max_n, given))


def _cut(text: str, request: GenerationRequest, call: Call) -> tuple[str, str | None]:
    """Cut a text at its first stop string where the server does not take any."""
    if "stop" in call.body:
        return text, None
    found = [(text.find(stop), stop) for stop in request.sampling.stop]
    place, stop = min(((place, stop) for place, stop in found if place >= 0), default=(-1, None))
    return (text, None) if stop is None else (text[:place], stop)
