"""What the runtime gives operators and verifiers."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self, TypeVar

from tts.protocols.answers import AnswerGroups
from tts.protocols.edges import Arrivals, Branch, Inlet
from tts.protocols.engine import CompletionStream, Engine
from tts.protocols.kv import KVMarket
from tts.protocols.pace import Pace
from tts.protocols.reader import Reader
from tts.types import (
    Embeddings,
    GenerationRequest,
    GraphFigures,
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
from tts.types.figures import Counted

if TYPE_CHECKING:  # they need this protocol
    from tts.pipeline import Pipeline
    from tts.protocols.verifier import Verifier

_Reader = TypeVar("_Reader", bound=Reader)


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

    def arrivals(self, what: str) -> Arrivals:
        """Return the order in which this node deals with what arrives, kept in the run's log.

        Args:
            what: What the node does, in words that change when its decisions may.
        """
        ...

    def reserve(self, prompt: Prompt, *, n: int, max_tokens: int) -> Reservation:
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
