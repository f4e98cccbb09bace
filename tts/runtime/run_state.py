"""What the nodes of one problem's run share."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from weakref import WeakSet

from tts.protocols import AnswerGroups, Engine, Verifier, Watcher
from tts.runtime.fact_log import FactLog
from tts.runtime.job import Job
from tts.runtime.kv_market import Market
from tts.runtime.ledger import Ledger
from tts.runtime.log import ProblemLog
from tts.runtime.memory import Memory
from tts.runtime.pace import Accounts
from tts.runtime.replay import Clock
from tts.runtime.stream import RequestStream, Services
from tts.runtime.trace import Trace, never_loading, working
from tts.types import GenerationRequest, Problem, Trajectory
from tts.types.figures import Counted


class RunState:
    """Engines, verifiers, ledger, log and facts of one problem, and its running requests.

    Args:
        job: What is to be done.
        ledger: What may be spent.
        log: This problem's generations, to reuse and to add to.
        engines: By name; the empty one is the run's own.
        verifiers: By name.
        kv_markets: Where searches meet, by the name of their engine.
        accounts: What the run's problems have spent of their shares.
        memory: What the run's problems keep for each other.
        new_groups: Makes an empty set of classes of equal answers.
        on_progress: Called when a completion or an abort has freed KV blocks, or a request begun.
        seconds: Until its deadline, or that of those above it; infinite without one.
        loading: Returns the seconds in which models were loaded so far, which are not its time.
        watcher: Reads along; None for nobody.
    """

    def __init__(
        self,
        job: Job,
        *,
        ledger: Ledger,
        log: ProblemLog,
        engines: Mapping[str, Engine],
        verifiers: Mapping[str, Verifier],
        kv_markets: Mapping[str, Market],
        accounts: Accounts,
        memory: Memory,
        new_groups: Callable[[Problem], AnswerGroups],
        on_progress: Callable[[], None],
        seconds: float = math.inf,
        loading: Callable[[], float] = never_loading,
        watcher: Watcher | None = None,
    ) -> None:
        self.job = job
        self.seconds = seconds
        self.ledger = ledger
        self.log = log
        self.clock = Clock(log.past, loading)
        self.engines = engines
        self.verifiers = verifiers
        self.kv_markets = kv_markets
        self.accounts = accounts
        self.memory = memory
        self._new_groups = new_groups
        self._groups: WeakSet[AnswerGroups] = WeakSet()
        self.facts = FactLog(Trace(working(loading)))
        self.watcher = watcher
        self.seen: dict[str, Trajectory] = {}
        self._services = Services(
            engine=engines[""],
            ledger=ledger,
            log=log,
            clock=self.clock,
            facts=self.facts,
            on_progress=on_progress,
            priority=job.priority,
            watcher=watcher,
        )
        self._states = job.states or job.pipeline.hidden_states(verifiers)
        self._running: set[RequestStream] = set()

    def open_stream(
        self, request: GenerationRequest, node: str, engine: str = "", *, is_check: bool = False
    ) -> RequestStream:
        """Return a request's completions, which are charged to this problem."""
        services = self._services
        if engine:
            services = replace(services, engine=self.engines[engine])
        elif self._states is not None and not is_check:
            request = replace(request, states=self._states)
        return RequestStream(services, request, node, self._running, is_check=is_check)

    def answers(self, problem: Problem) -> AnswerGroups:
        """Return an empty set of classes of equal answers; a deadline ends its comparisons."""
        groups = self._new_groups(problem)
        if self.ledger.is_expired:
            groups.hurry()
        self._groups.add(groups)
        return groups

    def spent(self, unit: Counted) -> float:
        """Return what the problem has cost so far."""
        return self.clock.now if unit == "seconds" else self.ledger.charged(unit)

    def left(self, unit: Counted) -> float:
        """Return what the problem may still cost, infinite without a limit."""
        return self.seconds - self.clock.now if unit == "seconds" else self.ledger.left(unit)

    def record(self, trajectory: Trajectory) -> None:
        """Keep a trajectory for the result's ancestors."""
        self.seen[trajectory.id] = trajectory
        if self.watcher is not None:
            self.watcher.sent(trajectory)

    def abandon(self) -> None:
        """Say that what is closed from now on is closed because the run ends, or its time."""
        for stream in self._running:
            stream.abandon()

    def expire(self) -> tuple[RequestStream, ...]:
        """Let nothing more be generated; returns the requests that run, for the caller to close."""
        self.ledger.expire()
        self.facts.expired()
        for market in self.kv_markets.values():
            market.look_again()
        for groups in tuple(self._groups):
            groups.hurry()
        self.abandon()
        return tuple(self._running)
