"""What is known of an endpoint: learned from its answers, shared by all calls and event loops."""

import logging
import math

from tts.engine.remote.address import Address
from tts.engine.remote.dialect import OPTIONAL, Dialect
from tts.engine.remote.faults import Fault
from tts.errors import ContextError, EngineError, ModelError, RefusedError, TTSError

_LOG = logging.getLogger(__name__)
_ALIKE = 3  # first calls that fail alike end the run: so will the others


class Endpoint:
    """One model on one server.

    Attributes:
        address: Of the server.
        model: As the server names it.
        dialect: What it takes.
        has_answered: It has given an answer that can be read; from then on a failure concerns its
            own call alone.
        streams: It sends tokens as they come.
        hides_thoughts: It counts tokens that it does not send.
        calls_tools: It has not refused to show its model tools.
    """

    def __init__(self, address: Address, model: str) -> None:
        self.address = address
        self.model = model
        self.dialect = Dialect()
        self.has_answered = False
        self.streams = False
        self.hides_thoughts = False
        self.calls_tools = True
        self._last: tuple[str, int, str] | None = None
        self._num_alike = 0
        self._said: set[str] = set()

    def failed(self, fault: Fault) -> None:
        """Note that a call has failed for good.

        Raises:
            ContextError: The prompt does not fit; this concerns its request alone.
            EngineError: No call has succeeded so far, and the others would fail likewise.
            ModelError: The same, for want of the model.
            RefusedError: The same, for what is asked.
        """
        if fault.kind == "context":
            raise ContextError(f"{self.model}: {fault.message}")
        if self.has_answered:
            return
        self._num_alike = self._num_alike + 1 if fault.likeness == self._last else 1
        self._last = fault.likeness
        is_final = fault.kind in ("barred", "unreachable", "silent", "late")
        if is_final or self._num_alike >= _ALIKE:
            raise self.error(fault)

    def error(self, fault: Fault) -> TTSError:
        """Return what a failure of every call means."""
        url, words = self.address.base_url, fault.message
        if fault.status in (401, 403):
            return EngineError(f"{url} refuses the API key: {words}")
        if fault.status == 404:
            return ModelError(f"{url} has no model {self.model!r}: {words}")
        if fault.kind == "refused":
            return RefusedError(self.explain(fault))
        return EngineError(self.explain(fault))

    def explain(self, fault: Fault) -> str:
        """Say for people what went wrong with one call."""
        url, words = self.address.base_url, fault.message
        if fault.kind in ("unreachable", "silent", "late", "broken") and not fault.status:
            return words
        status = f" ({fault.status})" if fault.status else ""
        does = "refuses the request" if fault.kind == "refused" else "fails"
        minutes = math.ceil((fault.retry_after or 0.0) / 60)
        wait = f"; it asks to wait {minutes:,} minutes" if minutes > 1 else ""
        return f"{url} {does}{status}: {words}{wait}"

    def mask(self, text: str, *, is_whole: bool = True) -> str:
        """Return what a server wrote without our secrets; its errors hold none already."""
        return self.address.secrets.mask(text, is_whole=is_whole)

    def adopt(self, dialect: Dialect) -> None:
        """Keep what a call that succeeded has learned, and say it once."""
        joined = self.dialect.joined(dialect)
        if joined == self.dialect:
            return
        for name in sorted(joined.left_out - self.dialect.left_out):
            self.say(name, f"takes no {name}: {OPTIONAL[name]}")
        if joined.token_limit != self.dialect.token_limit:
            self.say("limit", f"takes {joined.token_limit} in place of max_tokens")
        if joined.folds_seeds and not self.dialect.folds_seeds:
            self.say("seeds", "takes seeds of 31 bits: they are folded")
        if joined.max_n < self.dialect.max_n:
            self.say("n", f"gives {joined.max_n} of several samples a call: each is asked for")
        self.dialect = joined

    def waits(self, fault: Fault, seconds: float) -> None:
        """Say once that all calls wait, and why."""
        status = f"{fault.status}: " if fault.status else ""
        self.say(
            "wait",
            f"gives no answer ({status}{fault.message}): calls wait {seconds:.0f} s, "
            "and are made again",
        )

    def say(self, key: str, message: str) -> None:
        """Warn of something, once for each key."""
        if key not in self._said:
            self._said.add(key)
            _LOG.warning("%s at %s %s", self.model, self.address.base_url, message)
