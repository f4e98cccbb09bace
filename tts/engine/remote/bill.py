"""What the samples of one call cost: counted where the server tells, else estimated and marked.

A server reports the prompt and all that it generated only when the call ends, but samples are
handed on as they finish. What they are billed until then is provisional: the last one, or what is
cut off, carries the rest of the server's count, so that their sum is exact; where no count comes it
carries the mark that they were all estimated. vLLM sends ids, but not with every token: what was
generated since the last event of a sample that is cut is estimated by the pace of its call.
"""

import time
from dataclasses import dataclass, field

from tts.engine.remote.reading import Reading, Sample
from tts.engine.remote.wire import STREAM_INTERVAL
from tts.types import Price, Usage

_ABSURD = 100  # times what was asked for, or the guess: such a count is none


@dataclass(slots=True)
class Bill:
    """The cost of one call.

    Attributes:
        reading: What has come of it.
        price: Per token; None for none.
        prompt_guess: Tokens of the prompt, about.
        max_tokens: Most tokens of a sample.
        reports_ids: The server sends the ids of its tokens, so that they can be counted.
        shows_tokens: The server sends tokens as they come; else nothing is known before the end.
        hides_thoughts: The server counts tokens that it does not send.
    """

    reading: Reading
    price: Price | None
    prompt_guess: int
    max_tokens: int
    reports_ids: bool
    shows_tokens: bool
    hides_thoughts: bool
    _started: float = field(default_factory=time.perf_counter)
    _billed: dict[int, int] = field(default_factory=dict)  # tokens by place of the sample
    _provisional: list[int] = field(default_factory=list)  # those of them that nobody counted
    _prompts: int = 0  # prompt tokens that were billed

    def sample(self, sample: Sample, *, is_last: bool) -> Usage:
        """Return the cost of one sample that is handed on; the last one carries what is left."""
        if is_last:
            tokens, is_counted = self._left()
            usage = self._rest(tokens, calls=1, is_counted=is_counted)
            self._billed[sample.place] = tokens
            return usage
        tokens, is_counted = self._share(sample)
        self._billed[sample.place] = tokens
        if not is_counted:
            self._provisional.append(tokens)
        prompt = self._prompt()
        self._prompts += prompt
        return self._usage(prompt, prompt, tokens, calls=1)

    def rest(self, *, is_cut: bool) -> Usage:
        """Return the cost of the samples that are not handed on.

        Args:
            is_cut: By us; those samples count as calls. Else the call failed, and they are asked
                for again: `calls` is 0.
        """
        calls = self.reading.n - len(self._billed) if is_cut else 0
        tokens, is_counted = self._left()
        if is_cut and is_counted and (unseen := self._unseen()):
            return self._rest(tokens + unseen, calls=calls, is_counted=True, unseen=unseen)
        is_unseen = not self.reading.samples and not self.shows_tokens
        if is_cut and (is_unseen or (self.hides_thoughts and not is_counted)):
            tokens, is_counted = calls * self.max_tokens, False
        if not is_cut and not self.reading.samples and self.reading.prompt_tokens is None:
            return Usage()  # refused, or never begun
        return self._rest(tokens, calls=calls, is_counted=is_counted)

    def _share(self, sample: Sample) -> tuple[int, bool]:
        """Return a sample's tokens, and whether they are exact: a part of a known whole is."""
        about = sample.about_tokens
        if self.reports_ids and sample.token_ids:
            return about, True
        left, is_counted = self._left()
        if not (self.reading.has_ended and is_counted):
            return about, False
        others = [s for p, s in self.reading.samples.items() if p not in self._billed]
        weights = sum(other.about_tokens + 1 for other in others)
        return round(left * (about + 1) / weights), True

    def _left(self) -> tuple[int, bool]:
        """Return the tokens that are not billed yet, and whether they were counted."""
        samples = [s for place, s in self.reading.samples.items() if place not in self._billed]
        seen = sum(sample.about_tokens for sample in samples)
        if self.reports_ids and all(s.token_ids or not s.has_content for s in samples):
            return seen, True
        # In mid-stream some servers count the tokens of one sample, others those of all.
        is_total = self.reading.has_ended or self.reading.n == 1
        total = self.reading.generated_tokens if is_total else None
        if total is not None and total > _ABSURD * self.reading.n * self.max_tokens:
            total = None
        left = -1 if total is None else total - sum(self._billed.values())
        if left < 0 or (left == 0 and seen):
            return seen, False
        return left, True

    def _prompt(self) -> int:
        """Return the tokens of the prompt."""
        ids = next((s.prompt_ids for s in self.reading.samples.values() if s.prompt_ids), ())
        counted = self.reading.prompt_tokens or 0
        if counted > _ABSURD * (self.prompt_guess + 100):
            counted = 0
        return len(ids) or counted or self.prompt_guess

    def _unseen(self) -> int:
        """Return about how many tokens the server has generated since the last ids came.

        The samples of a call advance together, a token a step: the one that was heard of last tells
        how far the others are. The step under way, half done on average, is still finished.
        """
        if not self.reports_ids:
            return 0
        begun = [sample for sample in self.reading.samples.values() if sample.began]
        tokens = sum(len(sample.token_ids) - sample.num_first for sample in begun)
        seconds = sum(sample.heard - sample.began for sample in begun)
        pace = tokens / seconds if seconds else 0.0
        last = max(begun, key=lambda sample: sample.heard, default=None)
        unseen = 0.0
        for sample in begun:
            if last is None or sample.is_finished:
                continue
            since = time.perf_counter() - last.heard + last.began - sample.began
            ahead = len(last.token_ids) + pace * since + 0.5 - len(sample.token_ids)
            most = min(STREAM_INTERVAL, self.max_tokens - len(sample.token_ids))
            unseen += min(max(0.0, ahead), most)
        return round(unseen)

    def _rest(self, tokens: int, *, calls: int, is_counted: bool, unseen: int = 0) -> Usage:
        """Return a usage that carries the prompt, and the marks of what was provisional."""
        prompt = self._prompt()
        fresh = prompt - min(self.reading.cached_tokens, prompt)
        # Those before were billed a guess of the prompt, as cached.
        prompts = max(prompt, prompt * (len(self._billed) + calls) - self._prompts)
        self._prompts += prompts
        marked = [] if is_counted else self._provisional
        self._provisional = []
        return self._usage(
            prompts,
            prompts - fresh,
            tokens,
            calls=calls,
            usd=self._prompt_usd(prompt, fresh),
            estimated_tokens=unseen if is_counted else tokens + sum(marked),
            estimated_calls=calls * bool(unseen) if is_counted else calls + len(marked),
        )

    def _prompt_usd(self, prompt: int, fresh: int) -> float:
        price = self.price
        if price is None:
            return 0.0
        cached_price = price.prompt if price.cached is None else price.cached
        return (fresh * price.prompt + (prompt - fresh) * cached_price) / 1e6

    def _usage(
        self,
        prompt: int,
        cached: int,
        generated: int,
        *,
        calls: int,
        usd: float = 0.0,
        estimated_tokens: int = 0,
        estimated_calls: int = 0,
    ) -> Usage:
        if self.price is not None:
            usd += generated * self.price.generated / 1e6
        return Usage.elsewhere(
            prompt_tokens=prompt,
            cached_tokens=cached,
            generated_tokens=generated,
            calls=calls,
            seconds=time.perf_counter() - self._started,
            usd=usd,
            estimated_tokens=estimated_tokens,
            estimated_calls=estimated_calls,
        )
