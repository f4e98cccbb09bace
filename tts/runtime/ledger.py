"""What a problem has spent and may still spend.

Every generation reserves its worst case before it is asked for and is settled when the engine has
acknowledged its end, so that no budget is ever passed. What an engine cannot count is charged as
what was reserved for it. A reward model's call is reserved as one that generates nothing: it counts
against `flops`, `usd`, `calls` and the deadline.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Self

from tts.costs.flops import (
    predicted_flops,
    price_usd,
    sequence_eflops,
    sequence_flops,
    usage_eflops,
)
from tts.errors import EngineError
from tts.types import Budget, ModelInfo, Price, Usage, sum_usage
from tts.types.figures import Counted

# A completion shorter than this cannot hold an answer; asking for it would waste its prefill.
MIN_TOKENS = 16
_COUNTS = ("prompt_tokens", "cached_tokens", "generated_tokens", "calls", "flops", "usd")
_LIMITED: tuple[Counted, ...] = ("tokens", "calls", "flops", "eflops", "usd")
_REFUSED = -1  # a share below any that can be asked for, 0 tokens (a reward model's) included


@dataclass(slots=True)
class _Amounts:
    """What limits are held against."""

    tokens: int = 0
    calls: int = 0
    flops: float = 0.0
    eflops: float = 0.0
    usd: float = 0.0

    def of(self, unit: Counted) -> float:
        """Return what is summed up in a unit; 0 in one that is not."""
        return float(getattr(self, unit, 0.0))

    def raise_to(self, other: "_Amounts") -> None:
        """Take the larger of each."""
        for unit in _LIMITED:
            setattr(self, unit, max(getattr(self, unit), getattr(other, unit)))

    def add(self, each: "_Amounts", times: int = 1) -> None:
        """Add `times` as much."""
        self.tokens += times * each.tokens
        self.calls += times * each.calls
        self.flops += times * each.flops
        self.eflops += times * each.eflops
        self.usd += times * each.usd


@dataclass(slots=True)
class Grant:
    """Leave to generate `n` completions of at most `max_tokens` each.

    Attributes:
        n: Completions allowed; 0 when the budget is spent.
        max_tokens: Limit of each.
        open: Completions reserved and not yet settled.
        most: What each may cost.
        after: Tokens on the longest chain of calls that had come when it was granted.
        abreast: Tokens of a completion that are drawn at the same time, by a team's workers.
    """

    n: int
    max_tokens: int
    open: int
    most: _Amounts = field(default_factory=_Amounts)
    after: int = 0
    abreast: int = 1


def _held_words(budget: Budget) -> str:
    timeless = replace(budget, seconds=None)
    return "" if timeless == Budget() else str(timeless)


class Ledger:
    """The account of one problem, or of a run (then it is the parent of its problems' ledgers)."""

    def __init__(self, budget: Budget, parent: "Ledger | None" = None) -> None:
        self.budget = budget
        self._has_limits = budget != Budget()
        self._held = _held_words(budget) if self._has_limits else ""
        self._parent = parent
        self._settled = [Usage()]
        self._charged = _Amounts()  # what was counted, and what was reserved where nobody did
        self._reserved = _Amounts()
        self._is_silent = True  # nothing was asked for yet
        self._open = self._silent = 0  # of those below it
        self._first = _Amounts()  # the most that one of those below it has asked for first
        self._each = _Amounts()  # the most that one completion was reserved for
        if parent is not None:
            parent._open += 1
            parent._silent += 1
        self._longest = 0
        self._is_expired = False

    @property
    def is_expired(self) -> bool:
        """Whether its deadline, or one above it, has passed, so that nothing more is granted."""
        return any(ledger._is_expired for ledger in self._line())

    def expire(self) -> None:
        """Say that the deadline has passed."""
        self._is_expired = True

    @property
    def limits(self) -> str:
        """What it is held against, time left out; empty where nothing is limited."""
        return " within ".join(ledger._held for ledger in self._line() if ledger._held)

    @property
    def limits_prompts(self) -> bool:
        """Whether a limit depends on how long prompts are."""
        budgets = (ledger.budget for ledger in self._line())
        return any(budget.usd or budget.flops or budget.eflops for budget in budgets)

    @property
    def latency_tokens(self) -> int:
        """Generated tokens one after the other: each call after all that had come before it."""
        return self._longest

    @property
    def usage(self) -> Usage:
        """Everything settled so far."""
        if len(self._settled) > 1:
            self._settled = [sum_usage(self._settled)]  # here: few ask, and one sum is quicker
        return self._settled[0]

    def charged(self, unit: Counted) -> float:
        """Return what limits are held against, in one unit; of seconds it knows nothing."""
        return self._longest if unit == "sequential" else self._charged.of(unit)

    def left(self, unit: Counted) -> float:
        """Return what it and those above it may still spend, infinite without a limit."""
        return min(ledger._own_left(unit) for ledger in self._line())

    def _own_left(self, unit: Counted) -> float:
        limit: float | None = getattr(self.budget, unit)
        if limit is None:
            return math.inf
        return limit - self.charged(unit) - self._reserved.of(unit)

    @property
    def has_room(self) -> bool:
        """Whether what is left is enough for a further problem beside those that are open.

        A problem that finds everything reserved by others would end without an answer, although
        most of it comes back. So there has to be a whole sample for each open problem, or what all
        have reserved if that is more, and what the next asks for first: the most that one has asked
        for, as each that has not asked yet is taken to do. Until one has, nobody knows, and none is
        to follow.
        """
        known = ((unit, getattr(self.budget, unit)) for unit in _LIMITED)
        limits = [(unit, limit) for unit, limit in known if limit is not None]
        if not self._first.calls:
            return not (limits and self._silent)
        return all(
            self.charged(unit)
            + max(self._reserved.of(unit), (self._open - self._silent) * self._each.of(unit))
            + (self._silent + 1) * self._first.of(unit)
            <= limit
            for unit, limit in limits
        )

    def close(self) -> None:
        """Say that nothing will be asked for any more; once."""
        self._break_silence()
        if self._parent is not None:
            self._parent._open -= 1

    def _break_silence(self) -> None:
        if self._is_silent and self._parent is not None:
            self._parent._first.raise_to(self._reserved)
            self._parent._silent -= 1
        self._is_silent = False

    def reserve(
        self,
        info: ModelInfo,
        *,
        n: int,
        max_tokens: int,
        prompt_tokens: int = 0,
        abreast: int = 1,
    ) -> Grant:
        """Reserve up to `n` completions; each gets an equal share of what is left.

        Fewer than `n` are granted where the share would fall below `MIN_TOKENS` (or below
        `max_tokens`, if that is smaller).
        """
        least = min(MIN_TOKENS, max_tokens)
        share = self._share(info, n, max_tokens, prompt_tokens, abreast)
        while n > 1 and share < least:
            n -= 1
            share = self._share(info, n, max_tokens, prompt_tokens, abreast)
        if share < least:
            return Grant(n=0, max_tokens=0, open=0)
        return self._grant(info, n, share, prompt_tokens, abreast)

    def renew(
        self,
        info: ModelInfo,
        *,
        n: int,
        recorded: int,
        max_tokens: int,
        prompt_tokens: int = 0,
        abreast: int = 1,
    ) -> Grant:
        """Reserve again what an earlier session had been granted, each at its full length.

        Those that are recorded have been paid and get their place in any case; of the others, as
        many as there is room for.

        Args:
            info: The model.
            n: Completions that were granted.
            recorded: Those of them that are in the log.
            max_tokens: Limit of each.
            prompt_tokens: Most that each reads.
            abreast: Tokens of each that are drawn at the same time.
        """
        grant = self._grant(info, recorded, max_tokens, prompt_tokens, abreast)
        asked = max_tokens, prompt_tokens, abreast
        missing = n - recorded
        while missing and self._share(info, missing, *asked) < max_tokens:
            missing -= 1
        grant.n += missing
        grant.open += missing
        self._hold(grant, missing)
        return grant

    def _grant(
        self, info: ModelInfo, n: int, max_tokens: int, prompt_tokens: int, abreast: int
    ) -> Grant:
        """Reserve, whether there is room or not."""
        worst = Usage(prompt_tokens=prompt_tokens, generated_tokens=max_tokens)
        most = _Amounts(
            tokens=max_tokens,
            calls=1,
            flops=sequence_flops(info, prompt_tokens, max_tokens) or 0.0,
            eflops=sequence_eflops(info, prompt_tokens, max_tokens) or 0.0,
            usd=price_usd(info.price, worst) or 0.0,
        )
        grant = Grant(n, max_tokens, open=n, most=most, after=self._longest, abreast=abreast)
        self._hold(grant, n)
        return grant

    def settle(self, grant: Grant, info: ModelInfo, usage: Usage) -> Usage:
        """Replace one reserved completion by what it cost; returns the usage with its cost.

        Raises:
            EngineError: A count is below 0.
        """
        self.release(grant, 1)
        return self._record(info, usage, grant)

    def abandon(self, grant: Grant, info: ModelInfo, usage: Usage) -> Usage:
        """Replace all that is still reserved by what was aborted; returns the usage with its cost.

        Where it is not known how far the calls went, all that they might have generated is taken
        as an estimate.

        Raises:
            EngineError: A count is below 0.
        """
        self.release(grant)
        if usage.generated_tokens is None:
            most = usage.calls * grant.max_tokens
            usage = replace(
                usage,
                generated_tokens=most,
                checking_tokens=most if usage.checking_tokens is None else usage.checking_tokens,
                estimated_tokens=most,
                estimated_calls=usage.calls,
            )
        return self._record(info, usage, grant)

    def release(self, grant: Grant, n: int | None = None) -> None:
        """Give back `n` completions of what is still reserved; all of it if None."""
        count = grant.open if n is None else min(n, grant.open)
        if count:
            self._hold(grant, -count)
            grant.open -= count

    def record(self, info: ModelInfo, usage: Usage) -> Usage:
        """Add a cost that was not reserved; returns it with FLOPs and dollars filled in.

        Raises:
            EngineError: A count is below 0.
        """
        return self._record(info, usage, Grant(n=0, max_tokens=0, open=0))

    def _record(self, info: ModelInfo, usage: Usage, grant: Grant) -> Usage:
        """Add a cost; what is unknown is charged as what was reserved for each call."""
        for name in _COUNTS:
            if (getattr(usage, name) or 0) < 0:
                raise EngineError(f"{info.name} reports {name} = {getattr(usage, name)}, below 0")
        flops = usage.flops or predicted_flops(info, usage)
        usd = usage.usd or price_usd(info.price, usage)
        if (flops, usd) != (usage.flops, usage.usd):
            usage = replace(usage, flops=flops, usd=usd)
        calls, tokens, most = usage.calls, usage.generated_tokens, grant.most
        eflops = usage_eflops(usage)
        charged = _Amounts(
            tokens=calls * most.tokens if tokens is None else tokens,
            calls=calls,
            flops=calls * most.flops if flops is None else flops,
            eflops=calls * most.eflops if eflops is None else eflops,
            usd=calls * most.usd if usd is None else usd,
        )
        longest = grant.after + -(-min(charged.tokens, grant.max_tokens) // grant.abreast)
        for ledger in self._line():
            ledger._settled.append(usage)
            ledger._charged.add(charged)
            ledger._longest = max(ledger._longest, longest)
        return usage

    def shortfall(self) -> str:
        """Return, for people, which limit is spent, where one has refused something."""
        limits = [ledger.budget for ledger in self._line() if ledger._has_limits]
        if self.is_expired:
            seconds = [limit.seconds for limit in limits if limit.seconds is not None]
            return f"the deadline of {min(seconds):g} s passed" if seconds else "it was ended early"
        return f"the budget of {' within '.join(map(str, limits))} is spent"

    def _line(self) -> Iterator["Ledger"]:
        """Yield this ledger and those above it."""
        ledger: Ledger | None = self
        while ledger is not None:
            yield ledger
            ledger = ledger._parent

    def _share(
        self, info: ModelInfo, n: int, max_tokens: int, prompt_tokens: int, abreast: int
    ) -> int:
        asked = n, max_tokens, prompt_tokens, abreast
        return min(max_tokens, *(ledger._own_share(info, *asked) for ledger in self._line()))

    def _own_share(
        self, info: ModelInfo, n: int, max_tokens: int, prompt_tokens: int, abreast: int
    ) -> int:
        if self._is_expired:
            return _REFUSED
        if not self._has_limits:
            return max_tokens
        budget, spent, held = self.budget, self._charged, self._reserved
        share = max_tokens
        if budget.calls is not None and budget.calls - spent.calls - held.calls < n:
            return _REFUSED
        if budget.tokens is not None:
            share = min(share, (budget.tokens - spent.tokens - held.tokens) // n)
        if budget.sequential is not None:
            share = min(share, (budget.sequential - self._longest) * abreast)
        if budget.usd is not None and info.price is not None:
            left = (budget.usd - spent.usd - held.usd) / n
            share = min(share, _priced_tokens(info.price, left, prompt_tokens, max_tokens))
        if budget.flops is not None:
            left = (budget.flops - spent.flops - held.flops) / n
            share = min(share, _affordable_tokens(sequence_flops, info, left, prompt_tokens, share))
        if budget.eflops is not None:
            left = (budget.eflops - spent.eflops - held.eflops) / n
            share = min(
                share, _affordable_tokens(sequence_eflops, info, left, prompt_tokens, share)
            )
        return share

    def _hold(self, grant: Grant, n: int) -> None:
        """Reserve `n` completions of a grant; give them back where `n` is negative."""
        for ledger in self._line():
            ledger._reserved.add(grant.most, n)
            ledger._each.raise_to(grant.most)
            ledger._break_silence()


class Reservation:
    """Completions kept free for later requests; a context manager, which gives back the rest.

    Args:
        ledger: Of the problem.
        info: The model that will be asked.
        n: Completions to keep; fewer where the budget is too small.
        max_tokens: Most tokens of each.
        prompt_tokens: Of each.
    """

    def __init__(
        self, ledger: Ledger, info: ModelInfo, *, n: int, max_tokens: int, prompt_tokens: int
    ) -> None:
        self._ledger = ledger
        self._grant = ledger.reserve(info, n=n, max_tokens=max_tokens, prompt_tokens=prompt_tokens)

    @property
    def n(self) -> int:
        """Completions still kept."""
        return self._grant.open

    def give_back(self, n: int = 1) -> None:
        """Free `n` completions, just before the requests for which they were kept."""
        self._ledger.release(self._grant, n)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Free what is still kept."""
        self.give_back(self.n)


def _priced_tokens(price: Price, usd: float, prompt_tokens: int, max_tokens: int) -> int:
    left = usd * 1e6 - prompt_tokens * price.prompt
    if price.generated:
        return math.floor(left / price.generated)
    return max_tokens if left >= 0 else _REFUSED


def _affordable_tokens(
    cost: Callable[[ModelInfo, int, int], float | None],
    info: ModelInfo,
    left: float,
    prompt_tokens: int,
    max_tokens: int,
) -> int:
    """Return the most tokens of a completion that cost no more than what is left."""
    if cost(info, prompt_tokens, 0) is None:
        return 0
    tokens = range(max_tokens + 1)
    return bisect_right(tokens, left, key=lambda t: cost(info, prompt_tokens, t) or 0.0) - 1
