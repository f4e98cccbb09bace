"""What one operator sees of the run; implements `tts.protocols.Context`."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, Protocol, TypeVar, cast

from tts.errors import BudgetError, EngineError, VerifierError, ends_run
from tts.pipeline import Pipeline
from tts.protocols import (
    AnswerGroups,
    Branch,
    CompletionStream,
    Engine,
    Inlet,
    Reader,
    Verifier,
    prompt_token_bound,
)
from tts.runtime.channels import ChannelInlet, NodeBranch, merge
from tts.runtime.checks import check_budget
from tts.runtime.kv_market import Market
from tts.runtime.ledger import Reservation
from tts.runtime.log import Arrivals, request_key
from tts.runtime.pace import ProblemPace
from tts.runtime.run_state import RunState
from tts.seeds import derive_seed
from tts.types import (
    Budget,
    Embeddings,
    GenerationRequest,
    GraphFigures,
    Kept,
    Likelihood,
    ModelInfo,
    Problem,
    Prompt,
    ReadStates,
    Sampling,
    ScoreRequest,
    SearchFigures,
    StateSpec,
    StepScores,
    Trajectory,
    Usage,
    Watch,
)
from tts.types.facts import Chosen
from tts.types.figures import Counted

_Reader = TypeVar("_Reader", bound=Reader)
_Read = TypeVar("_Read", StepScores, Embeddings, ReadStates, Likelihood)


class StartWithin(Protocol):
    """Starts a pipeline within a node."""

    def __call__(
        self,
        pipeline: Pipeline,
        problem: Problem,
        *,
        name: str,
        engine: str,
        on_unread: Callable[[], None],
    ) -> NodeBranch:
        """Return its two ends; `on_unread` is called when it reads no more."""
        ...


def _ignore() -> None:
    """Do nothing."""


async def _score(engine: Engine, request: ScoreRequest) -> StepScores:
    """Run a reward model; one that has died fails its verifier and not the run."""
    try:
        return await engine.score(request)
    except EngineError as error:
        if ends_run(error):
            raise VerifierError(f"{engine.info.name}: {error}") from error
        raise


@dataclass(frozen=True, slots=True)
class NodeContext:
    """The run as node `node` sees it.

    Attributes:
        run: What the nodes of the problem share.
        start_within: Starts a pipeline within this node.
        problem: The problem, or the sub-problem of a spawned pipeline.
        node: Path of the node: its name, after the names of those that spawned it.
        max_inputs: Most trajectories that can come in; None if unknown.
        engine_name: Of the engine that it asks; empty for the run's own.
        is_check: What it generates judges trajectories, and is none.
        is_last: All that leaves the pipeline is what this node sends.
    """

    run: RunState
    start_within: StartWithin
    problem: Problem
    node: str
    max_inputs: int | None
    engine_name: str = ""
    is_check: bool = False
    is_last: bool = False

    @property
    def sampling(self) -> Sampling:
        """The preset's sampling profile."""
        return self.run.job.sampling

    @property
    def engine(self) -> Engine:
        """For `info` and `capabilities`; generate through the context."""
        return self.run.engines[self.engine_name]

    @property
    def kv_market(self) -> Market:
        """Where the searches of all problems on this engine meet."""
        return self.run.kv_markets[self.engine_name]

    @property
    def watch(self) -> Watch | None:
        """Who reads along what the last node writes; None if nobody does."""
        watcher = self.run.watcher
        return watcher.watch if watcher is not None and self.is_last else None

    @property
    def is_expired(self) -> bool:
        """Whether the deadline has passed, so that nothing more is generated."""
        return self.run.ledger.is_expired

    def seed(self, parent_id: str = "") -> int:
        """Return the base seed for requests of this node under a parent trajectory."""
        return derive_seed(self.run.job.seed, self.run.job.problem.id, self.node, parent_id)

    def generate(self, request: GenerationRequest) -> CompletionStream:
        """Like the engine's, within the budget, through the log, into the trace."""
        return self.run.open_stream(request, self.node, self.engine_name, is_check=self.is_check)

    def arrivals(self, what: str) -> Arrivals:
        """Return the order in which this node deals with what arrives, kept in the run's log."""
        text = f"{self.problem.statement}\0{what}"
        request = GenerationRequest(Prompt(text=text), self.sampling)
        key = request_key(self.engine.info.fingerprint, request)
        seed, clock = self.seed("arrivals"), self.run.clock
        return self.run.log.arrivals(key, seed, node=self.node, clock=clock)

    def reserve(self, prompt: Prompt, *, n: int, max_tokens: int) -> Reservation:
        """Keep up to `n` completions free for later requests."""
        ledger, info = self.run.ledger, self.engine.info
        bound = prompt_token_bound(prompt)
        room = Reservation(ledger, info, n=n, max_tokens=max_tokens, prompt_tokens=bound)
        self.run.facts.reserved(self.node, asked=n, granted=room.n)
        return room

    def left(self, unit: Counted) -> float:
        """Return what the budgets of problem and run still allow, infinite without a limit."""
        return self.run.left(unit)

    def spent(self, unit: Counted) -> float:
        """Return what the problem has cost so far, as its budget counts it."""
        return self.run.spent(unit)

    def pace(self, mean: float, unit: Counted) -> ProblemPace:
        """Return what keeps the problems of a run at a mean cost.

        Raises:
            BudgetError: The engine cannot count it.
        """
        limit: dict[str, Any] = {unit: mean}
        check_budget(Budget(**limit), self.engine)
        account = self.run.accounts.of(mean, unit)
        past = self.arrivals(f"pace {mean:g} {unit}")
        return ProblemPace(account, partial(self.run.spent, unit), past)

    def recall(self, batch: int, make: Callable[[], _Reader]) -> _Reader:
        """Return what has read all that this node kept of earlier batches, in the run's order."""
        return self.run.memory.read(self.run.job, self.node, batch, make)

    def keep(self, values: Mapping[str, Any]) -> None:
        """Leave something of this problem to those that come after it."""
        job = self.run.job
        self.run.memory.add(Kept(job.priority, job.seed, self.node, job.problem.id, values))

    def asking(self, engine: str) -> "NodeContext":
        """Return this context bound to another engine of the run; unchanged for an empty name."""
        return replace(self, engine_name=engine or self.engine_name)

    def checking(self) -> "NodeContext":
        """Return this context for a verifier: what it generates judges, and is no attempt."""
        return replace(self, is_check=True)

    def answers(self) -> AnswerGroups:
        """Return an empty set of classes of equal answers."""
        return self.run.answers(self.problem)

    def merge(
        self, inputs: Sequence[Inlet], *, order: Literal["arrival", "index"] = "arrival"
    ) -> AsyncIterator[Trajectory]:
        """Read several inlets as one."""
        return merge(cast("Sequence[ChannelInlet]", inputs), order)

    async def score(self, engine: Engine, request: ScoreRequest) -> StepScores:
        """Like a reward model's engine's, within the budget."""
        bound = prompt_token_bound(request.prompt)
        return await self._read(engine.info, [bound], lambda: _score(engine, request))

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """Like the engine's, within the budget."""
        engine, bounds = self.engine, [prompt_token_bound(Prompt(text=text)) for text in texts]
        return await self._read(engine.info, bounds, lambda: engine.embed(texts))

    async def likelihood(self, prompt: Prompt, text: str) -> Likelihood:
        """Like the engine's, within the budget."""
        engine, bound = self.engine, prompt_token_bound(prompt) + len(text.encode())
        return await self._read(engine.info, [bound], lambda: engine.likelihood(prompt, text))

    async def read_states(
        self, prompt: Prompt, token_ids: Sequence[int], spec: StateSpec
    ) -> ReadStates:
        """Like the engine's, within the budget."""
        engine, bound = self.engine, prompt_token_bound(prompt) + len(token_ids)
        twice = [bound, bound]  # an engine may have to read a text again
        return await self._read(
            engine.info, twice, lambda: engine.read_states(prompt, token_ids, spec)
        )

    async def _read(
        self, info: ModelInfo, bounds: Sequence[int], ask: Callable[[], Awaitable[_Read]]
    ) -> _Read:
        """Let a model read texts of at most so many tokens, as one call each of the budget."""
        ledger, number = self.run.ledger, len(bounds)
        grant = ledger.reserve(info, n=number, max_tokens=0, prompt_tokens=max(bounds))
        self.run.clock.live(1)
        try:
            if grant.n < number:
                raise BudgetError(ledger.shortfall())
            found = await ask()
            usage, read = found.usage, found.usage.prompt_tokens
            if read is not None:
                read -= usage.cached_tokens or 0
            ledger.record(info, replace(usage, scored_tokens=read))
        finally:
            ledger.release(grant)
            self.run.clock.live(-1)
        return found

    def charge(self, info: ModelInfo, usage: Usage) -> None:
        """Count work done beside `generate`, `score` and `embed`."""
        self.run.ledger.record(info, usage)

    def verifier(self, name: str) -> Verifier:
        """Return a verifier of this run."""
        return self.run.verifiers[name]

    def spawn(self, pipeline: Pipeline, problem: Problem, *, name: str) -> Inlet:
        """Run a pipeline on another problem within this one."""
        branch = self.start_within(
            pipeline, problem, name=name, engine=self.engine_name, on_unread=_ignore
        )
        branch.finish()
        return branch.results

    def branch(
        self,
        pipeline: Pipeline,
        *,
        name: str,
        on_unread: Callable[[], None] = _ignore,
        engine: str = "",
    ) -> Branch:
        """Run a pipeline on this problem and on the trajectories that it will be sent."""
        chosen = engine or self.engine_name
        return self.start_within(
            pipeline, self.problem, name=name, engine=chosen, on_unread=on_unread
        )

    def record(self, trajectory: Trajectory) -> None:
        """Keep a trajectory that is not sent, as a parent of one that will be."""
        self.run.record(trajectory)

    def warn(self, message: str) -> None:
        """Say, in a sentence, what went wrong while the node goes on."""
        self.run.facts.warned(self.node, message)

    def chose(self, what: str, *, expected: float, chance: float) -> None:
        """Say what this node chose for the problem."""
        self.run.facts.chose(Chosen(self.node, what, expected, chance))

    def stopped(self, rule: str, **values: Any) -> None:
        """Say that a rule of this node has ended sampling."""
        self.run.facts.stopped(self.node, rule, **values)

    def searched(self, figures: SearchFigures, tree: Mapping[str, Any]) -> None:
        """Say what a tree search held and did, once it has ended."""
        self.run.facts.searched(self.node, figures, tree)

    def worked_off(self, figures: GraphFigures) -> None:
        """Say what a graph of tasks held and did, once it has ended."""
        self.run.facts.worked_off(self.node, figures)

    def emit(self, kind: str, **values: Any) -> None:
        """Add an event to the trace."""
        self.run.facts.trace.emit(kind, self.node, **values)
