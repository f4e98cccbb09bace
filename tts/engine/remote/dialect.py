"""Which parameters an endpoint takes: presumed at first, learned where it refuses one."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from tts.engine.remote.faults import Fault

_MOST_SAMPLES = 128  # of one call, the most that OpenAI takes
_SEED_MASK = 2**31 - 1
# What may be left out, and what becomes of it then.
OPTIONAL: Mapping[str, str] = {
    "stream_options": "token counts of its streams are estimated",
    "stream": "calls that are cut off count as all that they might have generated",
    "stream_interval": "its streams cost more time",
    "return_token_ids": "token counts are those that the server reports",
    "priority": "its queue is first come, first served",
    "temperature": "samples are drawn at the model's own temperature",
    "top_p": "samples are drawn with the model's own top_p",
    "top_k": "samples are drawn without top_k",
    "min_p": "samples are drawn without min_p",
    "seed": "the same seed gives another sample",
    "stop": "texts are cut at stop strings after they have come",
}
_NEEDED = ("top_logprobs", "logprobs")
# Without quotes these are words of any sentence.
_WORDS = ("n", "stop", "stream")
_REFUSAL = re.compile(
    r"unsupported|not support|unrecogni[sz]ed|unknown|unexpected|invalid|not (?:permitted|allowed)"
    r"|extra (?:inputs|fields)|forbidden|must be|should be|only|out of range|too (?:large|big|long)"
    r"|overflow|less than|greater than|at most|cannot|maximum",
    re.IGNORECASE,
)
_TOOLS = re.compile(r"\btools?\b|\btool_", re.IGNORECASE)
_ONE_CHOICE = re.compile(
    r"only (?:one|1|a single) (?:completion )?choice|multiple (?:choices|completions)"
    r"|['\"`]?\bn\b['\"`]?\s*(?:>|must|should|is not|is greater|: number must)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Dialect:
    """What an endpoint takes.

    Attributes:
        is_vllm: It takes token ids and prefills, and reports ids.
        left_out: Parameters that it refused.
        token_limit: Its name for the most tokens of a sample.
        folds_seeds: Seeds have 31 bits.
        max_n: Samples per call.
    """

    is_vllm: bool = False
    left_out: frozenset[str] = frozenset()
    token_limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    folds_seeds: bool = True
    max_n: int = _MOST_SAMPLES

    def seed(self, seed: int) -> int:
        """Return a seed as the endpoint takes it."""
        return seed & _SEED_MASK if self.folds_seeds else seed

    def joined(self, other: "Dialect") -> "Dialect":
        """Return what two calls have learned of the same endpoint."""
        limits = (self.token_limit, other.token_limit)
        return Dialect(
            is_vllm=self.is_vllm,
            left_out=self.left_out | other.left_out,
            token_limit="max_completion_tokens" if len(set(limits)) > 1 else limits[0],
            folds_seeds=self.folds_seeds or other.folds_seeds,
            max_n=min(self.max_n, other.max_n),
        )

    def adapted(self, fault: Fault, body: Mapping[str, Any]) -> "Dialect | None":
        """Return how to ask again after a refusal; None if it does not tell.

        Args:
            fault: What the server said.
            body: What it had been sent.
        """
        message = fault.message
        if body.get("n", 1) > 1 and (fault.param == "n" or _ONE_CHOICE.search(message)):
            return replace(self, max_n=1)
        if fault.kind != "refused" or not _REFUSAL.search(message):
            return None
        if "max_completion_tokens" in message and self.token_limit == "max_tokens":
            return replace(self, token_limit="max_completion_tokens")
        named = next((name for name in OPTIONAL if name in body and _names(fault, name)), None)
        if named == "seed" and not self.folds_seeds:
            return replace(self, folds_seeds=True)
        return None if named is None else replace(self, left_out=self.left_out | {named})


def refuses_logprobs(fault: Fault, body: Mapping[str, Any]) -> bool:
    """Whether a server refuses what cannot be left out: log-probabilities, or so many of them."""
    is_refusal = fault.kind == "refused" and bool(_REFUSAL.search(fault.message))
    return is_refusal and any(name in body and _names(fault, name) for name in _NEEDED)


def refuses_tools(fault: Fault, body: Mapping[str, Any]) -> bool:
    """Whether a server refuses to show its model tools, or to have them called."""
    is_refusal = fault.kind in ("refused", "barred", "broken")  # some say it with a 404 or a 500
    return is_refusal and "tools" in body and bool(_TOOLS.search(f"{fault.param} {fault.message}"))


def _names(fault: Fault, name: str) -> bool:
    """Whether a server complains of a parameter by its name."""
    if fault.param:
        return fault.param == name
    edge = r"['\"`]" if name in _WORDS else r"(?<![\w])"
    end = r"['\"`]" if name in _WORDS else r"(?![\w])"
    return re.search(f"{edge}{re.escape(name)}{end}", fault.message) is not None
