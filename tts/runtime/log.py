"""Generations by content: what makes a killed run resume and a re-vote free.

A completion's key is a hash of all that decides its text: engine fingerprint, prompt, sampling and
seed. Who asked for it (problem, repeat, node) is written beside it, so that the lines of a file
join those of the run's other files, and so that what a finished problem asked can be forgotten.

Requests are written when they are sent, so that after a kill it is known what was in flight. A
session that follows charges it (`GenerationLog.lost`), and grants what had been granted, so that
what was recorded is found under its key whatever is left of the budget by then.
"""

import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass, replace
from typing import Any, NamedTuple

from tts.runtime.replay import Clock, Past
from tts.types import Completion, GenerationRequest, Prompt, Sampling, Usage

_CANDIDATES = 1, 20  # likeliest tokens that verifiers ask to have reported


def request_key(fingerprint: str, request: GenerationRequest) -> str:
    """Return the key of a request, its seed and `n` left out.

    Fields that have their default do not enter, so that a field which is added later leaves the
    keys of logs on disk as they are. Hidden states decide nothing: a completion that was recorded
    without them, or with others, is read again by the verifier that wants them.
    """
    content = [fingerprint, request.prompt, request.sampling, request.keep_free]
    content += [request.team] if request.team else []
    text = _KEY_JSON.encode(content)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def reporting_more(sampling: Sampling) -> Iterator[Sampling]:
    """Yield the parameters that draw the same texts and report more of them.

    What was recorded with them holds what is asked for here. A key says only what it was made of,
    so that numbers of candidates are tried which parts of this project ask for.
    """
    fewest = sampling.logprobs or 0
    logprobs = [sampling.logprobs, *(size for size in _CANDIDATES if size > fewest)]
    certainties = [True] if sampling.certainties else [False, True]
    for size, certain in itertools.product(logprobs, certainties):
        if (size, certain) != (sampling.logprobs, sampling.certainties):
            yield replace(sampling, logprobs=size, certainties=certain)


def prompt_values(prompt: Prompt) -> Mapping[str, Any] | str:
    """Return a prompt's words as JSON values; empty where it is token ids."""
    if prompt.messages:
        return {"messages": prompt.messages, "beginning": prompt.beginning}
    return {"text": prompt.text} if prompt.text else ""


class Sent(NamedTuple):
    """A request as it was sent.

    Attributes:
        seeds: Of the completions that the engine was asked for.
        n: Completions that the budget let through, recorded ones included.
        max_tokens: Limit of each.
        prompt_tokens: Most that each reads.
        asked_key: Key of the request before the budget shortened its completions.
        asked: Completions that the node wanted.
        limits: The budgets that it was held against; empty where there were none.
        prompt: What was asked, as JSON values; empty where it is token ids, which its completions
            have. For people: nothing is done by it.
    """

    seeds: tuple[int, ...]
    n: int
    max_tokens: int
    prompt_tokens: int
    asked_key: str
    asked: int
    limits: str
    prompt: Mapping[str, Any] | str = ""


class Recorded(NamedTuple):
    """A completion that is in a log.

    Attributes:
        place: In the order in which completions came.
        at: When it came, in seconds of its problem's time.
        seed: Of the sample.
        completion: It.
        name: What it was found by.
    """

    place: int
    at: float
    seed: int
    completion: Completion
    name: str


class Found(NamedTuple):
    """Where a completion is kept, and its place and time; see `Recorded`."""

    place: int
    at: float
    where: Any


class GenerationLog:
    """Completions by key, in memory; `LogFile` keeps them on disk instead.

    Attributes:
        lost: What earlier sessions had asked for, paid and never seen the end of.
    """

    def __init__(self) -> None:
        self.lost = Usage()
        self._arrivals: dict[str, list[str]] = {}
        self._sent: dict[str, Sent] = {}  # by the key of what was asked for, and its base seed
        self._places: dict[str, Found] = {}  # of completions
        self._seeds: set[int] = set()  # theirs
        self._aborted: dict[str, tuple[Usage, float]] = {}  # and when
        self._pasts: dict[tuple[str, int], Past] = {}  # of problems, by their id and seed
        self._order = itertools.count()

    def of(self, problem_id: str, seed: int) -> "ProblemLog":
        """Return the log as one problem sees it.

        Args:
            problem_id: Of the problem.
            seed: That its job runs with; repeats of a problem have different ones.
        """
        return ProblemLog(self, problem_id, seed, self.past(problem_id, seed))

    def past(self, problem_id: str, seed: int) -> Past:
        """Return when things happened to a problem."""
        return self._pasts.setdefault((problem_id, seed), Past())

    def forget(self, problem_id: str, seed: int) -> None:
        """Drop from memory all that a problem asked for: it is finished."""
        known = self._pasts.pop((problem_id, seed), None)
        for name in () if known is None else known.names:
            if self._places.pop(name, None):
                self._seeds.discard(_seed_of(name))
            self._aborted.pop(name, None)
            self._sent.pop(name, None)
            self._arrivals.pop(name, None)

    def find(self, names: Mapping[str, int]) -> list[Recorded]:
        """Return those of the names that are recorded, in the order in which they came."""
        known = [name for name in names if name in self._places]
        known.sort(key=lambda name: self._places[name].place)
        return [self._recorded(name, names[name]) for name in known]

    def has_any(self, seeds: Iterable[int]) -> bool:
        """Return whether a completion with one of these seeds is recorded, whatever was asked."""
        return not self._seeds.isdisjoint(seeds)

    def find_aborted(self, name: str) -> tuple[Usage, float] | None:
        """Return what the aborted part of a request had cost, and when that was decided."""
        return self._aborted.get(name)

    def find_sent(self, name: str) -> Sent | None:
        """Return how a request with limits was sent before."""
        return self._sent.get(name)

    def find_arrivals(self, name: str) -> list[str]:
        """Return what a node has dealt with, in order."""
        return self._arrivals.get(name, [])

    def record_arrival(self, entry: "Entry", place: int, name: str) -> None:
        """Keep what a node deals with next, at a place in its order; what was after it goes."""
        self._arrivals.setdefault(entry.name, [])[place:] = [name]

    def record_sent(self, entry: "Entry", sent: Sent) -> None:
        """Keep that a request is about to be sent."""
        samples = [entry_name(entry.key, seed) for seed in sent.seeds]
        self._past_of(entry).sent(entry.name, samples, entry.at)
        if sent.limits:
            self._sent[entry_name(sent.asked_key, entry.seed)] = sent

    def record_lost(self, entry: "Entry", usage: Usage) -> None:
        """Note what a request had cost that was given up with the run, and gave nothing to keep."""

    def record_failed(self, entry: "Entry", usage: Usage, error: str) -> None:
        """Note what a completion that failed had cost."""
        self._past_of(entry).ended(entry.name, entry.at)

    def record(self, entry: "Entry", completion: Completion) -> None:
        """Keep a finished completion."""
        self._put(entry, completion)

    def adopt(self, entry: "Entry", found: Recorded) -> None:
        """Keep a completion that was found and is now used, where it is another run's."""

    def record_aborted(self, entry: "Entry", usage: Usage) -> None:
        """Keep what the aborted part of a request had cost."""
        self._past_of(entry).decided(entry.name, entry.at)
        self._aborted[entry.name] = usage, entry.at

    def _put(self, entry: "Entry", where: Any) -> None:
        self._past_of(entry).ended(entry.name, entry.at)
        self._places[entry.name] = Found(next(self._order), entry.at, where)
        self._seeds.add(entry.seed)

    def _past_of(self, entry: "Entry") -> Past:
        return self.past(entry.problem_id, entry.problem_seed)

    def _recorded(self, name: str, seed: int) -> Recorded:
        one = self._places[name]
        return Recorded(one.place, one.at, seed, self._read(one.where), name)

    def _read(self, where: Any) -> Completion:
        completion: Completion = where
        return completion


class Entry(NamedTuple):
    """What a line of a log is about.

    Attributes:
        problem_id: Of the problem.
        problem_seed: That the problem's job runs with.
        node: Path of the node that asked.
        key: Of the request.
        seed: Of the sample; of an aborted request, its base seed.
        at: When it happened, in seconds of the problem's time.
    """

    problem_id: str
    problem_seed: int
    node: str
    key: str
    seed: int
    at: float

    @property
    def name(self) -> str:
        """What it is found by."""
        return entry_name(self.key, self.seed)


class ProblemLog:
    """A generation log as one problem sees it.

    Attributes:
        past: When things happened to the problem, and what it asked for.
    """

    def __init__(self, log: GenerationLog, problem_id: str, seed: int, past: Past) -> None:
        self.past = past
        self._log = log
        self._problem_id = problem_id
        self._seed = seed

    def find(self, key: str, seeds: Iterable[int]) -> list[Recorded]:
        """Return the recorded completions of a request, in the order in which they came."""
        names = {entry_name(key, seed): seed for seed in seeds}
        self.past.names.update(names)
        return self._log.find(names)

    def has_any(self, seeds: Iterable[int]) -> bool:
        """Return whether a completion with one of these seeds is recorded, whatever was asked."""
        return self._log.has_any(seeds)

    def find_open(self, key: str, seeds: Iterable[int]) -> float | None:
        """Return when samples were asked for that were in flight at a kill; None if none was."""
        times = (self.past.open.get(entry_name(key, seed)) for seed in seeds)
        return min((at for at in times if at is not None), default=None)

    def find_aborted(self, key: str, seed: int) -> tuple[Usage, float] | None:
        """Return what the aborted part of the request with this base seed had cost, and when."""
        return self._log.find_aborted(entry_name(key, seed))

    def find_sent(self, asked_key: str, seed: int) -> Sent | None:
        """Return how the request with this base seed was sent before, if a budget limited it."""
        name = entry_name(asked_key, seed)
        self.past.names.add(name)
        return self._log.find_sent(name)

    def arrivals(self, key: str, seed: int, *, node: str, clock: Clock) -> "Arrivals":
        """Return the order in which a node deals with what arrives, past and to come."""
        return Arrivals(self._log, self._entry(node, key, seed, clock.now), clock)

    def record_sent(self, key: str, seed: int, sent: Sent, *, node: str, at: float) -> None:
        """Keep that the request with this base seed is about to be sent."""
        self._log.record_sent(self._entry(node, key, seed, at), sent)

    def record_lost(self, key: str, seed: int, usage: Usage, *, node: str, at: float) -> None:
        """Note what a request had cost that was given up with the run."""
        self._log.record_lost(self._entry(node, key, seed, at), usage)

    def record_failed(
        self, key: str, seed: int, completion: Completion, *, node: str, at: float
    ) -> None:
        """Note what a completion that failed had cost."""
        entry = self._entry(node, key, seed, at)
        self._log.record_failed(entry, completion.usage, completion.error or "")

    def record(self, key: str, seed: int, completion: Completion, *, node: str, at: float) -> None:
        """Keep a finished completion of a node; with a `LogFile`, on disk before it is seen."""
        self._log.record(self._entry(node, key, seed, at), completion)

    def adopt(self, key: str, found: Recorded, *, node: str, at: float) -> None:
        """Keep a completion that was found and is now used, where it is another run's."""
        self._log.adopt(self._entry(node, key, found.seed, at), found)

    def record_aborted(self, key: str, seed: int, usage: Usage, *, node: str, at: float) -> None:
        """Keep what the aborted part of the request with this base seed had cost."""
        self._log.record_aborted(self._entry(node, key, seed, at), usage)

    def _entry(self, node: str, key: str, seed: int, at: float) -> Entry:
        entry = Entry(self._problem_id, self._seed, node, key, seed, at)
        self.past.names.add(entry.name)
        return entry


class Arrivals:
    """The order in which one node deals with what arrives: as recorded, then as it comes.

    Args:
        log: Keeps it.
        entry: The node.
        clock: The problem's.
    """

    def __init__(self, log: GenerationLog, entry: Entry, clock: Clock) -> None:
        self._log = log
        self._entry = entry
        self._clock = clock
        self._past = tuple(log.find_arrivals(entry.name))
        self._next = 0

    @property
    def expected(self) -> str:
        """Name of what the recorded run dealt with next; empty after its end."""
        return self._past[self._next] if self._next < len(self._past) else ""

    def note(self, name: str) -> None:
        """Say what is dealt with next; where that is not what was expected, the rest is void."""
        if name != self.expected:
            self._past = self._past[: self._next]
            entry = self._entry._replace(at=self._clock.now)
            self._log.record_arrival(entry, self._next, name)
        self._next += 1


def entry_name(key: str, seed: int) -> str:
    """Return what a completion, or a request by its base seed, is found by."""
    return f"{key}-{seed}"


def _seed_of(name: str) -> int:
    return int(name.rpartition("-")[2])


def _plain(value: Any) -> Any:
    """Return what a key's JSON has in place of a dataclass, or of what it does not know."""
    if not is_dataclass(value) or isinstance(value, type):
        return str(value)
    held = ((field, getattr(value, field.name)) for field in fields(value))
    return {field.name: part for field, part in held if part != _default(field)}


def _default(field: Field[Any]) -> Any:
    """Return what a dataclass's field is where nothing is said; no value where that is refused."""
    return field.default if field.default_factory is MISSING else field.default_factory()


_KEY_JSON = json.JSONEncoder(sort_keys=True, ensure_ascii=False, default=_plain)
