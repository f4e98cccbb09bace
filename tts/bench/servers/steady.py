"""What a server of fixed rate answers: so many samples at once, so many tokens a second of each.

It stands in for a machine with an accelerator where several are wanted and there is one CPU: it
sleeps for as long as the samples take. It speaks as vLLM's server does, and counts what a prefix
cache of a given size would have held.
"""

import heapq
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from zlib import crc32

from tts.bench.servers.misbehaving import Asked, Events, Json, Reply, usage

_BLOCK = 16
_STEP = "so it goes. "


class Steady:
    """Answers calls at a fixed rate; a token is a character.

    Attributes:
        prompt_tokens: Of all requests, each counted once whatever its `n`.
        cached_tokens: The part of them that the prefix cache held.
        generated_tokens: Of all samples.

    Args:
        slots: Samples that run at once; others wait, first come, first served.
        rate: Tokens a second of each that runs.
        length: Most tokens of a sample; the least are half of it.
        cache_tokens: Size of the prefix cache.
        clock: Seconds.
    """

    def __init__(
        self,
        *,
        slots: int,
        rate: float,
        length: int,
        cache_tokens: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.prompt_tokens = self.cached_tokens = self.generated_tokens = 0
        self._free = [0.0] * slots  # when each slot is free
        self._rate, self._length, self._clock = rate, length, clock
        self._cache: OrderedDict[int, None] = OrderedDict()
        self._most_blocks = cache_tokens // _BLOCK

    def __call__(self, asked: Asked) -> Reply:
        """Return the samples, each whole when it would have ended."""
        body = asked.body
        if asked.path == "/tokenize":
            return Json({"tokens": [*map(ord, body.get("prompt", ""))]})
        prompt = _prompt_ids(body)
        cached = self._read(prompt)
        now = self._clock()
        stop = str((body.get("stop") or [""])[0])
        samples = [self._sample(body, index, stop) for index in range(asked.n)]
        ends = sorted((self._end(now, len(text)), index) for index, text in enumerate(samples))
        events: list[Any] = []
        last = now
        for end, index in ends:
            events += [end - last, _told(asked.path, index, samples[index], prompt, stop)]
            last = end
            self._keep([*prompt, *map(ord, samples[index])])
        counts = usage(len(prompt), sum(map(len, samples)))
        details = {"prompt_tokens_details": {"cached_tokens": cached}}
        self.generated_tokens += counts["completion_tokens"]
        return Events([*events, {"choices": [], "usage": {**counts, **details}}])

    def _sample(self, body: Any, index: int, stop: str) -> str:
        """Return a text that ends with an answer; every fourth, where it may stop before."""
        seed = crc32(f"{body.get('seed', 0) + index}".encode())
        least = self._length // 2
        size = min(least + seed % (self._length - least + 1), int(body["max_tokens"]))
        end = stop if stop and seed // 8 % 4 else f" \\boxed{{{seed % 3}}}"
        return (_STEP * (size // len(_STEP) + 1))[: max(0, size - len(end))] + end

    def _end(self, now: float, tokens: int) -> float:
        end = max(now, heapq.heappop(self._free)) + tokens / self._rate
        heapq.heappush(self._free, end)
        return end

    def _read(self, prompt: Sequence[int]) -> int:
        """Return how many tokens of a prompt are cached, and cache it."""
        blocks = list(_chain(prompt))
        held = next((i for i, block in enumerate(blocks) if block not in self._cache), len(blocks))
        cached = min(held * _BLOCK, len(prompt) - 1)
        self.prompt_tokens += len(prompt)
        self.cached_tokens += cached
        self._keep(prompt)
        return cached

    def _keep(self, ids: Sequence[int]) -> None:
        for block in _chain(ids):
            self._cache[block] = None
            self._cache.move_to_end(block)
        while len(self._cache) > self._most_blocks:
            self._cache.popitem(last=False)


def _prompt_ids(body: Any) -> list[int]:
    if isinstance(body.get("prompt"), list):
        return list(body["prompt"])
    turns = (f"<{turn['role']}>{turn['content']}" for turn in body.get("messages", ()))
    return [*map(ord, body.get("prompt") or "".join(turns) + "<assistant>")]


def _told(path: str, index: int, text: str, prompt: Sequence[int], stop: str) -> dict[str, Any]:
    """Return the one event of a sample, as vLLM's server writes it."""
    is_chat = path.endswith("/chat/completions")
    has_stopped = bool(stop) and text.endswith(stop)
    shown = text.removesuffix(stop) if has_stopped else text
    said = {"delta": {"content": shown}} if is_chat else {"text": shown}
    ids = {"token_ids": [*map(ord, text)], "stop_reason": stop if has_stopped else None}
    choice = {"index": index, **said, "finish_reason": "stop", **ids}
    if is_chat:
        return {"choices": [choice], "prompt_token_ids": prompt}
    return {"choices": [{**choice, "prompt_token_ids": prompt}]}


def _chain(ids: Sequence[int]) -> Iterator[int]:
    before = 0
    for start in range(0, len(ids) - _BLOCK + 1, _BLOCK):
        before = hash((before, tuple(ids[start : start + _BLOCK])))
        yield before
