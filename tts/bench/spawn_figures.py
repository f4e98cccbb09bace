"""Searches that spawn against the same searches in turn: solved within limits, at equal cost."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean
from typing import Literal, NamedTuple

from tts.errors import InputError
from tts.evals.independent_samples import powers_of_two
from tts.evals.metrics import (
    Difference,
    bootstrap_interval,
    largest_of_k,
    paired_bootstrap,
    pass_at_k,
)
from tts.evals.records import Record

Limit = Literal["context", "sequence", "tokens"]
_SHORTEST = 64  # tokens of the first limit
_DONE = 0.99  # of an arm's attempts that end within a limit, beyond which none is looked at


class Attempt(NamedTuple):
    """One search.

    Attributes:
        is_right: It found a way.
        tokens: Generated, those of children included.
        sequence: Generated one after the other.
        context: Of the longest text, prompt included.
    """

    is_right: bool
    tokens: int
    sequence: int
    context: int

    def taken(self, limit: Limit) -> int:
        """Return what it took of what is limited."""
        return {"context": self.context, "sequence": self.sequence, "tokens": self.tokens}[limit]


class Within(NamedTuple):
    """What an attempt may take at most; a limit on "tokens" is kept by the number of attempts."""

    limit: Limit
    size: float

    def holds(self, attempt: Attempt) -> bool:
        """Say whether an attempt is right, and ended before the limit."""
        is_within = self.limit == "tokens" or attempt.taken(self.limit) <= self.size
        return attempt.is_right and is_within


Arm = Sequence[Sequence[Attempt]]  # of each problem, in the order of their ids


@dataclass(frozen=True, slots=True)
class Costs:
    """What an attempt takes on average."""

    tokens: float
    sequence: float
    context: float


@dataclass(frozen=True, slots=True)
class Share:
    """Problems solved, with the 95 % interval over problems."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Row:
    """What is solved within one limit.

    Attributes:
        limit: Of what: tokens that a text may hold, that may be drawn one after the other, or in
            all.
        size: Tokens; of "tokens" the mean of what was drawn.
        n: Attempts of the model that spawns, of which one must be right.
        spawn: Solved by it.
        serial: By as many attempts of its twin.
        equal: By as many attempts of its twin as take as many tokens in all.
        to_serial: Spawning less the twin's.
        to_equal: Likewise.
    """

    limit: Limit
    size: float
    n: int
    spawn: Share
    serial: Share
    equal: Share
    to_serial: Difference
    to_equal: Difference


@dataclass(frozen=True, slots=True)
class Measured:
    """Figures of one set of problems.

    Attributes:
        name: Of the problems.
        problems: Their number.
        spawn: Costs of an attempt that may spawn.
        serial: Of one that may not.
        ratio: Attempts of the twin that take as many tokens as one that spawns; at least 1.
        longest: Tokens one after the other of as many attempts of the twin, drawn side by side.
        rows: What is solved.
    """

    name: str
    problems: int
    spawn: Costs
    serial: Costs
    ratio: float
    longest: float
    rows: Sequence[Row]


def arm_of(records: Sequence[Record]) -> Arm:
    """Return the attempts of each problem.

    Raises:
        InputError: Tokens of one were not counted.
    """
    return [list(_attempts(record)) for record in sorted(records, key=lambda record: record.id)]


def _attempts(record: Record) -> Iterator[Attempt]:
    graphs = {graph.trajectory: graph for graph in record.facts.graphs}
    for sample in record.independent_samples:
        graph = graphs.get(sample.id)
        if graph is None or graph.context_tokens is None or sample.tokens is None:
            raise InputError(f"{record.id}: the tokens of a search were not counted")
        yield Attempt(sample.correct, sample.tokens, graph.sequential_tokens, graph.context_tokens)


def measure(name: str, spawn: Arm, serial: Arm, *, seed: int) -> Measured:
    """Set both arms side by side.

    Args:
        name: Of the problems.
        spawn: Attempts of the model that spawns.
        serial: Of its twin, on the same problems in the same order.
        seed: Of the bootstraps.

    Raises:
        InputError: An attempt that spawns takes more tokens than all attempts of its twin.
    """
    costs, others = _costs(spawn), _costs(serial)
    ratio = max(1.0, costs.tokens / others.tokens)
    if ratio > _fewest(serial):
        raise InputError(
            f"{name}: an attempt that spawns takes as many tokens as {ratio:.1f} of its twin; draw "
            "more samples"
        )
    rows = [
        _row(spawn, serial, Within(limit, size), ratio=ratio, seed=seed)
        for limit in ("context", "sequence")
        for size in _sizes(spawn, serial, limit)
    ]
    most = min(_fewest(spawn), int(_fewest(serial) / ratio))
    rows += [
        _row(spawn, serial, Within("tokens", n * costs.tokens), n=n, ratio=ratio, seed=seed)
        for n in powers_of_two(most)
    ]
    longest = [expected(partial(_longest, some), ratio) for some in serial]
    return Measured(name, len(spawn), costs, others, ratio, fmean(longest), rows)


def _sizes(spawn: Arm, serial: Arm, limit: Limit) -> Iterator[int]:
    """Yield 64, 128, ... from the first that holds a right attempt to one that holds nearly all."""
    amounts = [sorted(one.taken(limit) for some in arm for one in some) for arm in (spawn, serial)]
    enough = max(row[int(_DONE * (len(row) - 1))] for row in amounts)
    right = [
        one.taken(limit) for arm in (spawn, serial) for some in arm for one in some if one.is_right
    ]
    size = _SHORTEST
    while size < 2 * enough:
        if any(taken <= size for taken in right):
            yield size
        size *= 2


def _row(spawn: Arm, serial: Arm, within: Within, *, ratio: float, seed: int, n: int = 1) -> Row:
    ours = [_solved(some, within, n) for some in spawn]
    one = [_solved(some, within, n) for some in serial]
    equal = [expected(partial(_solved, some, within), n * ratio) for some in serial]
    return Row(
        within.limit,
        within.size,
        n,
        spawn=_share(ours, seed),
        serial=_share(one, seed),
        equal=_share(equal, seed),
        to_serial=paired_bootstrap(one, ours, seed=seed),
        to_equal=paired_bootstrap(equal, ours, seed=seed),
    )


def _solved(some: Sequence[Attempt], within: Within, n: int) -> float:
    """Return the chance that one of `n` of a problem's attempts is right within a limit."""
    return pass_at_k(len(some), sum(within.holds(one) for one in some), n)


def _longest(some: Sequence[Attempt], n: int) -> float:
    return largest_of_k([one.sequence for one in some], n)


def expected(value: Callable[[int], float], attempts: float) -> float:
    """Return a value for a number of attempts that need not be whole: chance takes a neighbour.

    So many attempts are drawn on average, and take as many tokens.
    """
    low = int(attempts)
    share = attempts - low
    return (1 - share) * value(low) + (share * value(low + 1) if share else 0.0)


def _fewest(arm: Arm) -> int:
    return min(map(len, arm))


def _costs(arm: Arm) -> Costs:
    every = [one for some in arm for one in some]
    return Costs(
        fmean(one.tokens for one in every),
        fmean(one.sequence for one in every),
        fmean(one.context for one in every),
    )


def _share(values: Sequence[float], seed: int) -> Share:
    return Share(fmean(values), *bootstrap_interval(values, seed=seed))
