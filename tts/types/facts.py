"""What happened while a problem was solved, as values: a result carries them.

The trace says the same for people, in order and with times; nobody reads it back to learn a fact.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Failure:
    """A node that failed, while the rest of the pipeline went on with what it had.

    Attributes:
        node: Path of the node.
        error: Name of the exception's class, such as "ContextError".
        message: What the exception said; may be empty.
    """

    node: str
    error: str
    message: str

    def __str__(self) -> str:
        """Return one sentence that names the node."""
        return f"{self.node}: {self.message or self.error}"


@dataclass(frozen=True, slots=True)
class Stop:
    """A rule that ended the sampling behind or within a node.

    Attributes:
        node: Path of the node whose rule it is.
        rule: The rule that held, as the preset writes it: "settled", "stop_at 0.95".
    """

    node: str
    rule: str


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a node chose for a problem, and how hard it took it to be.

    Attributes:
        node: Path of the node.
        what: Such as "4 samples", or the name of a preset.
        expected: Chance of the best answer after the first samples; low for a hard problem.
        chance: Chance of the answer that is given; where a preset gives it, what was known of it.
    """

    node: str
    what: str
    expected: float
    chance: float


@dataclass(frozen=True, slots=True)
class SearchFigures:
    """What one tree search held and did.

    KV figures are logical, of the live leaves and their ancestors: `kv_blocks` at the engine's
    block size, `kv_tokens` with blocks of one token, `kv_node_tokens` with each tree node counted
    by itself, as the literature does. Means are over the decisions, before the pruning of each;
    `..._kept` after it.

    Attributes:
        steps: Tree nodes asked for, the root left out.
        finished: Whole solutions that were scored.
        peak_kv_blocks: Most KV blocks at a decision.
        mean_kv_blocks: KV blocks.
        mean_kv_blocks_kept: The same after pruning.
        mean_kv_tokens: Distinct tokens.
        mean_kv_tokens_kept: The same after pruning.
        mean_kv_node_tokens: Tokens of the tree nodes.
        mean_kv_node_tokens_kept: The same after pruning.
        tree_tokens: Tokens of all tree nodes, the prompt included.
        cached_tokens: Prompt tokens of steps that the engine found in its prefix cache.
        reusable_tokens: Those that it could have found there.
        mean_solution_tokens: Tokens of a finished solution, the prompt left out.
    """

    steps: int
    finished: int
    peak_kv_blocks: int
    mean_kv_blocks: float
    mean_kv_blocks_kept: float
    mean_kv_tokens: float
    mean_kv_tokens_kept: float
    mean_kv_node_tokens: float
    mean_kv_node_tokens_kept: float
    tree_tokens: int
    cached_tokens: int
    reusable_tokens: int
    mean_solution_tokens: float


@dataclass(frozen=True, slots=True)
class GraphFigures:
    """What one graph of tasks held, and how much of it ran at once.

    Attributes:
        trajectory: Id of the trajectory that came of it.
        tasks: All of them, those that could not run included.
        failed: Those without a finding but an error.
        changed: Those that were dropped or rewritten before they began.
        plans: Plans, the first included.
        reviews: Times that the graph was looked at while it ran.
        seconds: From the beginning of the first task to the end of the last (makespan).
        task_seconds: Of all tasks, one after the other.
        critical_seconds: Of the longest chain of tasks that need each other.
        sequential_tokens: Generated ones on the longest chain: planner and joiner, and of each task
            on the dearest chain the attempt that gave its answer. Of a server that counts none
            it may be an estimate (`tts.trajectories.num_generated`).
        context_tokens: Of the longest text of all, prompt included: what a context must hold; None
            where nobody counted.
    """

    trajectory: str
    tasks: int
    failed: int = 0
    changed: int = 0
    plans: int = 1
    reviews: int = 0
    seconds: float = 0.0
    task_seconds: float = 0.0
    critical_seconds: float = 0.0
    sequential_tokens: int = 0
    context_tokens: int | None = None

    @property
    def width(self) -> float:
        """Mean number of tasks that ran at once; 0 where none took any time."""
        return self.task_seconds / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What happened while a problem was solved.

    Attributes:
        asked: Completions that nodes asked for, those of verifiers included.
        granted: Those of them that the budget let through.
        aborted: Those of them that were ended before the engine had finished them.
        is_expired: The deadline passed.
        shortfall: Which limit refused completions or room for them; empty when none did.
        stopped_by: The rules that ended sampling, in the order in which they held.
        warnings: What went wrong without a node's failure, each once, in order.
        failures: Nodes that failed.
        errors: What the engine said of completions that failed, each once, sorted.
        failed: Completions that failed.
        unanswered: Those of them that a server left without an answer: another time they may well
            succeed.
        searches: Figures of each tree search, in the order in which they ended.
        choices: What nodes that choose have chosen.
        graphs: Figures of each graph of tasks, in the order in which they ended.
    """

    asked: int = 0
    granted: int = 0
    aborted: int = 0
    is_expired: bool = False
    shortfall: str = ""
    stopped_by: tuple[Stop, ...] = ()
    warnings: tuple[str, ...] = ()
    failures: tuple[Failure, ...] = ()
    errors: tuple[str, ...] = ()
    searches: tuple[SearchFigures, ...] = ()
    failed: int = 0
    unanswered: int = 0
    choices: tuple[Chosen, ...] = ()
    graphs: tuple[GraphFigures, ...] = ()

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Self:
        """Return the facts that `dataclasses.asdict` has made JSON values of.

        Raises:
            TypeError: Their fields are others.
        """
        return cls(
            **{
                **values,
                "stopped_by": tuple(Stop(**one) for one in values["stopped_by"]),
                "warnings": tuple(values["warnings"]),
                "failures": tuple(Failure(**one) for one in values["failures"]),
                "errors": tuple(values["errors"]),
                "searches": tuple(SearchFigures(**one) for one in values["searches"]),
                "choices": tuple(Chosen(**one) for one in values.get("choices", ())),
                "graphs": tuple(GraphFigures(**one) for one in values.get("graphs", ())),
            }
        )

    @property
    def is_cut(self) -> bool:
        """Whether a rule, an abort, the budget or the deadline decided how many samples there are.

        The samples are then no fair draw of `asked` ones, and estimates from them are biased.
        """
        return bool(self.stopped_by or self.aborted or self.shortfall)

    def reason(self, *, has_answer: bool, lack: str = "") -> str:
        """Return why there is no answer, or what an answer had to do without; empty for nothing.

        Args:
            has_answer: There is one.
            lack: Why samples gave none, if that is known.
        """
        limits = [self.shortfall] if self.shortfall else []
        parts = [*map(str, self.failures), *limits, *self.warnings, *self.errors]
        if not has_answer and not parts:
            parts.append("no trajectory gave an answer" + (f": {lack}" if lack else ""))
        return "; ".join(dict.fromkeys(parts))
