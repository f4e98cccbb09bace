"""What happens to one problem: kept as values for the result, and written to the trace."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from tts.runtime.trace import Trace
from tts.types import Trajectory
from tts.types.facts import Chosen, Failure, GraphFigures, RunFacts, SearchFigures, Stop


class FactLog:
    """Collects facts; each is also an event of the trace.

    Args:
        trace: Takes the events.
    """

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self._drawn: Counter[tuple[str, int]] = Counter()  # completions of each node and seed
        self._asked = 0
        self._granted = 0
        self._aborted = 0
        self._failed = 0
        self._unanswered = 0
        self._is_short = False
        self._is_expired = False
        self._warnings: list[str] = []
        self._failures: list[Failure] = []
        self._stops: list[Stop] = []
        self._searches: list[SearchFigures] = []
        self._choices: list[Chosen] = []
        self._graphs: list[GraphFigures] = []

    def requested(self, node: str, *, asked: int, granted: int, **values: Any) -> None:
        """Note a request: completions asked for, and those that the budget lets through."""
        self._asked += asked
        self._granted += granted
        self._is_short = self._is_short or granted < asked
        self.trace.emit("request", node, asked=asked, granted=granted, **values)

    def reserved(self, node: str, *, asked: int, granted: int) -> None:
        """Note room that was kept for later requests; what is asked then is counted then."""
        self._is_short = self._is_short or granted < asked
        self.trace.emit("reserve", node, asked=asked, granted=granted)

    def completed(self, node: str, *, seed: int, **values: Any) -> None:
        """Note a completion that has arrived."""
        self._drawn[node, seed] += 1
        self.trace.emit("completion", node, seed=seed, **values)

    def sampled(self, sample: Trajectory) -> None:
        """Note a finished sample: the trace keeps a text that no single completion holds.

        The steps of a tree stand in the tree.
        """
        is_one = self._drawn[sample.origin.node, sample.origin.seed] == 1
        if not sample.steps and not (is_one and sample.usage.calls == 1):
            self.trace.emit("attempt", sample.origin.node, id=sample.id, text=sample.text)

    def aborted(self, node: str, *, calls: int, tokens: int | None) -> None:
        """Note completions that were ended before the engine had finished them."""
        self._aborted += calls
        self.trace.emit("abort", node, calls=calls, tokens=tokens)

    def call_failed(self, *, is_unanswered: bool) -> None:
        """Note a completion that failed."""
        self._failed += 1
        self._unanswered += is_unanswered

    def expired(self) -> None:
        """Note that the deadline has passed."""
        self._is_expired = True
        self.trace.emit("deadline", "")

    def warned(self, node: str, message: str) -> None:
        """Note what went wrong without a node's failure, in a sentence for people."""
        self._warnings.append(message)
        self.trace.emit("warning", node, message=message)

    def failed(self, node: str, error: BaseException) -> None:
        """Note a node's failure."""
        failure = Failure(node, type(error).__name__, str(error))
        self._failures.append(failure)
        self.trace.emit("error", node, message=failure.message, type=failure.error)

    def chose(self, chosen: Chosen) -> None:
        """Note what a node chose for the problem."""
        self._choices.append(chosen)
        self.trace.emit("chose", chosen.node, what=chosen.what, expected=chosen.expected)

    def stopped(self, node: str, rule: str, **values: Any) -> None:
        """Note a rule that ended sampling."""
        self._stops.append(Stop(node, rule))
        self.trace.emit("stopped", node, rule=rule, **values)

    def searched(self, node: str, figures: SearchFigures, tree: Mapping[str, Any]) -> None:
        """Note a tree search that has ended; the trace keeps the whole tree."""
        self._searches.append(figures)
        self.trace.emit("search", node, **asdict(figures), tree=tree)

    def worked_off(self, node: str, figures: GraphFigures) -> None:
        """Note a graph of tasks that has ended."""
        self._graphs.append(figures)
        self.trace.emit("graph", node, **asdict(figures), width=figures.width)

    def close(self, *, spent: str, errors: Iterable[str]) -> RunFacts:
        """Return the facts.

        Args:
            spent: Which limit is spent, should one have refused anything.
            errors: What the engine said of completions that failed.
        """
        return RunFacts(
            asked=self._asked,
            granted=self._granted,
            aborted=self._aborted,
            is_expired=self._is_expired,
            shortfall=spent if self._is_short or self._is_expired else "",
            stopped_by=tuple(self._stops),
            warnings=tuple(dict.fromkeys(self._warnings)),
            failures=tuple(self._failures),
            errors=tuple(sorted(set(errors))),
            searches=tuple(self._searches),
            graphs=tuple(self._graphs),
            failed=self._failed,
            unanswered=self._unanswered,
            choices=tuple(self._choices),
        )
