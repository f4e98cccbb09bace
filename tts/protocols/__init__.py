"""The plug points: engines, operators, verifiers, benchmarks, and what the runtime gives them."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self, TypeVar

from tts.protocols.answers import AnswerGroups as AnswerGroups
from tts.protocols.engine import BaseEngine as BaseEngine
from tts.protocols.engine import Capabilities as Capabilities
from tts.protocols.engine import CompletionStream as CompletionStream
from tts.protocols.engine import Engine as Engine
from tts.protocols.engine import EngineFacts as EngineFacts
from tts.protocols.engine import check_team_request as check_team_request
from tts.protocols.engine import prompt_token_bound as prompt_token_bound
from tts.protocols.engine import request_parts as request_parts
from tts.protocols.kv import KVDemand as KVDemand
from tts.protocols.kv import KVMarket as KVMarket
from tts.protocols.pace import Pace as Pace
from tts.protocols.reader import Reader as Reader
from tts.protocols.watcher import Watcher as Watcher
from tts.types import (
    Answer,
    Embeddings,
    GenerationRequest,
    Grade,
    GraphFigures,
    Likelihood,
    ModelInfo,
    Problem,
    Prompt,
    ReadStates,
    Sampling,
    Score,
    ScoreRequest,
    SearchFigures,
    StateSpec,
    StepScores,
    Trajectory,
    Usage,
    Watch,
)
from tts.types.figures import Counted

if TYPE_CHECKING:  # it needs these protocols
    from tts.pipeline import Pipeline

State = Literal["any", "finished", "partial"]
_Reader = TypeVar("_Reader", bound=Reader)


class Inlet(Protocol):
    """The reading end of an edge."""

    def __aiter__(self) -> AsyncIterator[Trajectory]:
        """Iterate over the trajectories as they arrive."""
        ...

    def close(self) -> None:
        """Read no more; the last reader of an outlet to close cancels the node behind it."""
        ...

    def defer(self, ready: Callable[[], Awaitable[None]]) -> None:
        """Delay demand for more until `ready()` returns: for a node that passes on its input."""
        ...


class Outlet(Protocol):
    """The writing end of an edge, copied to every reader."""

    def send(self, trajectory: Trajectory) -> None:
        """Pass a trajectory on; edges are unbounded, so this never waits."""
        ...

    async def wanted(self) -> None:
        """Return once every direct reader has dealt with what was sent and waits for more."""
        ...


class Branch(Protocol):
    """A pipeline that runs within a node and reads what the node sends it."""

    @property
    def results(self) -> Inlet:
        """What leaves the pipeline; closing it cancels the pipeline."""
        ...

    def send(self, trajectory: Trajectory) -> None:
        """Pass a trajectory to the nodes that read and have no `from`."""
        ...

    def finish(self) -> None:
        """Say that no more will come."""
        ...


class Arrivals(Protocol):
    """The order in which a node deals with what arrives: as recorded, then as it comes."""

    @property
    def expected(self) -> str:
        """Name of what the recorded run dealt with next; empty after its end."""
        ...

    def note(self, name: str) -> None:
        """Say what is dealt with next; where that is not what was expected, the rest is void."""
        ...


class Context(Protocol):
    """What an operator sees of the run."""

    @property
    def problem(self) -> Problem:
        """The problem being solved."""
        ...

    @property
    def node(self) -> str:
        """Path of this node, as the trace and the seeds name it."""
        ...

    @property
    def sampling(self) -> Sampling:
        """The preset's sampling profile."""
        ...

    @property
    def max_inputs(self) -> int | None:
        """Most trajectories that can come in; None if unknown."""
        ...

    @property
    def engine(self) -> Engine:
        """For what costs nothing; generate through the context, which keeps the ledger."""
        ...

    @property
    def kv_market(self) -> KVMarket:
        """Where the searches on this engine meet."""
        ...

    @property
    def watch(self) -> Watch | None:
        """For the request whose completion this node sends as it stands, and sends last of all.

        None where nobody reads along, or something follows on what the node sends.
        """
        ...

    @property
    def is_expired(self) -> bool:
        """Whether the deadline has passed, so that nothing more is generated."""
        ...

    def seed(self, parent_id: str = "") -> int:
        """Return the base seed for requests of this node under a parent trajectory."""
        ...

    def generate(self, request: GenerationRequest) -> CompletionStream:
        """Like the engine's, within the budget, through the log, into the trace.

        The stream may hold fewer than `n` completions, or shorter ones, when the budget binds.
        """
        ...

    def arrivals(self, what: str) -> "Arrivals":
        """Return the order in which this node deals with what arrives, kept in the run's log.

        Args:
            what: What the node does, in words that change when its decisions may.
        """
        ...

    def reserve(self, prompt: Prompt, *, n: int, max_tokens: int) -> "Reservation":
        """Keep up to `n` completions of the budget free for later requests.

        Args:
            prompt: Theirs, as far as it is known.
            n: Completions; fewer are kept where the budget is too small for a useful share of each.
            max_tokens: Most tokens of each.
        """
        ...

    def left(self, unit: Counted) -> float:
        """Return what the budgets of problem and run still allow, infinite without a limit."""
        ...

    def spent(self, unit: Counted) -> float:
        """Return what the problem has cost so far, as its budget counts it."""
        ...

    def pace(self, mean: float, unit: Counted) -> Pace:
        """Return what keeps the problems of a run at a mean cost; use it as a context manager.

        Args:
            mean: What a problem shall cost.
            unit: Of the mean; `sequential` is generated tokens one after the other, each call after
                all that had come before it, as budgets count them.
        """
        ...

    def recall(self, batch: int, make: Callable[[], _Reader]) -> _Reader:
        """Return what has read all that this node kept of earlier batches, once and in order.

        Args:
            batch: Problems of a batch, as the node's `spec` has it.
            make: Makes a reader; later problems are given it again, when it has read on.
        """
        ...

    def keep(self, values: Mapping[str, Any]) -> None:
        """Leave something of this problem to those that come after it: JSON values, once."""
        ...

    def asking(self, engine: str) -> "Context":
        """Return this context bound to another engine of the run; unchanged for an empty name."""
        ...

    def checking(self) -> "Context":
        """Return this context for a verifier or a memory: what it generates is no attempt."""
        ...

    def answers(self) -> AnswerGroups:
        """Return an empty set of classes of equal answers, for this problem's type."""
        ...

    def merge(
        self, inputs: Sequence[Inlet], *, order: Literal["arrival", "index"] = "arrival"
    ) -> AsyncIterator[Trajectory]:
        """Read several inlets as one: by arrival, or by origin index (deterministic)."""
        ...

    async def score(self, engine: Engine, request: ScoreRequest) -> StepScores:
        """Like a reward model's engine's, within the budget.

        Raises:
            BudgetError: The budget is spent.
            EngineError: The engine refused the request, or died.
        """
        ...

    async def read_states(
        self, prompt: Prompt, token_ids: Sequence[int], spec: StateSpec
    ) -> ReadStates:
        """Like the engine's, within the budget.

        Raises:
            BudgetError: The budget is spent.
            EngineError: The engine refused the text, or died.
        """
        ...

    async def likelihood(self, prompt: Prompt, text: str) -> Likelihood:
        """Like the engine's, within the budget.

        Raises:
            BudgetError: The budget is spent.
            EngineError: The engine refused the text, or died.
        """
        ...

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """Like the engine's, within the budget.

        Raises:
            BudgetError: The budget is spent.
            EngineError: The engine refused a text, or died.
        """
        ...

    def charge(self, info: ModelInfo, usage: Usage) -> None:
        """Count work done beside `generate`, `score` and `embed`."""
        ...

    def verifier(self, name: str) -> "Verifier":
        """Return a verifier of this run by its name."""
        ...

    def spawn(self, pipeline: "Pipeline", problem: Problem, *, name: str) -> Inlet:
        """Run a pipeline on another problem within this one; it shares ledger, log and trace.

        It ends with the node that spawned it, or when its inlet is closed.
        """
        ...

    def branch(
        self,
        pipeline: "Pipeline",
        *,
        name: str,
        on_unread: Callable[[], None] = lambda: None,
        engine: str = "",
    ) -> Branch:
        """Run a pipeline on this problem and on the trajectories that it will be sent.

        `on_unread` is called when the pipeline wants no more. `engine` names another engine of the
        run, which the pipeline then asks; empty for the one that this node asks.
        """
        ...

    def record(self, trajectory: Trajectory) -> None:
        """Keep a trajectory that is not sent, as a parent of one that will be."""
        ...

    def warn(self, message: str) -> None:
        """Say, in a sentence, what went wrong while the node goes on; the result says it too."""
        ...

    def chose(self, what: str, *, expected: float, chance: float) -> None:
        """Say what this node chose for the problem: part of the result's facts.

        Args:
            what: Such as "4 samples", or the name of a preset.
            expected: Chance of the best answer after the first samples: predicted difficulty.
            chance: Chance of the answer that is given.
        """
        ...

    def stopped(self, rule: str, **values: Any) -> None:
        """Say that a rule of this node has ended sampling: part of the result's facts.

        Args:
            rule: As a preset writes it, such as "stop_at 0.95".
            **values: What else the trace shall say.
        """
        ...

    def searched(self, figures: SearchFigures, tree: Mapping[str, Any]) -> None:
        """Say what a tree search held and did, once it has ended: part of the result's facts.

        Args:
            figures: Of the search.
            tree: As `tts.search.view.to_json` writes it, for the trace.
        """
        ...

    def worked_off(self, figures: GraphFigures) -> None:
        """Say what a graph of tasks held and did, once it has ended: part of the result's facts."""
        ...

    def emit(self, kind: str, **values: Any) -> None:
        """Add an event to the trace, which is for people: nothing is decided by it.

        Args:
            kind: One of `tts.events.KINDS`, or a plug-in's own.
            **values: Details, as JSON values.
        """
        ...


class Reservation(Protocol):
    """Completions kept free for later requests; at the end of its block the rest is given back."""

    @property
    def n(self) -> int:
        """Completions still kept."""
        ...

    def give_back(self, n: int = 1) -> None:
        """Free `n` completions, just before the requests for which they were kept."""
        ...

    def __enter__(self) -> Self:
        """Return itself."""
        ...

    def __exit__(self, *_: object) -> None:
        """Free what is still kept."""
        ...


@dataclass(frozen=True, slots=True)
class Spec:
    """What an operator takes, gives and needs, checked before the run.

    Attributes:
        accepts: State of the trajectories that it reads; None for a source, which reads none.
        emits: State of those that it sends; "any" passes on what came in.
        needs: Names of engine capabilities.
        verifiers: Names of verifiers.
        scores: Names of the scores that incoming trajectories must carry.
        weights: Those of `scores` that are summed, and so must be probabilities.
        fan_out: Most trajectories sent per trajectory read (in all, for a source); None if unknown.
        max_outputs: Most trajectories sent in all, whatever comes in; None for no such limit.
        bounded: Needs to know how many trajectories can come in.
        logprobs: Candidates per token whose log-probabilities it reads; 0 for none.
        model: The only model that it was calibrated for; empty for any.
        engines: Names of engines that the run must have beside its own, and that generate for it.
        embedders: Names of engines of the run that embed texts for it.
        compares: Counts equal answers, and so is of use only where answers can be equal.
        batch: Problems of a run that begin together, in their order, once all before them have
            ended, since it reads what it kept of those; 0 where it keeps nothing.
    """

    accepts: State | None = "any"
    emits: State = "any"
    needs: frozenset[str] = frozenset()
    verifiers: tuple[str, ...] = ()
    scores: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()
    fan_out: int | None = 1
    max_outputs: int | None = None
    bounded: bool = False
    logprobs: int = 0
    model: str = ""
    engines: tuple[str, ...] = ()
    embedders: tuple[str, ...] = ()
    compares: bool = False
    batch: int = 0


class Operator(Protocol):
    """What a pipeline node does."""

    @property
    def spec(self) -> Spec:
        """What it takes, gives and needs."""
        ...

    async def run(self, context: Context, inputs: Sequence[Inlet], outlet: Outlet) -> None:
        """Read, send, return; the runtime owns the task and closes the ends."""
        ...


@dataclass(frozen=True, slots=True)
class VerifierSpec:
    """What a verifier needs of the run's engines and gives.

    Attributes:
        needs: Names of engine capabilities.
        steps: Gives one value per step.
        unit_interval: Values lie in [0, 1] and may be summed as weights without calibration.
        summable: Values are no probabilities, but its source sums them; they are never negative.
        compares: Judges trajectories against each other, and so needs all of them at once.
        verifiers: Names of the verifiers that it asks.
        logprobs: Candidates per token whose log-probabilities it reads; 0 for none.
        certainties: Reads the tokens' entropies or self-certainties, and `logprobs` only where an
            engine of the run cannot tell them.
        engine: Name of the run's engine that it asks and that meets `needs`; empty for the policy.
        model: The reward model that it reads; None if it reads none.
        by_text: A score depends on the problem, the text and how it ended alone, so that equal
            trajectories are scored once.
        states: Hidden states that it reads of completions of the policy; None if it reads none.
        weights: The only model whose hidden states it can read, as `ModelInfo.weights`; empty for
            any.
        bars: Values of steps below which a solution is hopeless, each after the share of right
            solutions that are lost by giving up there.
    """

    needs: frozenset[str] = frozenset()
    steps: bool = False
    unit_interval: bool = False
    summable: bool = False
    compares: bool = False
    verifiers: tuple[str, ...] = ()
    logprobs: int = 0
    certainties: bool = False
    engine: str = ""
    model: ModelInfo | None = None
    by_text: bool = False
    states: StateSpec | None = None
    weights: str = ""
    bars: tuple[tuple[float, float], ...] = ()


class Verifier(Protocol):
    """Anything that scores trajectories."""

    @property
    def spec(self) -> VerifierSpec:
        """What it needs and gives."""
        ...

    async def score(self, context: Context, trajectories: Sequence[Trajectory]) -> list[Score]:
        """Return one score per trajectory, in order; a failure is a `Score` with an error."""
        ...

    async def aclose(self) -> None:
        """Free what the verifier owns; idempotent."""
        ...


class Benchmark(Protocol):
    """A data set with its own idea of a right answer."""

    def problems(self, split: str) -> Iterator[Problem]:
        """Yield the problems of a split, always in the same order.

        Raises:
            ProblemError: The split is unknown, or the data cannot be loaded.
        """
        ...

    def grade(self, problem: Problem, answer: Answer) -> Grade:
        """Compare an answer with the problem's reference."""
        ...
